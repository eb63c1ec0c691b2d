"""Questions from standard input, answered side by side: typed at a terminal, or a line each from a file or a pipe."""

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from biasectomy.errors import DataError
from biasectomy.methods.original import Original

if TYPE_CHECKING:  # slow to import
    from biasectomy.cli.console import Console
    from biasectomy.commands.ask import Answered, Pair

PROMPT = "? "
HOW = "A question a line; options behind bars: Who lost the keys? | Ann | Bob | Not known. An empty line ends."
TEXT = "writes"


def ask_lines(pair: "Pair", console: "Console") -> None:
    """Answers what is asked until there is nothing more; a line that cannot be used ends only what nobody watches.

    Raises:
        DataError: a line of a file or a pipe cannot be used; names it.
    """
    from biasectomy.commands.ask import Asked

    typed = sys.stdin.isatty() and not console.json_output
    if typed:
        console.say(HOW)
    for number, line in _typed() if typed else _piped():
        place = "This line" if typed else f"Standard input, line {number}"
        try:
            answered = pair.ask(Asked.read(line, place))
        except DataError as error:
            said = str(error) if str(error).startswith(place) else f"{place}: {error}"
            if not typed:
                raise DataError(said) from None
            console.warn(said)
            continue
        if console.json_output:
            sys.stdout.write(json.dumps(answered.to_json(), ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            show(answered, pair, console)


def show(answered: "Answered", pair: "Pair", console: "Console") -> None:
    """A table with a column for each model; the likeliest option is marked."""
    both = (answered.original, answered.edited)
    rows = []
    for place, option in enumerate(answered.asked.options):
        shares = [said.probabilities for said in both]
        cells = [f"{100 * one[place]:.1f} %{' *' if one[place] == max(one) else ''}" for one in shares]
        rows.append([option, *cells])
    rows.append([TEXT, *(said.text or "(nothing)" for said in both)])
    console.table(answered.asked.question, ["", Original.title, pair.title], rows)


def _piped() -> Iterator[tuple[int, str]]:
    """Lines of what is no terminal, with their numbers; empty ones are passed over."""
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip():
            yield number, line.rstrip("\n")


def _typed() -> Iterator[tuple[int, str]]:
    """Lines that are typed, until an empty one or the end of input; they are kept nowhere."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 -- line editing; what was typed is forgotten at the end
    for number in itertools.count(1):
        try:
            line = input(PROMPT)
        except EOFError:
            return
        if not line.strip():
            return
        yield number, line
