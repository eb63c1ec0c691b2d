"""What studies of one method share: a series of fits and edits, each measured and then let go, and its figures.

One fit at a time is in memory; its answers stay, and its neurons. Everything that is computed is kept in the run's
folder and its store, so that an interrupted study goes on to the same figures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from biasectomy.commands.settings_shared import RUNNING, FittingSettings
from biasectomy.errors import SettingsError
from biasectomy.methods import METHODS
from biasectomy.methods.base import Method, OfAnySize
from biasectomy.methods.learned_factors import NAME as LEARNED
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.methods.random_neurons import NAME as CONTROL

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.commands.experiment import Experiment
    from biasectomy.commands.fitting import Planned
    from biasectomy.commands.outcome import Outcome
    from biasectomy.measuring.results import Curve, Results
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.neuron_set import NeuronSet
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Split, Task

MANY = "a large number takes all"
BASIC = ("task", "method", "preset", "out", *RUNNING)  # settings that --help shows of every study


class SeriesSettings(FittingSettings):
    """Settings of a study of one method. Fewer items and wordings are asked than a last word on a method takes."""

    panel: ClassVar[str] = "Method"

    method: str = Field(LEARNED, min_length=1, description="What is studied; 'ls methods' lists the ways.")
    max_items: int | None = Field(600, ge=1, description=f"At most so many items, spread evenly; {MANY}.")
    max_instructions: int | None = Field(2, ge=1, description=f"At most so many instructions; {MANY}.")
    also: str = Field(
        "perplexity,drift", description="Tasks, or TOML files, that are measured besides; 'none': no others."
    )

    def in_use(self) -> Sequence[str]:
        """The original, the method and its control."""
        return tuple(dict.fromkeys((ORIGINAL, self.method, CONTROL)))

    def _check(self) -> None:
        super()._check()
        if self.method in (ORIGINAL, CONTROL):
            raise SettingsError(f"'{self.method}' is what methods are compared with; name another --method.")


@dataclass(frozen=True)
class Ground:
    """What a study stands on: the first task in two halves, and the tasks that are asked besides."""

    settings: FittingSettings  # as far as the first task takes them
    split: "Split"
    others: "Sequence[Task]"

    @property
    def development(self) -> "Task":
        """The items that may be learned from."""
        return self.split.development

    def planned(
        self,
        fits: "Mapping[str, tuple[Method, Task]]",
        *,
        fitting: float,
        answered: "float | Callable[[LanguageModel], float]",
    ) -> "Planned":
        """What `experimenting` is to fit and measure.

        Args:
            fits: by row, a method and the items it learns from.
            fitting: how many questions' time all fits take.
            answered: how many times all is asked afterwards, beside the original; or what tells it of a model.
        """
        from biasectomy.commands.fitting import Planned
        from biasectomy.methods.base import ReadsData

        settings = self.settings
        self.development.goal(settings.objective)
        original: Method = METHODS[ORIGINAL](settings.section(ORIGINAL))
        methods: dict[str, Method] = {ORIGINAL: original}
        development = {ORIGINAL: self.development}
        for name, (method, learned_from) in fits.items():
            methods[name], development[name] = method, learned_from
            if isinstance(method, ReadsData):
                method.check_data(settings.data)
        defined = [getattr(settings.section(name), "definition", None) for name in settings.in_use()]
        definitions = [one for one in dict.fromkeys(defined) if one is not None]
        measured = [(self.split.test, "test"), *((other, "all") for other in self.others)]
        return Planned(methods, development, measured, (self.split,), fitting, definitions, answered, settings)


def open_ground(settings: FittingSettings, processes: "Processes", given: "Task | str | None") -> Ground:
    """The tasks of the settings, the first one split.

    Raises:
        BiasectomyError: a task is not known, cannot be read or split, or sets no goal.
    """
    from biasectomy.commands.opening import admitted, open_tasks, split_task

    first, *others = open_tasks(settings, processes, given)
    settings = admitted(settings, first)
    sides = split_task(first, settings)
    return Ground(settings, sides._replace(test=sides.test.limited(settings.test_items, seed=settings.seed)), others)


def method_of(settings: SeriesSettings) -> Method:
    """The method that is studied."""
    method: Method = METHODS[settings.method](settings.section(settings.method))
    return method


def sized_method(settings: SeriesSettings, why: str) -> OfAnySize:
    """The method that is studied, of which neurons can be had in any number.

    Raises:
        SettingsError: they cannot; says which methods would do, and why it matters.
    """
    method = method_of(settings)
    if not isinstance(method, OfAnySize):
        able = [name for name in METHODS if hasattr(METHODS[name], "sets")]
        raise SettingsError(
            f"'{settings.method}' edits no number of neurons, {why}; --method {' or '.join(able)} does."
        )
    return method


def refuse_untouched_weights(settings: SeriesSettings, why: str) -> None:
    """Refuses a method that cannot have neurons.

    Raises:
        SettingsError: it only changes how a model is asked or read.
    """
    if method_of(settings).profile.changes != "weights":
        raise SettingsError(f"'{settings.method}' leaves the weights alone, {why}; choose a method that edits neurons.")


def draws_of(settings: FittingSettings) -> int:
    """How many draws of random neurons each edit is compared with."""
    return int(getattr(settings.section(CONTROL), "draws", 0))


@contextmanager
def running(
    settings: FittingSettings,
    model: "LanguageModel | str | None",
    keep: bool,
    plan: "Callable[[Processes], Planned]",
) -> "Iterator[tuple[Experiment, Planned]]":
    """A block in which a study is computed; the original has answered when it begins."""
    from biasectomy.commands.fitting import experimenting

    folder: Path | None = getattr(settings, "out") if keep else None  # noqa: B009
    with experimenting(settings, model, folder, plan) as (experiment, planned):
        experiment.fit(ORIGINAL, planned.methods[ORIGINAL])
        experiment.ask(ORIGINAL, keep=False)
        yield experiment, planned


def measure_neurons(experiment: "Experiment", name: str, title: str, neuron_set: "NeuronSet") -> None:
    """Measures an edit that was found before, and lets it go."""
    from biasectomy.methods.base import Cost
    from biasectomy.methods.neuron_edit import FittedNeurons

    experiment.take(name, title, FittedNeurons(neuron_set, Cost(numbers=len(neuron_set))))
    experiment.ask(name, keep=False)


def measure_control(experiment: "Experiment", name: str, title: str, like: "NeuronSet | None") -> list[str]:
    """Measures as many random neurons of the same modules, with the same factors; names the row, where there is one."""
    from biasectomy.methods.random_neurons import FittedRandomNeurons, random_neurons

    draws = draws_of(experiment.settings)  # type: ignore[arg-type]
    if not draws or like is None or not len(like):
        return []
    neurons, seed = experiment.model.neurons(like.definition), experiment.settings.seed
    drawn = tuple(random_neurons(neurons, like, draw=draw, seed=seed) for draw in range(draws))
    experiment.take(name, title, FittedRandomNeurons(drawn))
    experiment.ask(name, keep=False)
    return [name]


def measure_beside_control(experiment: "Experiment", method: str, planned: "Planned") -> "tuple[list[str], Outcome]":
    """Fits a method and measures it beside random neurons; the rows, and all figures, of which nothing is written."""
    fitted = experiment.fit(method, planned.methods[method])
    experiment.ask(method, keep=False)
    control = measure_control(experiment, CONTROL, METHODS[CONTROL].title, fitted.neuron_set)
    rows = [method, *control]
    return rows, experiment.measure([*((row, ORIGINAL) for row in rows), *((method, one) for one in control)])


def shown_figures(tasks: "Sequence[Task]", results: "Results") -> list[tuple[str, str]]:
    """Task and metric of what a study shows: of the first task its goal and what plays a role, of others their own."""
    first, *others = tasks
    goal = results.goals.get(first.name)
    own = [one.name for one in first.metrics_in_force() if one.role]
    found = [(first.name, name) for name in dict.fromkeys([*([goal] if goal else []), *own])]
    return found + [(task.name, main_figure(task)) for task in others]


def main_figure(task: "Task") -> str:
    """The metric that stands for a task."""
    return task.goal().metric if task.goals else task.metrics_in_force()[0].name


def curve_of(
    outcome: "Outcome",
    title: str,
    over: str,
    places: "Sequence[tuple[str, float]]",
    *,
    fixed: Sequence[str] = (ORIGINAL,),
    logarithmic: bool = False,
) -> "Curve":
    """Figures of lines at numbers, each of the row `point_name(line, x)`, with those of fixed rows at every number.

    Args:
        outcome: with the figures.
        title: of the curve.
        over: what the number is, with its unit.
        places: line and number.
        fixed: rows that are the same at every number.
        logarithmic: whether it is best drawn so.
    """
    from biasectomy.measuring.results import Curve, CurvePoint, point_name

    results = outcome.results
    whole = [(row, x, row) for row in fixed for x in sorted({x for _, x in places})]
    rows = [*whole, *((line, x, point_name(line, x)) for line, x in places)]
    points = [
        CurvePoint(line, float(x), task, metric, found.value, found.low, found.high)
        for task, metric in shown_figures(outcome.tasks, results)
        for line, x, row in rows
        if (found := results.find(row, metric, task=task)) is not None
    ]
    return Curve(title, over, tuple(points), logarithmic)


def with_titles(outcome: "Outcome", titles: Mapping[str, str]) -> "Outcome":
    """The outcome with titles of the lines of its curve."""
    return replace(outcome, results=replace(outcome.results, titles=dict(titles) | outcome.results.titles))
