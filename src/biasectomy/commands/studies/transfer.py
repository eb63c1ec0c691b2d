"""`study transfer`: does what a method learns of one kind of bias help against others?

A method is fitted once for each category (or group), and each fit is measured on all bias types: Lu, Isonuma, Mori and
Sakata 2024, "Towards Transfer Unlearning: Empirical Evidence of Cross-Domain Bias Mitigation" (arXiv 2407.16951),
unlearn hate speech against women and measure StereoSet and CrowS-Pairs. They report point estimates; here each figure
is the paired difference to the original with its interval, and which differences hold is said of all cells together.
What any fit learns from, and with a split by template whatever shares a template or target word with it, is measured
under none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from biasectomy.commands.settings_shared import RUNNING, FittingSettings, Names
from biasectomy.commands.studies.base import STUDIES
from biasectomy.errors import DataError, SettingsError, UnknownNameError
from biasectomy.methods import METHODS
from biasectomy.methods.base import Method, OfGroups
from biasectomy.methods.learned_factors import NAME as LEARNED
from biasectomy.methods.original import NAME as ORIGINAL

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.commands.fitting import Planned
    from biasectomy.commands.outcome import Outcome
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Split, Task

NAME = "transfer"
NOTES = (
    "own: of the bias type that was learned from, on other items. What stands behind the gains tells a gain by "
    "destruction.",
)
FOR_GROUPS = "crows_pairs,stereoset:intrasentence"  # what groups are measured on, unless something else is named


@STUDIES.register(NAME)
class Transfer:
    """Fit a method on each of several categories or groups, and measure each fit on all bias types."""

    class Settings(FittingSettings):
        """Settings of the study."""

        panel: ClassVar[str] = "Method"
        basic: ClassVar[tuple[str, ...]] = ("on", "task", "method", "preset", "out", *RUNNING)
        examples: ClassVar[tuple[tuple[str, str], ...]] = (
            (
                "biasectomy study transfer smollm2 --on bbq:age,bbq:ses --method crispr",
                "Fitted on two categories, each measured on both.",
            ),
            (
                "biasectomy study transfer smollm2 --on bbq:all --preset quick",
                "Every category of BBQ against every other, with few items.",
            ),
            (
                "biasectomy study transfer smollm2 --method unlearn --on Women,Islam --data DATA",
                "A method that learns from texts about groups.",
            ),
        )

        method: str = Field(LEARNED, min_length=1, description="What is fitted; 'ls methods' lists the ways.")
        on: Names = Field(
            min_length=1,
            description="What it is fitted on, once each, joined by commas: tasks, of which each category counts, or "
            "groups of a method that learns from texts (--method unlearn --on Women,Islam).",
        )
        task: str = Field(
            "",
            description="Tasks whose bias types are measured, besides those of --on. [default: only those; for "
            f"groups {FOR_GROUPS}]",
        )
        also: str = Field(
            "perplexity,drift", description="Tasks that show what it costs, beside the matrix; 'none': no others."
        )
        out: Path = Field(Path("transfer"), description="Run folder.")

        def in_use(self) -> Sequence[str]:
            """The original and the method."""
            return tuple(dict.fromkeys((ORIGINAL, self.method)))

        def _check(self) -> None:
            super()._check()
            if self.method == ORIGINAL:
                raise SettingsError("The original is what methods are compared with; name another --method.")

    @staticmethod
    def run(
        settings: "Transfer.Settings",
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """See `Study.run`; of a task that is given, `on` names parts."""
        from biasectomy.commands.fitting import experimenting
        from biasectomy.measuring.matrix import columns_of_parts, matrix
        from biasectomy.report.matrix import transfer_verdict

        layouts: list[_Layout] = []

        def plan(processes: "Processes") -> "Planned":
            layouts.append(_laid_out(settings, processes, task))
            return layouts[0].planned()

        with experimenting(settings, model, settings.out if keep else None, plan) as (experiment, planned):
            layout = layouts[0]
            titles = {row.name: row.title for row in layout.rows}
            for name, method in planned.methods.items():
                experiment.fit(name, method, title=titles.get(name))
                experiment.ask(name, keep=False)
            outcome = experiment.measure([(name, ORIGINAL) for name in titles])
            count = len(layout.columns)
            found = matrix(
                columns_of_parts(outcome.tasks[:count], layout.settings.objective),
                outcome.answers,
                ORIGINAL,
                layout.own(),
                experiment.session,
                [(one.name, _shown(one)) for one in outcome.tasks[count:]],
            )
            found = replace(found, corner="Learned from", notes=NOTES)
            results = replace(outcome.results, matrix=found)
            results = replace(results, verdict=transfer_verdict(results))
            return experiment.finish(replace(outcome, results=results))


@dataclass(frozen=True)
class _Row:
    """One fit: what it is fitted on, and the items it learns from or chooses by."""

    name: str
    title: str
    on: str
    method: "Method"
    development: "Task"


@dataclass(frozen=True)
class _Layout:
    """The fits, and the tasks they are measured on: those of the matrix, and those beside it."""

    settings: Transfer.Settings  # as far as the tasks take them
    rows: Sequence[_Row]
    columns: Sequence["Task"]
    beside: Sequence["Task"]
    splits: Sequence["Split"]

    def own(self) -> dict[str, list[str]]:
        """By row, the columns whose bias type is the one it was fitted on."""
        from biasectomy.tasks.bias_types import bias_type

        names = [part.name for column in self.columns for part in column.parts()]
        return {row.name: [name for name in names if bias_type(name) == bias_type(row.on)] for row in self.rows}

    def planned(self) -> "Planned":
        """What `experimenting` is to fit and measure."""
        from biasectomy.commands.fitting import Planned, checked

        settings = self.settings
        original: Method = METHODS[ORIGINAL](settings.section(ORIGINAL))
        definition = getattr(settings.section(settings.method), "definition", None)
        held_out = "test" if self.splits else "all"
        return Planned(
            {ORIGINAL: original} | {row.name: row.method for row in self.rows},
            {ORIGINAL: self.rows[0].development} | {row.name: row.development for row in self.rows},
            [*((task, held_out) for task in self.columns), *((task, "all") for task in self.beside)],
            self.splits,
            sum(checked(row.method, row.development, settings.data) for row in self.rows),
            [definition] if definition is not None else [],
            settings=settings,
        )


def _laid_out(settings: Transfer.Settings, processes: "Processes", given: "Task | str | None") -> _Layout:
    """Opens the tasks and makes a method for each row.

    Raises:
        SettingsError, UnknownNameError, DataError: a name is not known, or nothing is left to learn from or to measure.
    """
    from biasectomy.measuring.matrix import judged_by

    method = METHODS[settings.method](settings.section(settings.method))
    groups = method.groups if isinstance(method, OfGroups) else ()
    settings, rows, tasks, also, splits = (
        _on_groups(settings, processes, given, method) if groups else _on_tasks(settings, processes, given)
    )
    for task in tasks:
        for part in task.parts():
            judged_by(part, settings.objective)
    rows[0].development.goal(settings.objective)
    columns = [_held_out(task, splits, settings, settings.test_items) for task in tasks]
    measured = {item.identifier for task in columns for item in task.items}
    splits = [
        one._replace(
            test=replace(one.test, items=tuple(item for item in one.test.items if item.identifier in measured))
        )
        for one in splits
    ]
    return _Layout(settings, rows, columns, [_held_out(task, splits, settings) for task in also], splits)


def _on_groups(
    settings: Transfer.Settings, processes: "Processes", given: "Task | str | None", method: OfGroups
) -> "tuple[Transfer.Settings, list[_Row], list[Task], list[Task], list[Split]]":
    """A row for each group; the first task is split where development items have a say."""
    from biasectomy.commands.opening import admitted, open_both, split_task

    kind, options = METHODS[settings.method], settings.section(settings.method)
    for group in settings.on:
        if group not in method.groups:
            raise UnknownNameError("group", group, method.groups)
    if "group" in options.model_fields_set:
        raise SettingsError(f"--{settings.method}.group is what --on says here; leave it out.")
    tasks, also = open_both(settings, processes, given or settings.task or FOR_GROUPS)
    settings = admitted(settings, *tasks)
    splits = [split_task(tasks[0], settings)] if method.chooses_on_items else []
    development = splits[0].development if splits else replace(tasks[0], items=())
    made = {group: kind(options.model_copy(update={"group": group})) for group in settings.on}
    rows = [_row(settings, group, one, development) for group, one in made.items()]
    return settings, rows, tasks, also, splits


def _on_tasks(
    settings: Transfer.Settings, processes: "Processes", given: "Task | str | None"
) -> "tuple[Transfer.Settings, list[_Row], list[Task], list[Task], list[Split]]":
    """A row for each category that `--on` names, with its own half of the items to learn from."""
    from biasectomy.commands.opening import admitted, open_both, split_task
    from biasectomy.tasks.base import Task, join

    on = _categories(settings, processes, given)
    if isinstance(given, Task):
        tasks, also = open_both(settings, processes, given)
    else:
        # Loaded together, since templates of several categories may share questions and are then one.
        together = [name for name in (given or settings.task, ",".join(settings.on)) if name]
        tasks, also = open_both(settings, processes, ",".join(together))
    settings = admitted(settings, *tasks)
    splits = [
        split_task(join(learned), settings)
        for task in tasks
        if (learned := [part for part in task.parts() if part.name in on])
    ]
    learned_from = {part.name: part for one in splits for part in one.development.parts()}
    kind, options = METHODS[settings.method], settings.section(settings.method)
    rows = [_row(settings, name, kind(options), learned_from[name]) for name in on if name in learned_from]
    return settings, rows, tasks, also, splits


def _categories(settings: Transfer.Settings, processes: "Processes", given: "Task | str | None") -> list[str]:
    """The names of the categories that `--on` names: parts of a task that is given, else of tasks by name."""
    from biasectomy.tasks import EVERYTHING, load_tasks
    from biasectomy.tasks.base import Task

    if isinstance(given, Task):
        known = [part.name for part in given.parts()]
        for name in settings.on:
            if name not in known:
                raise UnknownNameError(f"category of '{given.name}'", name, known)
        return list(settings.on)
    if EVERYTHING in {name.strip().lower() for name in (given or settings.task, *settings.on)}:
        raise SettingsError("A study of transfer asks tasks that you name; 'all' is none of them.")
    try:
        with processes.main_first():
            tasks = load_tasks(",".join(settings.on), data_folder=settings.data, instructions=settings.instructions)
    except UnknownNameError as error:
        raise SettingsError(
            f"'{settings.method}' as it is set learns from development items, so --on names tasks. {error}"
        ) from None
    return [part.name for task in tasks for part in task.parts()]


def _row(settings: Transfer.Settings, on: str, method: "Method", development: "Task") -> _Row:
    return _Row(f"{settings.method}:{on}", f"{method.title} on {on}", on, method, development)


def _held_out(
    task: "Task", splits: "Sequence[Split]", settings: Transfer.Settings, at_most: int | None = None
) -> "Task":
    """What may be measured of a task: nothing that any row learns from, nor what shares a template with it.

    Raises:
        DataError: nothing is left of a category.
    """
    from biasectomy.tasks.option_order import ROTATE, rotate_options

    learned = [item for one in splits for item in one.development.items]
    names = {item.identifier for item in learned}
    clusters = {item.cluster for item in learned} if settings.split == "template" else set()
    items = tuple(item for item in task.items if item.identifier not in names and item.cluster not in clusters)
    if len(items) < len(task.items):
        parts = task.parts()
        left = {item.task for item in items} if len(parts) > 1 else {task.name for _ in items}
        if gone := [part.name for part in parts if part.name not in left]:
            raise DataError(
                f"Nothing of '{gone[0]}' is left to measure: all of it is learned from, or shares templates."
            )
        task = replace(task, items=items)
        task = rotate_options(task, settings.seed) if task.option_order == ROTATE else task
    return task.limited(at_most, seed=settings.seed)


def _shown(task: "Task") -> str:
    """The metric that stands for a task beside the matrix."""
    return task.goal().metric if task.goals else task.metrics_in_force()[0].name
