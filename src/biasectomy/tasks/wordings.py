"""Reading the wordings of an instruction from a file."""

import tomllib
from importlib.resources.abc import Traversable
from pathlib import Path

from biasectomy.errors import DataError, SettingsError, SourceError
from biasectomy.tasks.checks import wrong_with_texts

LONGEST = 20_000  # characters; far more than any model's context would leave for an item


def load_instructions(path: Path | Traversable) -> tuple[str, ...]:
    """Instructions that mean the same: `instructions = [...]` of a .toml file, or one a line of a .txt file.

    Raises:
        SourceError: the file is missing or cannot be read.
        SettingsError: the file is neither .toml nor .txt.
        DataError: not TOML, nothing in it, an entry that is not text, or one that stands there twice.
    """
    if not path.name.endswith((".toml", ".txt")):
        raise SettingsError(f"Instructions are read from a .toml or a .txt file, not from '{path}'.")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise SourceError(f"The instructions '{path}' cannot be read: {error.strerror or error}.") from error
    entries = text.splitlines() if path.name.endswith(".txt") else _toml_entries(text, path)
    found: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, str):
            raise DataError(f"{path}: instruction {number} is not text but {type(entry).__name__}.")
        wording = entry.strip()
        if len(wording) > LONGEST:
            raise DataError(
                f"{path}: instruction {number} has {len(wording):,} characters; at most {LONGEST:,} are an instruction."
            )
        if (wrong := wrong_with_texts([("text", wording)])) is not None:
            raise DataError(f"{path}: instruction {number} is not usable: {wrong}.")
        if wording and found.setdefault(wording, number) != number:
            raise DataError(f"{path}: instructions {found[wording]} and {number} are the same: '{wording}'.")
    if not found:
        raise DataError(f"{path} holds no instruction; at least one is needed.")
    return tuple(found)


def _toml_entries(text: str, path: Path | Traversable) -> list[object]:
    try:
        entries = tomllib.loads(text).get("instructions")
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: not valid TOML ({error}).") from None
    if not isinstance(entries, list):
        raise DataError(f'{path}: expected `instructions = ["...", "..."]`.')
    return entries
