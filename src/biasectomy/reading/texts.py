"""Generated texts and the options they stand for."""

import re
import string
from collections.abc import Sequence

UNMATCHED = -1
_EDGES = string.punctuation + string.whitespace


def matching_option(text: str, options: Sequence[str]) -> int:
    """Index of the option that the first line of a text equals, else -1.

    Case, white space and punctuation around the answer are ignored; nothing else is, so that a text that
    only mentions an option counts as unmatched.
    """
    lines = text.strip().splitlines()
    answer = normalised(lines[0]) if lines else ""
    matches = [index for index, option in enumerate(options) if normalised(option) == answer]
    return matches[0] if len(matches) == 1 else UNMATCHED


def normalised(text: str) -> str:
    """Lower case, single spaces, no punctuation at the edges."""
    return re.sub(r"\s+", " ", text).strip(_EDGES).casefold()
