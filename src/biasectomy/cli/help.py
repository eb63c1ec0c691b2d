"""Help that teaches: examples first, then the options that most need, then how to see the others.

Names of options are never cut or broken: where one is too long for the left column, what it does stands below it.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from biasectomy.errors import UnknownNameError

if TYPE_CHECKING:  # slow to import, and needed only where help is shown
    from rich.console import Console
    from rich.text import Text

Example = tuple[str, str]  # a command line, and what it does

WIDTH = 100  # characters of a line at most
LEFT = 30  # characters of names and types, beside what they do
BORDER = 4  # characters of a panel's frame


class TeachingCommand(TyperCommand):
    """A command whose help has examples, and says what its presets stand for; `hint` is said at its end."""

    examples: Sequence[Example] = ()
    presets: Sequence[Example] = ()
    hint = ""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help."""
        console = _console()
        _print_head(self, ctx, console)
        _print_pairs("Examples", self.examples, console)
        panels: dict[str, list[Any]] = {}
        arguments = []
        for one in self.get_params(ctx):
            if isinstance(one, TyperArgument):
                arguments.append(one)
            elif isinstance(one, TyperOption) and not getattr(one, "hidden", False):
                usual = next(reversed(panels), "Options")
                panels.setdefault(getattr(one, "rich_help_panel", None) or usual, []).append(one)
        for place, (name, parameters) in enumerate(panels.items()):
            _print_panel(name, parameters if place else [*arguments, *parameters], ctx, console)
        _print_pairs("Presets", self.presets, console, beside=True)
        if self.hint:
            console.print(self.hint, highlight=False, markup=False)


class SuggestingGroup(TyperGroup):
    """Commands that answer a wrong name with the nearest right one, in the order they are declared."""

    kind = "command"
    examples: Sequence[Example] = ()

    def list_commands(self, context: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, context: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise UnknownNameError(self.kind, args[0], self.commands)
        return super().resolve_command(context, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help, examples at its end."""
        super().format_help(ctx, formatter)
        _print_pairs("Examples", self.examples, _console())


def teaching(examples: Sequence[Example], presets: Sequence[Example] = (), hint: str = "") -> type[TeachingCommand]:
    """The class of a command with these examples."""
    return type("Command", (TeachingCommand,), {"examples": examples, "presets": presets, "hint": hint})


def show_all(context: typer.Context, wanted: bool) -> None:
    """Prints the help where --help-all asks for it; which options it has was settled when they were made."""
    if wanted and not context.resilient_parsing:
        context.get_help()
        raise typer.Exit


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    console.width = min(console.width, WIDTH)
    return console


def _print_head(command: TeachingCommand, ctx: Any, console: "Console") -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print()
    console.print(Text(" ".join(command.get_usage(ctx).split()), style="bold"))
    console.print(Padding(Text(" ".join((command.help or "").split())), (1, 0)))


def _print_pairs(title: str, pairs: Sequence[Example], console: "Console", *, beside: bool = False) -> None:
    """What can be typed, on one line so that it can be copied, each with what it stands for below or beside it."""
    from rich.padding import Padding
    from rich.text import Text

    if not pairs:
        return
    console.print(Text(title, style="bold"))
    left = max(len(line) for line, _ in pairs) + 4
    for line, said in pairs:
        typed = Text(f"  {line}", style="cyan")
        if not beside:
            console.print(typed, soft_wrap=True)
            console.print(Padding(Text(said), (0, 0, 0, 6)))
            continue
        for number, part in enumerate(Text(said).wrap(console, console.width - left)):
            start = typed if number == 0 else Text("")
            start.pad_right(left - start.cell_len)
            part.rstrip()
            console.print(start + part)
    console.print()


def _print_panel(name: str, parameters: Sequence[Any], ctx: Any, console: "Console") -> None:
    from rich.console import Group
    from rich.panel import Panel

    heads = [_head(one, ctx) for one in parameters]
    left = min(LEFT, 3 * console.width // 8, max(len(" ".join(head)) for head in heads))
    lines = [
        line
        for one, head in zip(parameters, heads, strict=True)
        for line in _lines(head, one.help or "", left, console)
    ]
    console.print(Panel(Group(*lines), border_style="dim", title=name, title_align="left"))


def _head(parameter: Any, ctx: Any) -> tuple[str, str]:
    """A parameter's names, and the kind of value it takes."""
    if isinstance(parameter, TyperArgument):
        return parameter.display_name_raw, ""
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names, "" if parameter.is_flag else str(parameter.display_type_rich(ctx=ctx) or "")


def _lines(head: tuple[str, str], said: str, left: int, console: "Console") -> "Iterator[Text]":
    from rich.text import Text

    names, kind = head
    line = Text.assemble((names, "bold cyan"), (f" {kind}" if kind else "", "yellow"))
    width = console.width - BORDER - left - 2
    wrapped = Text.from_markup(" ".join(said.split())).wrap(console, width)
    if line.cell_len > left:
        yield line
        line = Text("")
    for number, part in enumerate(wrapped):
        part.rstrip()
        start = line if number == 0 else Text("")
        start.pad_right(left + 2 - start.cell_len)
        yield start + part
