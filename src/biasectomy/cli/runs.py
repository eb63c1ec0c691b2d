"""What each command calls, and how it shows what came of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biasectomy.processes import is_main

if TYPE_CHECKING:
    from biasectomy.cli.console import Console


def _mitigate(settings: Any, console: "Console") -> None:
    """Fit a method to a model, write the checkpoint, and show what changed beside a control."""
    from biasectomy.commands.mitigate import run

    show(run(settings), settings, console)
    if (pushing := settings.pushing()) is not None and is_main():
        from biasectomy.cli.finished import show_push
        from biasectomy.commands import push

        show_push(push.run(pushing), console, alone=False)


def _compare(settings: Any, console: "Console") -> None:
    """Fit several methods, ask each the same items, and show them in one table."""
    from biasectomy.commands.compare import run

    show(run(settings), settings, console)


def _evaluate(settings: Any, console: "Console") -> None:
    """Measure a model on a task, as it is or with a neuron set applied."""
    if settings.plan:
        _plan(settings, console)
        return
    from biasectomy.commands.evaluate import run

    show(run(settings), settings, console)


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
    elsewhere = plan.elsewhere
    console.table("Elsewhere", elsewhere.heads(), elsewhere.table())
    for note in elsewhere.notes():
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

    show_results(run(settings), console, settings.run, full=settings.full)


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


def show_run(
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
    show_results(finished.results, console, finished.folder, full=full, judged=finished.judged())


def show(outcome: Any, settings: Any, console: "Console") -> None:
    show_results(outcome.results, console, outcome.folder, full=settings.full)


def show_results(
    results: Any, console: "Console", folder: Path | None, *, full: bool, judged: Mapping[str, Any] | None = None
) -> None:
    if console.json_output:
        console.print_json(results.to_json())
    else:
        console.results(results, folder, full=full, judged=judged)
