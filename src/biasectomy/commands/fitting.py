"""Planning, opening and forecasting what a command fits and measures, before anything is computed."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from biasectomy.commands.experiment import FITTING, MEASURING, Experiment, Measurement
from biasectomy.commands.forecast import FORECAST
from biasectomy.commands.holding import holding
from biasectomy.commands.number_format import Asking, open_in_format
from biasectomy.commands.opening import (
    MODEL,
    TASKS,
    admitted,
    describe_neurons,
    open_harness,
    open_tasks,
    split_task,
)
from biasectomy.commands.replacing import refuse_output
from biasectomy.commands.run_folder import open_run
from biasectomy.commands.settings_shared import EvaluationSettings, FittingSettings
from biasectomy.errors import DataError, SettingsError, SourceError
from biasectomy.methods import METHODS, Cost, Method
from biasectomy.methods.base import ReadsData
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import say, stages
from biasectomy.processes import Processes, join
from biasectomy.tasks import Split, Task


@dataclass(frozen=True)
class Planned:
    """What a command fits and measures, settled before the model is loaded.

    `methods`, and the items that each learns from in `development`, are by the name of a row; `splits` are those that
    the items come from, `questions` about how many questions' time fitting takes, `definitions` the kinds of neurons
    that methods change. `answered` is how many times all is asked beside the original, or tells it of a model; None: as
    often as the methods say. `settings` are those of the command as far as the tasks take them.
    """

    methods: Mapping[str, Method]
    development: Mapping[str, Task]
    measured: Sequence[Measurement]
    splits: Sequence[Split]
    questions: float
    definitions: Sequence[str] = ()
    answered: float | Callable[[LanguageModel], float] | None = None
    settings: FittingSettings | None = None


@contextmanager
def claimed(
    folder: Path | None,
    settings: EvaluationSettings,
    processes: Processes,
    model: LanguageModel | str | None = None,
) -> Iterator[None]:
    """A block in which a command has its run folder, if it has one, to itself, and may write to it as it was asked to.

    Raises:
        RunError: it holds what is not to be replaced, cannot be written, or another process is at work in it.
    """
    if folder is not None:
        processes.once(lambda: refuse_output(settings, model))
    with holding(folder, processes):
        yield


@contextmanager
def fitting(
    settings: FittingSettings,
    model: LanguageModel | str | None,
    task: Task | str | None,
    folder: Path | None,
    without: Collection[str] = (),
    optional: Collection[str] = (),
) -> Iterator[tuple[Experiment, dict[str, Method]]]:
    """A block in which the methods of a command can be fitted to development items and measured on the others.

    Args:
        settings: of the command; their methods in use are made.
        model: stands in for that of the settings.
        task: stands in for that of the settings; methods are fitted on the first, and all are measured.
        folder: of the run; None where nothing is kept.
        without: methods that are not wanted after all.
        optional: methods that are left out where they cannot be fitted.

    Raises:
        BiasectomyError: whatever can be refused before anything is computed is refused first.
    """

    def plan(processes: Processes) -> Planned:
        methods: dict[str, Method] = {
            name: METHODS[name](settings.section(name)) for name in settings.in_use() if name not in without
        }
        tasks = open_tasks(settings, processes, task)
        as_taken = admitted(settings, tasks[0])
        split = split_task(tasks[0], as_taken)
        split = split._replace(test=split.test.limited(settings.test_items, seed=settings.seed))
        tasks[0].goal(as_taken.objective)
        questions = _expected(methods, split.development, settings.data, optional)
        measured = [(split.test, "test"), *((other, "all") for other in tasks[1:])]
        defined = [getattr(settings.section(name), "definition", None) for name in methods]
        definitions = [one for one in dict.fromkeys(defined) if one is not None]
        development = dict.fromkeys(methods, split.development)
        return Planned(methods, development, measured, (split,), questions, definitions, settings=as_taken)

    with experimenting(settings, model, folder, plan) as (experiment, planned):
        yield experiment, dict(planned.methods)


@contextmanager
def experimenting(
    settings: FittingSettings,
    model: LanguageModel | str | None,
    folder: Path | None,
    plan: Callable[[Processes], Planned],
) -> Iterator[tuple[Experiment, Planned]]:
    """A block in which what is planned can be fitted and measured.

    Args:
        settings: of the command.
        model: stands in for that of the settings.
        folder: of the run; None where nothing is kept.
        plan: opens tasks and makes methods.

    Raises:
        BiasectomyError: whatever can be refused before anything is computed is refused first.
    """
    names = (TASKS, MODEL, FORECAST, FITTING, MEASURING)
    with (
        join(settings.device, settings.shard) as processes,
        claimed(folder, settings, processes, model),
        stages(*names),
    ):
        harness = open_harness(settings, processes)
        planned = plan(processes)
        settings = planned.settings or settings
        asking = Asking(_first_development(planned), _questions(planned), fits=True)
        if settings.shard:
            refuse_unsharded(planned.methods)
        language_model, number_format = open_in_format(settings, processes, model, asking, folder)
        for definition in planned.definitions:
            describe_neurons(language_model, definition)
        with open_run(folder, settings, processes) as run:
            experiment = Experiment(
                settings,
                processes,
                language_model,
                run,
                planned.measured,
                planned.development,
                planned.splits,
                harness=harness,
                number_format=number_format,
            )
            experiment.prepare(planned.questions, _all_times(planned, language_model))
            yield experiment, planned


def _first_development(planned: Planned) -> Task:
    """The items that number formats are tried on: some of those that are learned from."""
    return next(iter(planned.development.values()), planned.measured[0][0])


def _questions(planned: Planned) -> float:
    """How many questions' time the run takes, as far as that is known before the model is there."""
    asked = sum(len(task.items) * len(task.instructions) for task, _ in planned.measured)
    told = planned.answered if not callable(planned.answered) else 0.0
    return planned.questions + asked * (sum(map(_times_asked, planned.methods.values())) if told is None else 1 + told)


