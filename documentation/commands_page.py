"""The page of commands and their options, written from the command line itself."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Row = tuple[str, str]
STUDY = "study "

OF_SECTION = "Options of "  # panels of methods and attributions, which several commands have alike
INTRODUCTION = """# Commands

Every option can also come from the environment (`BIASECTOMY_MAX_ITEMS=400`, `BIASECTOMY_CRISPR_GRID=0,8`) or from a
TOML file (`--config run.toml`, with `max_items = 400` and a table `[crispr]`). The command line wins over the
environment, the environment over the file. `biasectomy COMMAND --help` says the same as this page.
"""


def commands_page() -> str:
    """The page, as Markdown: commands one by one, then what studies share, and the options of methods, each once."""
    parts, sections, shared, all_rows = (
        [INTRODUCTION],
        dict[str, list[Any]](),
        _of_every_study(),
        dict[str, list[Row]](),
    )
    for words, command in commands():
        panels = _panels(command)
        for name in [name for name in panels if name.startswith(OF_SECTION)]:
            sections.setdefault(name, panels.pop(name))
        rows = {name: [_row(one) for one in parameters] for name, parameters in panels.items()}
        if words.startswith(STUDY):
            for name in rows:
                all_rows.setdefault(name, [row for row in rows[name] if row in shared])
            rows = {name: own for name, told in rows.items() if (own := [row for row in told if row not in shared])}
        parts += _command(words, command, rows)
        if words.startswith(STUDY):
            parts.append("And the [options of every study](#options-of-every-study).\n")
    parts.append("## Options of every study\n")
    parts += [f"**{name}**\n\n{_rows(('option', 'what'), told)}" for name, told in all_rows.items() if told]
    parts.append(
        "## Options of methods and attributions\n\nThose of `mitigate`, `compare`, `find` and of studies that fit.\n"
    )
    for name, parameters in sorted(sections.items()):
        parts += [f"### {name[0].upper()}{name[1:]}\n", _rows(("option", "what"), map(_row, parameters))]
    return "\n".join(parts)


def _of_every_study() -> set[Row]:
    """The options that are the same for all studies."""
    told = [
        {_row(one) for parameters in _panels(command).values() for one in parameters}
        for words, command in commands()
        if words.startswith(STUDY)
    ]
    return set.intersection(*told)


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


def _command(words: str, command: Any, panels: Mapping[str, Iterable[Row]]) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    shown = " ".join([f"biasectomy {words}", *map(_named, arguments)])
    yield f"## `{words}`\n\n{_text(command.help or '')}\n\n```text\n{shown} [OPTIONS]\n```\n"
    for title in ("examples", "presets"):
        if pairs := getattr(command, title, ()):
            yield f"**{title.capitalize()}**\n\n" + "".join(f"- `{line}`: {_with_code(said)}\n" for line, said in pairs)
    if arguments:
        rows = [(f"`{_named(one)}`", _text(one.help or "")) for one in arguments]
        yield _rows(("argument", "what"), rows)
    for name, told in panels.items():
        yield f"**{name}**\n\n{_rows(('option', 'what'), told)}"


def _named(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _row(parameter: Any) -> Row:
    return _option(parameter), _text(parameter.help or "")


def _option(parameter: Any) -> str:
    names = [f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts)]
    if getattr(parameter, "is_flag", False) or not parameter.metavar:
        return ", ".join(names)
    kinds = " or ".join(f"`{one}`" for one in parameter.metavar.split("|"))
    return f"{', '.join(names)} {kinds}"


def _rows(head: Row, rows: Iterable[Row]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {one} | {_cell(other)} |" for one, other in rows)]
    return "\n".join(lines) + "\n"


def _text(said: str) -> str:
    """Help as Markdown: what it would read as a link or as HTML is text; rich's own escapes are taken off."""
    return " ".join(said.replace("\\[", "[").replace("[", "\\[").replace("<", "&lt;").split())


def _with_code(said: str) -> str:
    """What a preset stands for: its sentence, and its options as code."""
    sentence, dashes, options_of_it = said.partition(" --")
    return f"{sentence} `--{options_of_it}`" if dashes else said


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(commands_page())
