"""Lists of lines with slots in front, as UnQover's word lists are written: "[p_act:neg] crime | looked like angels"."""

import re
from collections.abc import Iterator

from biasectomy.errors import DataError
from biasectomy.tasks.checks import wrong_with_texts

Entries = dict[str, list[tuple[str, str]]]  # by head: what stands in front of the bar, and behind it


def entries_of(name: str, text: str, heads: re.Pattern[str], example: str) -> Entries:
    """What stands in the lists of a file, by the slots that lines begin with.

    Args:
        heads: the slots that are known.
        example: one of them, for messages.

    Raises:
        DataError: there is no line, one begins with no such slot, or says nothing; names file and line.
    """
    found: Entries = {}
    for place, line in lines_of(name, text):
        head, _, rest = line.partition(" ")
        if not heads.fullmatch(head):
            raise DataError(f"{place}: a line must begin with a slot such as {example}, not with '{head[:40]}'.")
        group, _, words = (part.strip() for part in rest.rpartition("|"))
        if not words or "|" in group:
            raise DataError(f"{place}: expected words behind the slot, or behind one bar.")
        found.setdefault(head, []).append((group, words))
    return found


def aligned(entries: Entries, name: str) -> Iterator[dict[str, tuple[str, str]]]:
    """What stands at the same place of several lists, place by place.

    Raises:
        DataError: they differ in length; names the file.
    """
    first = next(iter(entries))
    for head, rows in entries.items():
        if len(rows) != len(entries[first]):
            raise DataError(
                f"{name}: {len(rows)} lines begin with {head} and {len(entries[first])} with {first}; the forms of one "
                "thing must stand at the same place of both lists."
            )
    for place in range(len(entries[first])):
        yield {head: rows[place] for head, rows in entries.items()}


def lines_of(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Lines that say something, each behind its place for messages.

    Raises:
        DataError: there is none, or one is no text that a tokenizer could read; names file and line.
    """
    said = False
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        said = True
        place = f"{name}, line {number}"
        if (wrong := wrong_with_texts([("text", line)])) is not None:
            raise DataError(f"{place}: {wrong}.")
        yield place, line
    if not said:
        raise DataError(f"{name} is empty; expected lines with slots such as [subj] or [p_act].")
