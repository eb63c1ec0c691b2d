"""Command-line options made from the fields of a settings model, so that nothing is described twice."""

import inspect
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo

from biasectomy.commands.settings import Settings, choices, option_name

PANELS = ("Evaluation", "Finding neurons", "Choosing n and saving", "Applying", "Model and machine", "Output")


def option_parameters(kind: type[Settings]) -> list[inspect.Parameter]:
    """A parameter for each field, and one for --config.

    Values stay text and unset ones None: the settings model judges them, and the environment and the
    file can speak where the command line does not.
    """
    arguments = [_parameter(name, *_argument(name, kind.model_fields[name])) for name in kind.positional]
    fields = [(name, field) for name, field in kind.model_fields.items() if name not in kind.positional]
    fields.sort(key=lambda pair: PANELS.index(_panel(kind, pair[0])))
    options = [_parameter(name, *_option(name, field, _panel(kind, name))) for name, field in fields]
    config = typer.Option("--config", metavar="FILE", help="TOML file with settings.", rich_help_panel=PANELS[-1])
    return [*arguments, *options, _parameter("config", Path, config)]


def _argument(name: str, field: FieldInfo) -> tuple[Any, Any]:
    label = name.removesuffix("_file").upper()
    return str, typer.Argument(metavar=label, help=_help(field), show_default=False)


def _option(name: str, field: FieldInfo, panel: str) -> tuple[Any, Any]:
    option = option_name(name)
    if field.annotation is bool:
        declared = f"{option}/--no-{option[2:]}" if field.default else option
        return bool, typer.Option(declared, help=_help(field), show_default=False, rich_help_panel=panel)
    metavar = _metavar(field.annotation)
    return str, typer.Option(option, metavar=metavar, help=_help(field), show_default=False, rich_help_panel=panel)


def _parameter(name: str, annotation: Any, details: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation | None, details]
    )


def _help(field: FieldInfo) -> str:
    description, default = field.description or "", field.default
    if not field.is_required() and default is not None and default is not False:
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else "on" if default is True else str(default)
        description += f" [default: {shown}]"
    return description.replace("[", "\\[")  # help is rich markup


def _metavar(annotation: Any) -> str:
    if chosen := choices(annotation):
        return "|".join(chosen)
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return {int: "INTEGER", float: "NUMBER", Path: "PATH", str: "NAME"}.get(kinds[0], "LIST")


def _panel(kind: type[Settings], name: str) -> str:
    declaring = next(one for one in reversed(kind.__mro__) if name in inspect.get_annotations(one))
    return str(vars(declaring)["panel"])
