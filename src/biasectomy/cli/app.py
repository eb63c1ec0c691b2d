"""The command line: parses, calls, prints. Options come from the settings models."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from biasectomy.errors import UnknownNameError
from biasectomy.cli.exits import run_and_exit
from biasectomy.cli.options import option_parameters
from biasectomy.processes import is_main, speaks
from biasectomy.commands.settings import (
    ApplySettings,
    EvaluateSettings,
    FindSettings,
    MitigateSettings,
    Settings,
    explicit_command,
    load_settings,
)

if TYPE_CHECKING:
    from biasectomy.cli.console import Console

KINDS = ("attributions", "models", "tasks")


class SuggestingGroup(TyperGroup):
    """Commands that answer a wrong name with the nearest right one, in the order they are declared."""

    def list_commands(self, context: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, context: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise UnknownNameError("command", args[0], self.commands)
        return super().resolve_command(context, args)


app = typer.Typer(
    cls=SuggestingGroup,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"biasectomy {_version()}")
        raise typer.Exit


@app.callback()
def biasectomy(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the neurons that make a language model answer with a stereotype, take them out, prove what changed."""


def command(kind: type[Settings], name: str) -> Callable[[Callable[[Any, "Console"], None]], None]:
    """Registers `run(settings, console)` as a command whose options are the fields of `kind`."""

    def register(run: Callable[[Any, "Console"], None]) -> None:
        def call(**given: Any) -> None:
            from biasectomy.cli.console import Console

            config = given.pop("config")
            settings = load_settings(kind, {key: value for key, value in given.items() if value is not None}, config)
            values = settings.__dict__
            console = Console(quiet=values["quiet"], json_output=values["json_output"], muted=not is_main())
            try:
                run(settings, console)
            except KeyboardInterrupt:
                _stopped(settings, console)

        call.__signature__ = inspect.Signature(option_parameters(kind))  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in option_parameters(kind)}
        call.__doc__ = run.__doc__
        app.command(name)(call)

    return register


@command(MitigateSettings, "mitigate")
def _mitigate(settings: MitigateSettings, console: "Console") -> None:
    """Find the bias neurons of a model, take them out, and write the checkpoint with figures of what changed."""
    from biasectomy.commands.workflows import mitigate

    _show_results(mitigate(settings, console), console)


@command(EvaluateSettings, "evaluate")
def _evaluate(settings: EvaluateSettings, console: "Console") -> None:
    """Measure a model on a task, as it is or with a neuron set applied."""
    from biasectomy.commands.workflows import evaluate

    _show_results(evaluate(settings, console), console)


@command(FindSettings, "find")
def _find(settings: FindSettings, console: "Console") -> None:
    """Score the neurons of a model on a task and write the top ones to a file."""
    from biasectomy.commands.workflows import find

    find(settings, console)
    if console.json_output:
        console.print_json({"neurons": str(settings.out)})


@command(ApplySettings, "apply")
def _apply(settings: ApplySettings, console: "Console") -> None:
    """Make a checkpoint from a model and a saved neuron set."""
    if not is_main():
        return  # there is nothing to divide
    from biasectomy.commands.workflows import apply

    folder = apply(settings, console)
    if console.json_output:
        console.print_json({"model": str(folder)})


@app.command("ls")
def _list(
    kind: Annotated[str, typer.Argument(metavar="|".join(KINDS), help="What to list.", show_default=False)],
    json_output: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the tasks, models or attributions there are."""
    from biasectomy.cli.console import Console

    if kind not in KINDS:
        raise UnknownNameError("list", kind, KINDS)
    entries: Sequence[Mapping[str, Any]]
    if kind == "models":
        from biasectomy.models.sources import describe_models

        entries = describe_models()
    elif kind == "tasks":
        from biasectomy.tasks import describe_tasks

        entries = [asdict(task) for task in describe_tasks()]
    else:
        from biasectomy.attribution import describe_attributions

        entries = describe_attributions()
    console = Console(json_output=json_output, muted=not is_main())
    if json_output:
        console.print_json(entries)
    else:
        columns = [column for column in (entries[0] if entries else {}) if column not in ("citation", "source")]
        rows = [[_cell(entry.get(column)) for column in columns] for entry in entries]
        console.table("", [column.capitalize() for column in columns], rows)
        for note in dict.fromkeys(_cell(entry.get("source")) for entry in entries if entry.get("source")):
            console.say(f"Source: {note}")


def main() -> NoReturn:
    """The console command."""
    run_and_exit(app, "biasectomy", sys.argv[1:] or ["--help"], speaks=speaks)


def _stopped(settings: Settings, console: "Console") -> NoReturn:
    message = "Stopped."
    if isinstance(settings, MitigateSettings) or (isinstance(settings, EvaluateSettings) and settings.out):
        message += f" What was computed is kept in {settings.out}; go on with: {explicit_command(settings)} --resume"
    if is_main():
        sys.stderr.write(f"\n{message}\n")
    sys.exit(130)


def _show_results(results: Any, console: "Console") -> None:
    if console.json_output:
        console.print_json(results.to_json())
    else:
        console.results(results)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and help does not need it

    try:
        return version("biasectomy")
    except PackageNotFoundError:
        return "(not installed)"
