"""Neutral paragraphs on which perplexity and the drift of the next token are measured."""

import hashlib
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from biasectomy.errors import DataError, SettingsError
from biasectomy.sources import data_file

WIKITEXT = "wikitext2/wiki.test.raw"
PACKAGED = "packaged neutral text"
SHORTEST = 200  # characters: shorter lines of WikiText are captions and remnants
LONGEST = 120  # words


@dataclass(frozen=True)
class NeutralText:
    """Paragraphs, the name of what they come from, and the SHA-256 of that text."""

    name: str
    paragraphs: tuple[str, ...]
    sha256: str


def neutral_paragraphs(data_folder: Path | None = None, limit: int = 60) -> NeutralText:
    """At most `limit` paragraphs, evenly spaced: of WikiText-2 where the data folder has it, else the packaged ones.

    The data folder is the one given, else that of BIASECTOMY_DATA. WikiText paragraphs are cut at 120 words. The two
    texts give perplexities that cannot be compared with each other, so the name is part of the result.

    Raises:
        SettingsError: a limit below 1.
        SourceError: the file cannot be read or its checksum is wrong.
        DataError: the file is not UTF-8 or holds no paragraph.
    """
    if limit < 1:
        raise SettingsError(f"At least 1 neutral paragraph is needed, not {limit}.")
    if data_folder is None and (chosen_folder := os.environ.get("BIASECTOMY_DATA")):
        data_folder = Path(chosen_folder)
    if data_folder is not None and (data_folder.expanduser() / WIKITEXT).is_file():
        file = data_file(WIKITEXT, data_folder)
        name, checksum, paragraphs = WIKITEXT, file.sha256, _wikitext_paragraphs(file.text)
        if not paragraphs:
            raise DataError(f"{file.origin} holds no paragraph of {SHORTEST} characters or more.")
    else:
        raw = (resources.files("biasectomy") / "data" / "neutral.txt").read_bytes()
        name, checksum = PACKAGED, hashlib.sha256(raw).hexdigest()
        paragraphs = [" ".join(paragraph.split()) for paragraph in raw.decode().split("\n\n")]
    number = min(limit, len(paragraphs))
    chosen = tuple(paragraphs[index * len(paragraphs) // number] for index in range(number))
    return NeutralText(name, chosen, checksum)


def _wikitext_paragraphs(text: str) -> list[str]:
    """Lines that are no headings and not short, cut at a word end."""
    lines = (line.strip() for line in text.split("\n"))
    return [" ".join(line.split()[:LONGEST]) for line in lines if len(line) >= SHORTEST and not line.startswith("= ")]
