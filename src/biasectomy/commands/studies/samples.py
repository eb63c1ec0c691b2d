"""`study samples`: figures against the number of development items that a method has.

What it learns from and what it chooses by come out of the same few items. Each number is drawn several times; the draws
are pooled, so that the intervals hold how much they differ. A smaller number of a draw is part of the larger one.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from biasectomy.commands.studies import series
from biasectomy.commands.studies.base import STUDIES
from biasectomy.commands.studies.neurons import Counts
from biasectomy.methods.base import OfAnySize
from biasectomy.methods.original import NAME as ORIGINAL

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.commands.experiment import Experiment
    from biasectomy.commands.fitting import Planned
    from biasectomy.commands.outcome import Outcome
    from biasectomy.measuring.results import Results
    from biasectomy.methods.base import Method
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Task

NAME = "samples"


@STUDIES.register(NAME)
class SamplesStudy:
    """Measure what a method learns from a few and from many development items."""

    class Settings(series.SeriesSettings):
        """Settings of the study."""

        basic: ClassVar[tuple[str, ...]] = ("sizes", "repeats", *series.BASIC)
        examples: ClassVar[tuple[tuple[str, str], ...]] = (
            ("biasectomy study samples smollm2 --task bbq:age", "Figures against the number of items learned from."),
            ("biasectomy study samples smollm2 --sizes 5,50,500 --repeats 3", "Other numbers, three draws of each."),
            ("biasectomy study samples smollm2 --method lora", "Of another method."),
        )

        sizes: Counts = Field((5, 20, 100, 500), description="Numbers of development items, joined by commas.")
        repeats: int = Field(2, ge=1, le=100, description="Draws of each number of items; their figures are pooled.")
        max_items: int | None = Field(1200, ge=1, description=f"At most so many items, spread evenly; {series.MANY}.")
        test_items: int | None = Field(300, ge=1, description="Report on at most so many test items, spread evenly.")
        neurons: int | None = Field(
            None, ge=1, description="Change exactly so many neurons. [default: 1,000 learned factors, 100 of others]"
        )
        out: Path = Field(Path("samples-study"), description="Run folder.")

    @staticmethod
    def run(
        settings: "SamplesStudy.Settings",
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """See `Study.run`."""
        from biasectomy.measuring.results import point_name

        method = series.method_of(settings)
        sizes: list[int] = []

        def plan(processes: "Processes") -> "Planned":
            ground = series.open_ground(settings, processes, task)
            there = len(ground.development.items)
            sizes.extend(_sizes(settings, there))
            fits, questions = {}, 0.0
            for size in sizes:
                for draw in range(_repeats(settings, size, there)):
                    some = ground.development.limited(size, seed=settings.seed + draw)
                    one = method.reading(len(some.items)) if isinstance(method, OfAnySize) else method
                    fits[_draw_name(settings, size, draw)] = one, some
                    questions += _expected(settings, one, some)
            return ground.planned(fits, fitting=questions, answered=len(fits))

        with series.running(settings, model, keep, plan) as (experiment, planned):
            for size in sizes:
                rows = [name for name in planned.methods if name.startswith(f"{point_name(settings.method, size)}-")]
                title, settled = f"{method.title}, {size:,} items", _number(settings, experiment)
                for name in rows:
                    experiment.fit(name, planned.methods[name], title=title, **settled)
                    experiment.ask(name, keep=False)
                experiment.pool(point_name(settings.method, size), title, rows, apart=False)
            most = point_name(settings.method, sizes[-1])
            points = [point_name(settings.method, size) for size in sizes]
            outcome = experiment.measure([*((one, ORIGINAL) for one in points), *((one, most) for one in points[:-1])])
            outcome = series.with_titles(outcome, {settings.method: method.title})
            places = [(settings.method, float(size)) for size in sizes]
            over = "development items learned from"
            title = f"{method.title} by the number of items learned from"
            curve = series.curve_of(outcome, title, over, places, logarithmic=True)
            results = replace(outcome.results, curve=curve)
            results = replace(results, verdict=samples_verdict(results, settings.method, sizes, settings.repeats))
            return experiment.finish(replace(outcome, results=results), ())


def samples_verdict(results: "Results", method: str, sizes: Sequence[int], repeats: int) -> list[str]:
    """From which number on something is learned, and from which on more items show no more."""
    from biasectomy.measuring.results import point_name
    from biasectomy.report.verdict import verdict
    from biasectomy.report.words import (
        change_in_words,
        clear_alone,
        goal_differences,
        holding_together,
        is_nearer,
        listed,
        no_answer_changed,
        size_in_words,
        when_together,
    )

    compared, held = goal_differences(results), holding_together(results)
    names = {point_name(method, size): size for size in sizes}
    most = point_name(method, sizes[-1])
    if no_answer_changed(compared):
        return [f"From none of {listed([f'{size:,}' for size in sizes])} items anything is learned: no figure changes."]
    goal = results.description(compared[0].metric).description
    together = when_together([row for row in compared if row.against == ORIGINAL])
    better = [row for row in held if row.against == ORIGINAL and is_nearer(results, row)]
    worse = [row for row in held if row.against == ORIGINAL and not is_nearer(results, row)]
    sentences = []
    if better:
        first = better[0]
        sentences.append(
            f"{names[first.method]:,} items are the fewest from which a gain in {goal} is shown "
            f"({change_in_words(results, first)}), of {listed([f'{size:,}' for size in sizes])}, {together}."
        )
    else:
        alone = [row for row in clear_alone(compared) if row.against == ORIGINAL and is_nearer(results, row)]
        would = f" Each by itself, {listed([f'{names[row.method]:,}' for row in alone])} would hold." if alone else ""
        sentences.append(
            f"From none of {listed([f'{size:,}' for size in sizes])} items a gain in {goal} is shown; none holds, "
            f"{together}.{would}"
        )
    if worse:
        sentences.append(f"It gets worse from {listed([f'{names[row.method]:,}' for row in worse])}.")
    against_most = [row for row in compared if row.against == most]
    behind = [row for row in held if row.against == most and not is_nearer(results, row)]
    if better and against_most:
        apart = listed([f"{names[row.method]:,}" for row in behind])
        widest = max((row.high - row.low for row in against_most if row.high == row.high), default=0.0) / 2
        size = size_in_words(results, compared[0].metric, widest).lstrip("+")
        sentences.append(
            f"Clearly behind {sizes[-1]:,} items: {apart}. What is not may still be behind by as much as the intervals "
            f"allow (up to about {size} either way)."
        )
    if repeats < 2:
        sentences.append("One draw of items each: how much draws differ is not in the intervals.")
    return sentences + (verdict(results, method=better[-1].method, original=ORIGINAL) if better else [])


def _sizes(settings: "SamplesStudy.Settings", there: int) -> list[int]:
    """The numbers of items there can be; in place of those beyond, all there are."""
    from biasectomy.narration import warn

    beyond = [size for size in settings.sizes if size > there]
    if beyond:
        warn(f"There are {there:,} development items, which stand for {', '.join(map(str, beyond))}.")
    return [
        *(size for size in settings.sizes if size <= there),
        *([there] if beyond and there not in settings.sizes else []),
    ]


def _repeats(settings: "SamplesStudy.Settings", size: int, there: int) -> int:
    """How often a number is drawn; all items there are can be drawn once only."""
    return settings.repeats if size < there else 1


def _draw_name(settings: "SamplesStudy.Settings", size: int, draw: int) -> str:
    from biasectomy.measuring.results import point_name

    return f"{point_name(settings.method, size)}-{draw}"


def _expected(settings: "SamplesStudy.Settings", method: "Method", development: "Task") -> float:
    """How many questions' time a fit takes; numbers of neurons are settled, so that nothing is chosen."""
    if isinstance(method, OfAnySize):
        return method.expected_of_sets(development, [settings.neurons or method.usual_count])
    return method.expected_questions(development)


def _number(settings: "SamplesStudy.Settings", experiment: "Experiment") -> dict[str, int]:
    """The number of neurons that is settled, at most a tenth of the model's, where the method has any number."""
    method = series.method_of(settings)
    if not isinstance(method, OfAnySize) or settings.neurons is not None:
        return {}
    definition = getattr(settings.section(settings.method), "definition", "linear-output")
    total = len(experiment.model.neurons(definition))
    return {"neurons": max(1, min(method.usual_count, total // 10))}
