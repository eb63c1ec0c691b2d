"""Command-line options made from the fields of settings, so that nothing is described twice."""

import inspect
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from biasectomy.commands.complaints import choices
from biasectomy.commands.settings_base import Settings, label, option_name, settable

PANELS = (
    "Task",
    "Method",
    "Finding neurons",
    "Evaluation",
    "Applying",
    "Describing",
    "Judging",
    "Model and machine",
    "Output",
)


def option_parameters(kind: type[Settings]) -> dict[str, inspect.Parameter]:
    """A parameter for each setting, and one for --config, by the setting's name; those of sections have a panel each.

    Values stay text and unset ones None: the settings judge them, and the environment and the file can speak where the
    command line does not.
    """
    fields = settable(kind)
    positional = {name: _parameter(name, *_argument(kind, name)) for name in kind.positional}
    panels = {name: _panel(kind, name) for name in fields if name not in positional}
    sections = [f"Options of {name}" for name in kind.sections or ()]
    order = [*PANELS[:-2], *sections, *PANELS[-2:]]
    options = {
        name: _parameter(name, *_option(name, fields[name], panels[name]))
        for name in sorted(panels, key=lambda name: order.index(panels[name]))
    }
    config = typer.Option("--config", metavar="FILE", help="TOML file with settings.", rich_help_panel=PANELS[-1])
    return positional | options | {"config": _parameter("config", Path, config)}


def _argument(kind: type[Settings], name: str) -> tuple[Any, Any]:
    help_text = _help(kind.model_fields[name])
    return str, typer.Argument(metavar=label(kind, name), help=help_text, show_default=False)


def _option(name: str, field: FieldInfo, panel: str) -> tuple[Any, Any]:
    option = option_name(name)
    if field.annotation is bool:
        declared = f"{option}/--no-{option[2:]}" if field.default else option
        return bool, typer.Option(declared, help=_help(field), show_default=False, rich_help_panel=panel)
    metavar = _metavar(field.annotation)
    return str, typer.Option(option, metavar=metavar, help=_help(field), show_default=False, rich_help_panel=panel)


def _parameter(name: str, annotation: Any, details: Any) -> inspect.Parameter:
    identifier = name.replace(".", "__").replace("-", "_")
    return inspect.Parameter(
        identifier, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation | None, details]
    )


def _help(field: FieldInfo) -> str:
    description, default = field.description or "", field.default
    if not field.is_required() and default is not None and default is not False and default not in ((), ""):
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else "on" if default is True else str(default)
        description += f" [default: {shown}]"
    if (chosen := choices(field.annotation)) and not _is_short(chosen):
        description += f" [one of: {', '.join(chosen)}]"
    return description.replace("[", "\\[")  # help is rich markup


def _metavar(annotation: Any) -> str:
    if (chosen := choices(annotation)) and _is_short(chosen):
        return "|".join(chosen)
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    kind = get_origin(kinds[0]) or kinds[0]
    return {int: "INTEGER", float: "NUMBER", Path: "PATH", str: "NAME", Literal: "NAME"}.get(kind, "LIST")


def _is_short(chosen: list[str]) -> bool:
    """Whether choices leave room for the names of options on a terminal of 80 columns."""
    return len("|".join(chosen)) <= 16


def _panel(kind: type[Settings], name: str) -> str:
    section, dot, _ = name.rpartition(".")
    if dot:
        return f"Options of {section}"
    declaring: Any = next(one for one in reversed(kind.__mro__) if name in inspect.get_annotations(one))
    return str(declaring.panel)
