"""The command line: parses, calls, prints. Options come from the settings."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from biasectomy.cli.completion import asked_words, whole_words
from biasectomy.cli.exits import run_and_exit
from biasectomy.cli.help import SuggestingGroup, TeachingCommand, teaching
from biasectomy.cli.lists import list_names, validate_file
from biasectomy.cli.runs import RUNS, show, show_run
from biasectomy.errors import BiasectomyError
from biasectomy.processes import is_main, speaks

if TYPE_CHECKING:
    from biasectomy.cli.console import Console


HELP, HELP_ALL = {"-h", "--help"}, "--help-all"
NAMING = ("--method", "--methods", "--attribution")  # options that name what has options of its own
PANELS = (
    dict.fromkeys(("mitigate", "compare", "evaluate", "study"), "Mitigate and measure")
    | dict.fromkeys(("show", "ask", "judge", "describe", "replay", "push"), "Look at what was found")
    | dict.fromkeys(("find", "apply"), "Step by step")
    | dict.fromkeys(("ls", "validate"), "What there is")
)
EXAMPLES = (
    ("biasectomy mitigate smollm2 --preset quick", "Edit a small model and prove what changed, in minutes."),
    ("biasectomy evaluate MODEL --task bbq:all --out before", "Only measure: how biased is it?"),
    ("biasectomy show run", "What a finished run found, and what to do with it."),
)
OWN_EXAMPLES = {  # of commands that have no settings
    "show": (
        ("biasectomy show run", "Verdict, headline figures, a small plot and what to do now."),
        ("biasectomy show run --full", "Every figure."),
        ("biasectomy show run --json | jq .verdict", "The same for programs."),
    ),
    "validate": (
        ("biasectomy validate mine.toml", "What a task of your own is, and whether it is sound."),
        ("biasectomy validate mine.toml --json", "The same for programs."),
        ("biasectomy evaluate smollm2 --task mine.toml", "Asks it."),
    ),
    "ls": (
        ("biasectomy ls tasks", "What can be asked; 'ls methods': what can be done."),
        ("biasectomy ls models", "Models that have a short name."),
        ("biasectomy ls methods --plugin mine.py --json", "With methods of your own, for programs."),
    ),
}


class Commands(SuggestingGroup):
    """All commands."""

    examples = EXAMPLES


class Studies(SuggestingGroup):
    """The studies, as commands of a command."""

    kind = "study"


def application(arguments: Sequence[str]) -> typer.Typer:
    """The commands; options are made only for the one that the arguments name, since that takes time.

    Raises:
        SettingsError, PluginError: a configuration file or a plugin that the arguments name cannot be used; plugins
            bring options of their own.
    """
    app = typer.Typer(
        cls=Commands,
        add_completion=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(biasectomy)
    wanted = next((argument for argument in arguments if argument in (*RUNS, "study", "ls")), None)
    if wanted is not None:
        _load_plugins(arguments)
    for name, run in RUNS.items():
        _add(app, name, run, arguments if name == wanted else None)
    app.add_typer(_studies(arguments if wanted == "study" else ()), name="study", rich_help_panel=PANELS["study"])
    app.command("show", cls=teaching(OWN_EXAMPLES["show"]), rich_help_panel=PANELS["show"])(show_run)
    app.command("validate", cls=teaching(OWN_EXAMPLES["validate"]), rich_help_panel=PANELS["validate"])(validate_file)
    app.command("ls", cls=teaching(OWN_EXAMPLES["ls"]), rich_help_panel=PANELS["ls"])(list_names)
    return app


def _add(
    app: typer.Typer,
    name: str,
    run: Callable[[Any, "Console"], None],
    arguments: Sequence[str] | None,
    full_name: str | None = None,
) -> None:
    """Adds a command; its options only where the arguments of the command line ask for it."""
    panel = PANELS.get(name)
    if arguments is None:
        app.command(name, rich_help_panel=panel)(_described(run))
        return
    made = _command(full_name or name, run, arguments)
    lenient = {"ignore_unknown_options": True} if made["lenient"] else {}
    app.command(name, cls=made["cls"], rich_help_panel=panel, context_settings=lenient)(made["call"])


def _studies(arguments: Sequence[str]) -> typer.Typer:
    """The studies as commands; none is looked for where no words ask for one, since that takes time."""
    app = typer.Typer(
        cls=Studies,
        no_args_is_help=True,
        help="Run a study: several fits and measurements that answer one question ('study --help' names them).",
    )
    app.callback()(lambda: None)
    if not arguments:
        return app
    from biasectomy.commands.studies import STUDIES
    from biasectomy.registry import described

    wanted = next((argument for argument in arguments if argument in STUDIES), None)
    for name in STUDIES:
        run = _study(name, described(STUDIES[name]))
        _add(app, name, run, arguments if name == wanted else None, f"study {name}")
    return app


def _study(name: str, said: str) -> Callable[[Any, "Console"], None]:
    def run(settings: Any, console: "Console") -> None:
        from biasectomy.commands.studies import STUDIES

        show(STUDIES[name].run(settings), settings, console)

    run.__doc__ = said
    return run


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"biasectomy {_version()}")
        raise typer.Exit


def biasectomy(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the neurons that make a language model answer with a stereotype, change them, prove what changed."""


