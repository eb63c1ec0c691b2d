"""The command line: parses, calls, prints. Options come from the settings."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from biasectomy.cli.completion import asked_words, values_of, whole_words
from biasectomy.cli.exits import run_and_exit
from biasectomy.cli.help import SuggestingGroup, TeachingCommand, teaching
from biasectomy.errors import BiasectomyError, UnknownNameError
from biasectomy.processes import is_main, speaks

if TYPE_CHECKING:
    from biasectomy.cli.console import Console

LISTS = ("attributions", "judges", "methods", "models", "tasks")
HIDDEN_COLUMNS = ("citation", "source")  # of lists, but for --json; they stand below
HELP, HELP_ALL = {"-h", "--help"}, "--help-all"
NAMING = ("--method", "--methods", "--attribution")  # options that name what has options of its own
ONCE = ("title", "licence")  # columns of lists that are left blank where they say what stands above
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


def _mitigate(settings: Any, console: "Console") -> None:
    """Fit a method to a model, write the checkpoint, and show what changed beside a control."""
    from biasectomy.commands.mitigate import run

    _show(run(settings), settings, console)
    if (pushing := settings.pushing()) is not None and is_main():
        from biasectomy.cli.finished import show_push
        from biasectomy.commands import push

        show_push(push.run(pushing), console, alone=False)


def _compare(settings: Any, console: "Console") -> None:
    """Fit several methods, ask each the same items, and show them in one table."""
    from biasectomy.commands.compare import run

    _show(run(settings), settings, console)


def _evaluate(settings: Any, console: "Console") -> None:
    """Measure a model on a task, as it is or with a neuron set applied."""
    if settings.plan:
        _plan(settings, console)
        return
    from biasectomy.commands.evaluate import run

    _show(run(settings), settings, console)


def _plan(settings: Any, console: "Console") -> None:
    from biasectomy.commands.planning import run

    plan = run(settings)
    if console.json_output:
        console.print_json(plan.to_json())
        return
    for task in dict.fromkeys(row.task for row in plan.rows):
        console.table(task, plan.heads(settings.change), [row.row() for row in plan.rows if row.task == task])
    for note in plan.notes():
        console.say(note)


def _find(settings: Any, console: "Console") -> None:
    """Score the neurons of a model on a task and write the top ones to a file."""
    from biasectomy.commands.find import run

    run(settings)
    if console.json_output:
        console.print_json({"neurons": str(settings.out)})


def _apply(settings: Any, console: "Console") -> None:
    """Make a checkpoint or an adapter from a model and a saved neuron set."""
    if not is_main():
        return  # there is nothing to divide
    from biasectomy.commands.apply import run

    folder = run(settings)
    if console.json_output:
        console.print_json({"adapter" if settings.save_as == "adapter" else "model": str(folder)})


def _describe(settings: Any, console: "Console") -> None:
    """Tell what the neurons of a set are: layers, tokens they write towards, where they are active, overlap."""
    if not is_main():
        return  # there is nothing to divide
    from biasectomy.commands.describe import run

    description = run(settings)
    if console.json_output:
        console.print_json(description.to_json())
    else:
        console.description(description)


def _judge(settings: Any, console: "Console") -> None:
    """Judge the generated texts of a finished run again, without a model."""
    if not is_main():
        return  # there is nothing to divide
    from biasectomy.commands.judge import run

    _show_results(run(settings), console, settings.run, full=settings.full)


def _push(settings: Any, console: "Console") -> None:
    """Show what of a finished run would go to the hub: checkpoint, card, neurons, report; --yes sends it."""
    if not is_main():
        return  # there is nothing to divide
    from biasectomy.cli.finished import show_push
    from biasectomy.commands.push import run

    show_push(run(settings), console)


def _ask(settings: Any, console: "Console") -> None:
    """Ask the original and what a run made of it the same questions, and see their answers side by side."""
    if not is_main():
        return  # there is nothing to divide
    from biasectomy.cli.asking import ask_lines
    from biasectomy.commands.ask import opened

    with opened(settings) as pair:
        ask_lines(pair, console)


def _replay(settings: Any, console: "Console") -> None:
    """Make a finished run again from its record, and say which figures agree; the exit code is 1 where some do not."""
    from biasectomy.cli.finished import show_replay
    from biasectomy.commands.replay import run

    found = run(settings)
    if found is not None:
        show_replay(found, console)
        if not found.agrees:
            raise typer.Exit(1)


RUNS: dict[str, Callable[[Any, "Console"], None]] = {
    "mitigate": _mitigate,
    "compare": _compare,
    "evaluate": _evaluate,
    "find": _find,
    "apply": _apply,
    "describe": _describe,
    "judge": _judge,
    "push": _push,
    "ask": _ask,
    "replay": _replay,
}


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
    app.command("show", cls=teaching(OWN_EXAMPLES["show"]), rich_help_panel=PANELS["show"])(_show_run)
    app.command("validate", cls=teaching(OWN_EXAMPLES["validate"]), rich_help_panel=PANELS["validate"])(_validate)
    app.command("ls", cls=teaching(OWN_EXAMPLES["ls"]), rich_help_panel=PANELS["ls"])(_list)
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

        _show(STUDIES[name].run(settings), settings, console)

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


def _validate(
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


def _show_run(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.", show_default=False)],
    full: Annotated[bool, typer.Option("--full", help="Print all figures, not the first ones only.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print what the run found as JSON.")] = False,
) -> None:
    """Show what a finished run found, without a model."""
    from biasectomy.cli.console import Console
    from biasectomy.files import expanded
    from biasectomy.report.finished import FinishedRun

    finished = FinishedRun.read(expanded(run))
    console = Console(json_output=json_output, muted=not is_main())
    _show_results(finished.results, console, finished.folder, full=full, judged=finished.judged())


def _list(
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


def main() -> NoReturn:
    """The console command."""
    completing = asked_words()
    arguments = completing or sys.argv[1:] or ["--help"]

    def may_speak() -> bool:  # an error within a line that is still being typed would be printed into it
        return completing is None and speaks()

    with whole_words():
        run_and_exit(lambda: application(arguments), "biasectomy", arguments, speaks=may_speak)


def _show(outcome: Any, settings: Any, console: "Console") -> None:
    _show_results(outcome.results, console, outcome.folder, full=settings.full)


def _show_results(
    results: Any, console: "Console", folder: Path | None, *, full: bool, judged: Mapping[str, Any] | None = None
) -> None:
    if console.json_output:
        console.print_json(results.to_json())
    else:
        console.results(results, folder, full=full, judged=judged)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and help does not need it

    try:
        return version("biasectomy")
    except PackageNotFoundError:
        return "(not installed)"
