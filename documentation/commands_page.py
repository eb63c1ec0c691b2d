"""The page of commands and their options, written from the command line itself."""

from collections.abc import Iterable, Iterator
from typing import Any

OF_SECTION = "Options of "  # panels of methods and attributions, which several commands have alike
INTRODUCTION = """# Commands

Every option can also come from the environment (`BIASECTOMY_MAX_ITEMS=400`, `BIASECTOMY_CRISPR_GRID=0,8`) or from a
TOML file (`--config run.toml`, with `max_items = 400` and a table `[crispr]`). The command line wins over the
environment, the environment over the file. `biasectomy COMMAND --help` says the same as this page.
"""


def commands_page() -> str:
    """The page, as Markdown: commands one by one, then the options of methods and attributions, each once."""
    parts, sections = [INTRODUCTION], dict[str, list[Any]]()
    for words, command in commands():
        panels = _panels(command)
        for name in [name for name in panels if name.startswith(OF_SECTION)]:
            sections.setdefault(name, panels.pop(name))
        parts += _command(words, command, panels)
    parts.append(
        "## Options of methods and attributions\n\nThose of `mitigate`, `compare`, `find` and of studies that fit.\n"
    )
    for name, parameters in sorted(sections.items()):
        parts += [f"### {name[0].upper()}{name[1:]}\n", _table(parameters)]
    return "\n".join(parts)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by the words that call it, with all its options; a study is `study transfer`."""
    for name, command in _made([]).commands.items():
        if not hasattr(command, "commands"):
            yield name, _made([name, "--help-all"]).commands[name]
            continue
        for inner in _made([name]).commands[name].commands:
            yield f"{name} {inner}", _made([name, inner, "--help-all"]).commands[name].commands[inner]


def options(command: Any) -> Iterator[str]:
    """The options of a command as they are typed."""
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield from (*parameter.opts, *parameter.secondary_opts)


def _made(arguments: list[str]) -> Any:
    """The command line as it is made for some words; options are made only for the command that they name."""
    from typer.main import get_command

    from biasectomy.cli.app import application

    return get_command(application(arguments))


def _panels(command: Any) -> dict[str, list[Any]]:
    """Options by the heading under which help has them."""
    found: dict[str, list[Any]] = {}
    for parameter in command.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
            found.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(parameter)
    return found


def _command(words: str, command: Any, panels: dict[str, list[Any]]) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    shown = " ".join([f"biasectomy {words}", *map(_named, arguments)])
    yield f"## `{words}`\n\n{_text(command.help or '')}\n\n```text\n{shown} [OPTIONS]\n```\n"
    for title in ("examples", "presets"):
        if pairs := getattr(command, title, ()):
            yield f"**{title.capitalize()}**\n\n" + "".join(f"- `{line}`: {said}\n" for line, said in pairs)
    if arguments:
        rows = [(f"`{_named(one)}`", _text(one.help or "")) for one in arguments]
        yield _rows(("argument", "what"), rows)
    for name, parameters in panels.items():
        yield f"**{name}**\n\n{_table(parameters)}"


def _named(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _table(parameters: Iterable[Any]) -> str:
    return _rows(("option", "what"), ((_option(one), _text(one.help or "")) for one in parameters))


def _option(parameter: Any) -> str:
    names = [f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts)]
    if getattr(parameter, "is_flag", False) or not parameter.metavar:
        return ", ".join(names)
    kinds = " or ".join(f"`{one}`" for one in parameter.metavar.split("|"))
    return f"{', '.join(names)} {kinds}"


def _rows(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {one} | {_cell(other)} |" for one, other in rows)]
    return "\n".join(lines) + "\n"


def _text(said: str) -> str:
    """Help as Markdown: what it would read as a link or as HTML is text; rich's own escapes are taken off."""
    return " ".join(said.replace("\\[", "[").replace("[", "\\[").replace("<", "&lt;").split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(commands_page())