def _load_plugins(arguments: Sequence[str]) -> None:
    """Loads the plugins that the command line, the environment or a configuration file names."""
    named = _given(arguments, "--plugin") or os.environ.get("BIASECTOMY_PLUGIN")
    config = _given(arguments, "--config")
    if not named and not config:
        return
    from biasectomy.commands.settings_base import PLUGIN, load_plugins
    from biasectomy.commands.settings_loading import read_config

    load_plugins(named or read_config(Path(str(config))).get(PLUGIN))


def _given(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option, before the options there are are known."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None


def _described(run: Callable[..., None]) -> Callable[[], None]:
    def call() -> None: ...

    call.__doc__ = run.__doc__
    return call


def _command(name: str, run: Callable[[Any, "Console"], None], arguments: Sequence[str]) -> dict[str, Any]:
    """What typer takes to make a command of `run(settings, console)`, whose options are the settings of its name."""
    from biasectomy.cli.options import option_parameters, shown_in_help
    from biasectomy.cli.stopping import kept_in, stoppable, stopped
    from biasectomy.commands.names import check_names
    from biasectomy.commands.settings_loading import all_commands, load_settings

    kind = all_commands()[name]
    # Where help is asked for, only the options are made that it shows: hundreds take time.
    brief = not HELP.isdisjoint(arguments) and HELP_ALL not in arguments
    shown = shown_in_help(kind, _named(arguments)) if brief else None
    parameters = option_parameters(kind, shown)
    names = {parameter.name: setting for setting, parameter in parameters.items()}

    def call(**given: Any) -> None:
        from biasectomy.cli.console import Console

        config = given.pop("config")
        settings = load_settings(kind, {names[key]: one for key, one in given.items() if one is not None}, config)
        values = settings.__dict__
        console = Console(quiet=values["quiet"], json_output=values["json_output"], muted=not is_main())
        try:
            with stoppable(), console.listening():
                check_names(settings)
                run(settings, console)
        except KeyboardInterrupt as request:
            stopped(settings, request)
        except BiasectomyError as error:
            if kept := kept_in(settings, error):
                error.args = (f"{error} {kept}",)
            raise

    call.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters.values()}
    call.__doc__ = run.__doc__
    return {"call": call, "cls": _teaching(name, kind, parameters if brief else None, arguments), "lenient": brief}


def _teaching(name: str, kind: Any, shown: Any, arguments: Sequence[str]) -> type[TeachingCommand]:
    """How a command's help looks: its examples, what presets stand for, and where other options are told."""
    if HELP.isdisjoint(arguments) and HELP_ALL not in arguments:
        return TeachingCommand
    from biasectomy.commands.presets import PRESET
    from biasectomy.commands.settings_base import settable
    from biasectomy.commands.settings_loading import purposes, told_presets

    hints = []
    more = len(settable(kind)) - len(shown) + 2 if shown is not None else 0  # two are no settings
    if more > 0:
        what = "What presets set, and " if PRESET in kind.model_fields else ""
        hints.append(f"{what}{more} more options: biasectomy {name} --help-all.")
    if kind.sections is not None and shown is not None:
        option = next((one for one in NAMING if one[2:] in kind.model_fields), NAMING[0])
        hints.append(f"Those of one of the {option[2:].rstrip('s')}s: biasectomy {name} {option} NAME --help.")
    named = _named(arguments)
    if shown is None or named:
        return teaching(kind.examples, told_presets(kind, named), " ".join(hints))
    return teaching(kind.examples, purposes(kind), " ".join(hints))


def _named(arguments: Sequence[str]) -> list[str]:
    """The methods or attributions that a command line names."""
    return [name for option in NAMING for name in (_given(arguments, option) or "").split(",") if name]


def main() -> NoReturn:
    """The console command."""
    completing = asked_words()
    arguments = completing or sys.argv[1:] or ["--help"]

    def may_speak() -> bool:  # an error within a line that is still being typed would be printed into it
        return completing is None and speaks()

    with whole_words():
        run_and_exit(lambda: application(arguments), "biasectomy", arguments, speaks=may_speak)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and help does not need it

    try:
        return version("biasectomy")
    except PackageNotFoundError:
        return "(not installed)"