def refuse_unsharded(methods: Mapping[str, Method]) -> None:
    """Refuses methods that cannot have a model whose weights are spread over processes.

    Raises:
        SettingsError: names the first of them, and those that can.
    """
    able = [name for name in METHODS if METHODS[name].profile.sharded]
    for method in methods.values():
        if not method.profile.sharded:
            raise SettingsError(
                f"{method.title} needs a model whose weights are in one place; with --shard there are "
                f"{', '.join(able)}."
            )


def _all_times(planned: Planned, model: LanguageModel) -> float:
    """How many times all questions are asked, as far as that is known beforehand."""
    if planned.answered is None:
        return sum(map(_times_asked, planned.methods.values()))
    return 1 + (planned.answered(model) if callable(planned.answered) else planned.answered)


def _times_asked(method: Method) -> float:
    """How many questions an answer of a method takes, as far as that is known beforehand, under all of its draws."""
    cost = getattr(method, "cost", None)
    asked = cost.questions_per_answer if isinstance(cost, Cost) else 1.0
    return float(getattr(method, "draws", 1) * asked)


def checked(method: Method, development: Task, data: Path | None) -> float:
    """About how many questions' time fitting a method takes.

    Raises:
        SettingsError, SourceError, DataError: it cannot be fitted to these items, or lacks data of its own.
    """
    expected = method.expected_questions(development)
    if isinstance(method, ReadsData):
        method.check_data(data)
    return expected


def _expected(methods: dict[str, Method], development: Task, data: Path | None, optional: Collection[str]) -> float:
    """About how many questions' time fitting takes; methods that are optional and cannot be fitted are taken out."""
    total = 0.0
    for name, method in list(methods.items()):
        try:
            total += checked(method, development, data)
        except (SettingsError, SourceError, DataError) as error:
            if name not in optional:
                raise
            say(f"{method.title} is left out: {error}")
            del methods[name]
    return total
