"""Commands that have no settings: lists of names, and a look at a task of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biasectomy.cli.completion import values_of
from biasectomy.errors import UnknownNameError
from biasectomy.processes import is_main

if TYPE_CHECKING:
    pass


LISTS = ("attributions", "judges", "methods", "models", "tasks")
HIDDEN_COLUMNS = ("citation", "source")  # of lists, but for --json; they stand below
ONCE = ("title", "licence")  # columns of lists that are left blank where they say what stands above


def validate_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="TOML file that describes a task.", show_default=False)],
    json_output: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Check a task of your own, and show what it is and what it asks."""
    from biasectomy.cli.console import Console
    from biasectomy.commands.validate import validate

    found = validate(file)
    console = Console(json_output=json_output, muted=not is_main())
    if json_output:
        console.print_json(found.to_json())
    else:
        for line in found.lines():
            console.say(line)
        for warning in found.warnings:
            console.warn(warning)
        for defect in found.shown_defects():
            console.error(defect)
    if found.defects:
        raise typer.Exit(2)


def list_names(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="|".join(LISTS), help="What to list.", show_default=False, autocompletion=values_of("", LISTS)
        ),
    ],
    json_output: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
    plugin: Annotated[str, typer.Option("--plugin", metavar="LIST", help="Plugins to load before.")] = "",
) -> None:
    """List the tasks, models, methods, attributions or judges there are."""
    from biasectomy.cli.console import Console

    if kind not in LISTS:
        raise UnknownNameError("list", kind, LISTS)
    entries = _entries(kind)
    console = Console(json_output=json_output, muted=not is_main())
    if json_output:
        console.print_json(entries)
    elif not entries:
        console.say(f"There are no {kind} yet; a plugin can bring some.")
    else:
        columns = [column for column in entries[0] if column not in HIDDEN_COLUMNS]
        rows = [
            [
                "" if column in ONCE and entry[column] == above.get(column) else _cell(entry.get(column))
                for column in columns
            ]
            for above, entry in zip([{}, *entries], entries, strict=False)
        ]
        console.table("", [column.capitalize() for column in columns], rows)
        for hidden in HIDDEN_COLUMNS:
            for note in dict.fromkeys(_cell(entry.get(hidden)) for entry in entries if entry.get(hidden)):
                console.say(f"{hidden.capitalize()}: {note}")


def _entries(kind: str) -> Sequence[Mapping[str, Any]]:
    if kind == "models":
        from biasectomy.models.sources import describe_models

        return describe_models()
    if kind == "tasks":
        from biasectomy.tasks import describe_tasks

        return [asdict(task) for task in describe_tasks()]
    if kind == "methods":
        from biasectomy.methods import describe_methods

        return describe_methods()
    if kind == "judges":
        from biasectomy.tasks.judges import describe_judges

        return describe_judges()
    from biasectomy.attribution import describe_attributions

    return describe_attributions()


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
