"""The words and the form of the four short answers to a finished run, and the commands that they name."""

import shlex
from dataclasses import dataclass
from typing import Literal

from biasectomy.report.finished import FinishedRun
from biasectomy.run_files import STORE

LIMITS, ALL_ITEMS = ("--test-items", "--max-items"), 100_000
Tone = Literal["good", "mixed", "bad", "open"]
FAIRER, COST, TRUST, NEXT = "Is it fairer?", "What did it cost?", "Can I trust it?", "What do I do next?"


@dataclass(frozen=True)
class ShortAnswer:
    """An answer in a few words, with what it rests on; `commands` are what may be typed next."""

    question: str
    short: str
    text: str
    tone: Tone
    commands: tuple[str, ...] = ()


def command(*words: str) -> str:
    """A command line of this program; empty words are left out."""
    return shlex.join(["biasectomy", *(word for word in words if word)])


def out_of(run: FinishedRun) -> str:
    """The run's folder as its command names it."""
    words = shlex.split(str(run.record.get("command") or ""))
    return words[words.index("--out") + 1] if "--out" in words[:-1] else run.folder.name


def more_items(run: FinishedRun) -> tuple[str, ...]:
    """The run's command with all items, and with the answers that are there already; none where it had all."""
    words = shlex.split(str(run.record.get("command") or ""))
    limited = [name for name in LIMITS if name in words[:-1]]
    usual = (
        words[1:2] == ["study"] and "--max-items" not in limited and (run.record.get("settings") or {}).get("max_items")
    )
    if not limited and not usual:
        return ()
    for name in (*limited, "--out", "--store"):
        while name in words[:-1]:
            del words[words.index(name) : words.index(name) + 2]
    if words[1:2] == ["study"]:  # which take few where nothing is said
        words += ["--max-items", str(ALL_ITEMS)]
    return (shlex.join([*words, "--store", f"{out_of(run)}/{STORE}", "--out", f"{out_of(run)}-all-items"]),)


def options_of_methods(run: FinishedRun) -> list[str]:
    """What the run's command says of methods, such as `--crispr.trials 1`."""
    words = shlex.split(str(run.record.get("command") or ""))
    found: list[str] = []
    for word, following in zip(words, [*words[1:], "--"], strict=False):
        if word.startswith("--") and "." in word:
            found += [word] if following.startswith("--") else [word, following]
    return found


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{upper(text)}."


def upper(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]


def lower(text: str) -> str:
    """With a small letter, unless it begins with an abbreviation."""
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def counted(count: int, noun: str) -> str:
    """So many of a thing, in figures."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
