"""What the shell's completion needs beyond typer's own: names of tasks, methods and models, and lists of them.

Bash takes a colon for the end of a word, and names of tasks have one: its words are put together before typer reads
them, and of what typer answers bash gets what stands behind the colon.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

VARIABLE = "_BIASECTOMY_COMPLETE"  # typer's, by the name of the program
WORDS, PLACE, LINE = "COMP_WORDS", "COMP_CWORD", "_TYPER_COMPLETE_ARGS"  # of bash, and of other shells
BREAKS = (":", "=")

Complete = Callable[[str], list[str]]


def asked_words() -> list[str] | None:
    """The words of the command line that is to be completed; None where none is."""
    if not os.environ.get(VARIABLE):
        return None
    return (os.environ.get(WORDS) or os.environ.get(LINE) or "").split()[1:]


@contextlib.contextmanager
def whole_words() -> Iterator[None]:
    """A block in which bash's words are whole, and what is printed is what bash puts behind its last piece."""
    if not os.environ.get(VARIABLE) or WORDS not in os.environ:
        yield
        return
    place = int(os.environ.get(PLACE) or 0)
    words = os.environ[WORDS].split("\n" if "\n" in os.environ[WORDS] else None)
    joined, begun = _joined([*words[:place], *(words[place : place + 1] or [""])])
    os.environ[WORDS], os.environ[PLACE] = "\n".join(joined), str(len(joined) - 1)
    if not begun:
        yield
        return
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:
        sys.stdout.write("".join(f"{line.removeprefix(begun)}\n" for line in printed.getvalue().splitlines()))


def _joined(words: Sequence[str]) -> tuple[list[str], str]:
    """Words without breaks at colons; and what of the last one bash holds for words of their own."""
    whole: list[str] = []
    begun = ""
    for number, word in enumerate(words):
        goes_on = bool(whole) and (word in BREAKS or (number > 0 and words[number - 1] in BREAKS and word != ""))
        after_break = bool(whole) and number == len(words) - 1 and number > 0 and words[number - 1] in BREAKS
        if goes_on or after_break:
            begun = whole[-1] + (word if word in BREAKS else "")
            whole[-1] += word
        else:
            begun = ""
            whole.append(word)
    return whole, begun


def values_of(setting: str, choices: Sequence[str]) -> Complete | None:
    """What completes the value of a setting: what its type lists, or names; None where there is nothing to say."""
    if choices:
        return _of(lambda: choices)
    found = NAMES.get(setting.rpartition(".")[2])
    return _of(found) if found is not None else None


def _of(names: Callable[[], Sequence[str]]) -> Complete:
    """Completes the last of several names joined by commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, begun = incomplete.rpartition(",")
        given = before.split(",")
        return [before + comma + name for name in names() if name.startswith(begun) and name not in given]

    return complete


def _tasks() -> list[str]:
    from biasectomy.tasks import describe_tasks

    return [*(task.name for task in describe_tasks()), "all"]


def _models() -> list[str]:
    from biasectomy.models.sources import MODELS

    return list(MODELS)


def _methods() -> list[str]:
    from biasectomy.methods import METHODS

    return list(METHODS)


def _attributions() -> list[str]:
    from biasectomy.attribution import ATTRIBUTIONS

    return list(ATTRIBUTIONS)


def _judges() -> list[str]:
    from biasectomy.tasks.judges import JUDGES

    return list(JUDGES)


NAMES: dict[str, Any] = {
    "task": _tasks,
    "also": _tasks,
    "model": _models,
    "method": _methods,
    "methods": _methods,
    "beside": _methods,
    "attribution": _attributions,
    "among": _attributions,
    "judge": _judges,
}
