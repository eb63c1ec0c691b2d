"""Judges: what turns generated texts into numbers, after the texts are stored.

A judge is named KIND or KIND:ARGUMENT, such as `lexicon:words.txt`. What a kind registers is a function of texts, or a
class whose `make(argument, data_folder)` gives one: cheaply, for its files are read when it first judges.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from biasectomy.errors import SettingsError
from biasectomy.registry import Registry, described


class Judge(Protocol):
    """A lexicon, a classifier, a rule.

    It may have a `note`, a phrase that says what it is and how good, and a `record()` for the record of a run; either
    is asked for after it judged.
    """

    def __call__(self, texts: Sequence[str]) -> Sequence[float] | Mapping[str, Sequence[float]]:
        """A number for each text, or one of each label."""


JUDGES: Registry[Any] = Registry("judge")


def find_judge(name: str, data_folder: Path | None = None) -> Judge:
    """The judge of a name.

    Args:
        name: its kind, and behind a colon what is to be judged with, such as a file.
        data_folder: where data files are looked for first; None for the usual places.

    Raises:
        UnknownNameError: there is no such kind.
        SettingsError: the kind needs an argument, or takes none.
    """
    kind, colon, argument = name.partition(":")
    entry = JUDGES[kind]
    if hasattr(entry, "make"):
        judge: Judge = entry.make(argument, data_folder)
        return judge
    if colon:
        raise SettingsError(f"The judge '{kind}' takes nothing behind a colon; found '{argument}'.")
    found: Judge = entry
    return found


def chosen_judges(named: str, qualities: Sequence[str], data_folder: Path | None = None) -> dict[str, Judge]:
    """The judges that are chosen for what a task has judged.

    Args:
        named: one judge for all of them, or QUALITY=JUDGE joined by commas; qualities of other tasks may be among them.
        qualities: what is judged.
        data_folder: see `find_judge`.

    Raises:
        UnknownNameError, SettingsError, SourceError: see `find_judge`.
    """
    pieces = [piece.strip() for piece in named.split(",") if piece.strip()]
    chosen = dict(piece.split("=", 1) for piece in pieces if piece.partition(":")[0].count("="))
    others = [piece for piece in pieces if not piece.partition(":")[0].count("=")]
    if len(others) > 1:
        raise SettingsError(f"One judge is for everything; for several write QUALITY=JUDGE, not {', '.join(others)}.")
    wanted = dict.fromkeys(qualities, others[0]) if others else {}
    wanted |= {quality: name for quality, name in chosen.items() if quality in qualities}
    return {quality: find_judge(name, data_folder) for quality, name in wanted.items()}


def note_of(judge: Judge) -> str:
    """What a judge says of itself; its first sentence where it has nothing to say."""
    return str(getattr(judge, "note", "") or described(judge))


def record_of(judge: Judge) -> dict[str, Any]:
    """What the record of a run holds of a judge."""
    record = getattr(judge, "record", None)
    return dict(record()) if callable(record) else {"judge": getattr(judge, "__name__", type(judge).__name__)}


def describe_judges() -> list[dict[str, str]]:
    """Name and first sentence of every kind of judge."""
    return [{"name": name, "description": described(JUDGES[name])} for name in JUDGES]
