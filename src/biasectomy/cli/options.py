"""Command-line options made from the fields of settings, so that nothing is described twice."""

import functools
import inspect
from collections.abc import Collection
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from biasectomy.cli.completion import values_of
from biasectomy.cli.help import show_all
from biasectomy.commands.complaints import choices
from biasectomy.commands.settings_base import Settings, label, option_name, settable
from biasectomy.reading.products import kept_products

MAIN = "Main options"
PANELS = (
    "Task",
    "Method",
    "Finding neurons",
    "Evaluation",
    "Applying",
    "Describing",
    "Judging",
    "Sending",
    "Asking",
    "Making it again",
    "Model and machine",
    "Output",
)


def option_parameters(kind: type[Settings], shown: Collection[str] | None = None) -> dict[str, inspect.Parameter]:
    """A parameter for each setting, and one for --config, by the setting's name; those of sections have a panel each.

    Values stay text and unset ones None: the settings judge them, and the environment and the file can speak where the
    command line does not.

    Args:
        kind: of the command.
        shown: the settings that are wanted, where help is to show these alone; None for all.
    """
    fields = {name: field for name, field in settable(kind).items() if shown is None or name in shown}
    fields |= {name: kind.model_fields[name] for name in kind.positional}
    positional = {name: _parameter(name, *_argument(kind, name)) for name in kind.positional}
    panels = {name: _panel(kind, name) for name in fields if name not in positional}
    if shown is not None and kind.basic:
        panels |= {name: MAIN for name in kind.basic if panels[name] != PANELS[-1]}
    sections = [f"Options of {name}" for name in kind.sections or ()]
    order = [MAIN, *PANELS[:-2], *sections, *PANELS[-2:]]
    first = [*kind.basic, *panels] if shown is not None else list(panels)
    options = {
        name: _parameter(name, *_option(name, fields[name], panels[name]))
        for name in sorted(panels, key=lambda name: (order.index(panels[name]), first.index(name)))
    }
    config = typer.Option("--config", metavar="FILE", help="TOML file with settings.", rich_help_panel=PANELS[-1])
    every = typer.Option(
        "--help-all",
        help="Show every option.",
        rich_help_panel=PANELS[-1],
        callback=show_all,
        is_eager=True,
        expose_value=False,
        show_default=False,
    )
    last = {"config": _parameter("config", Path, config), "help_all": _parameter("help_all", bool, every)}
    return positional | options | last


def shown_in_help(kind: type[Settings], named: Collection[str]) -> Collection[str]:
    """The settings that --help shows: the basic ones, and those of the methods or attributions that are named."""
    plain = kind.basic or tuple(kind.model_fields)
    return {*plain, *(name for name in settable(kind) if name.rpartition(".")[0] in named)}


def _argument(kind: type[Settings], name: str) -> tuple[Any, Any]:
    details: dict[str, Any] = {"help": _help(kind.model_fields[name]), "autocompletion": values_of(name, ())}
    return str, typer.Argument(metavar=label(kind, name), show_default=False, **details)


def _option(name: str, field: FieldInfo, panel: str) -> tuple[Any, Any]:
    option = option_name(name)
    if field.annotation is bool:
        declared = f"{option}/--no-{option[2:]}" if field.default else option
        return bool, typer.Option(declared, help=_help(field), show_default=False, rich_help_panel=panel)
    completed = values_of(name, choices(field.annotation))
    details: dict[str, Any] = {"metavar": _metavar(field.annotation), "autocompletion": completed}
    said = _help(field) + (_formats() if name == "dtype" else "")
    return str, typer.Option(option, help=said, show_default=False, rich_help_panel=panel, **details)


@functools.cache
def _formats() -> str:
    """What was measured of this machine's number formats; empty where nothing was yet."""
    return "".join(f" {one.told()}." for one in kept_products())


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
    return len("|".join(chosen)) <= 18


def _panel(kind: type[Settings], name: str) -> str:
    section, dot, _ = name.rpartition(".")
    if dot:
        return f"Options of {section}"
    declaring: Any = next(one for one in reversed(kind.__mro__) if name in inspect.get_annotations(one))
    return str(declaring.panel)
