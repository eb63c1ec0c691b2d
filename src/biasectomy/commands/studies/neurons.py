"""`study neurons`: figures against the number of neurons that are edited, beside as many random ones.

Of learned factors one path goes through all numbers, from the largest to the smallest; of an attribution they are the
first neurons of one ranking. No number is chosen on development items: every one is measured on the test items.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BeforeValidator, Field

from biasectomy.commands.studies import series
from biasectomy.commands.studies.base import STUDIES
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.methods.random_neurons import NAME as CONTROL
from biasectomy.methods.random_neurons import RandomNeurons

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.commands.fitting import Planned
    from biasectomy.commands.outcome import Outcome
    from biasectomy.measuring.results import DifferenceRow, Results
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Task

NAME = "neurons"


def parse_counts(value: object) -> object:
    """Whole numbers of 1 or more, each once, in order."""
    pieces = [piece.strip() for piece in value.split(",") if piece.strip()] if isinstance(value, str) else value
    try:
        counts = sorted({int(piece) for piece in pieces})  # type: ignore[attr-defined]
    except (ValueError, TypeError):
        counts = []
    if not counts or counts[0] < 1:
        raise ValueError("whole numbers of 1 or more joined by commas, such as 10,100,1000")
    return tuple(counts)


Counts = Annotated[tuple[int, ...], BeforeValidator(parse_counts)]


@STUDIES.register(NAME)
class NeuronsStudy:
    """Measure an edit of more and more neurons, beside as many random ones."""

    class Settings(series.SeriesSettings):
        """Settings of the study."""

        basic: ClassVar[tuple[str, ...]] = ("counts", *series.BASIC)
        examples: ClassVar[tuple[tuple[str, str], ...]] = (
            (
                "biasectomy study neurons smollm2 --task bbq:age",
                "Figures against the number of neurons, beside random ones.",
            ),
            ("biasectomy study neurons smollm2 --method crispr --counts 1,10,100", "The first so many of a ranking."),
            (
                "biasectomy study neurons organism --task organism:bias --counts 3,10,30",
                "Where the neurons are known, in minutes.",
            ),
        )

        counts: Counts = Field((10, 30, 100, 300, 1000), description="Numbers of neurons, joined by commas.")
        out: Path = Field(Path("neurons-study"), description="Run folder.")

        def _check(self) -> None:
            from biasectomy.errors import SettingsError

            super()._check()
            if self.neurons is not None:
                raise SettingsError(f"--neurons {self.neurons} is one number; give this study --counts.")

    @staticmethod
    def run(
        settings: "NeuronsStudy.Settings",
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """See `Study.run`."""
        from biasectomy.measuring.results import point_name
        from biasectomy.narration import heading, warn

        method = series.sized_method(settings, "so there is none to be studied")
        title = getattr(method, "title", settings.method)

        def plan(processes: "Processes") -> "Planned":
            ground = series.open_ground(settings, processes, task)
            learned = method.expected_of_sets(ground.development, settings.counts)
            answered = len(settings.counts) * (1 + series.draws_of(settings))
            fits = {settings.method: (series.method_of(settings), ground.development)}
            return ground.planned(fits, fitting=learned, answered=answered)

        with series.running(settings, model, keep, plan) as (experiment, planned):
            heading(f"Fitting {title}", "fitting")
            session = experiment.session.within(settings.method)
            found = method.sets(experiment.model, planned.development[settings.method], session, settings.counts)
            experiment.stage_done(f"fit {settings.method}")
            sets = {len(one): one for one in found.values() if len(one)}
            if fewer := [count for count, one in found.items() if len(one) < count]:
                warn(
                    f"The model has no {max(fewer):,} neurons that could be edited; the largest number is {max(sets)}."
                )
            comparisons = []
            for count, neuron_set in sorted(sets.items()):
                name, control = point_name(settings.method, count), point_name(CONTROL, count)
                series.measure_neurons(experiment, name, f"{title}, {count:,} neuron{'s' * (count > 1)}", neuron_set)
                comparisons.append((name, ORIGINAL))
                beside = series.measure_control(experiment, control, f"{RandomNeurons.title}, {count:,}", neuron_set)
                comparisons += [(name, one) for one in beside]
            outcome = experiment.measure(comparisons)
            lines = {settings.method: title, CONTROL: RandomNeurons.title}
            outcome = series.with_titles(outcome, lines)
            places = [(line, float(count)) for line in lines for count in sorted(sets)]
            curve = series.curve_of(
                outcome, f"{title} by the number of neurons", "neurons edited", places, logarithmic=True
            )
            results = replace(outcome.results, curve=curve)
            results = replace(results, verdict=neurons_verdict(results, settings.method, sorted(sets)))
            largest = point_name(settings.method, max(sets, default=0))
            return experiment.finish(replace(outcome, results=results), [largest])


def neurons_verdict(results: "Results", method: str, counts: Sequence[int]) -> list[str]:
    """From which number on the goal is served, whether random neurons do as well, and what the best of them costs."""
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
        when_together,
    )

    compared, held = goal_differences(results), holding_together(results)
    if not compared:
        return ["No neurons could be edited, so there is nothing to compare."]
    names = {point_name(method, count): count for count in counts}
    if no_answer_changed(compared):
        return ["No number of neurons changes a figure: neither they nor as many random ones do anything that shows."]
    goal = results.description(compared[0].metric).description
    of_counts = [row for row in compared if row.against == ORIGINAL]
    together = when_together(of_counts)

    def numbers(rows: "Sequence[DifferenceRow]") -> str:
        return listed([f"{names[row.method]:,}" for row in rows])

    against = [row for row in held if row.against == ORIGINAL]
    better = [row for row in against if is_nearer(results, row)]
    worse = [row for row in against if not is_nearer(results, row)]
    best = max(of_counts, key=lambda row: (row in better, -_distance(results, row)))
    sentences = []
    if better:
        first = better[0]
        sentences.append(
            f"Of {len(counts)} numbers of neurons {numbers(better)} serve {goal}, {together}; the fewest are "
            f"{names[first.method]:,} ({change_in_words(results, first)})."
        )
    else:
        alone = [row for row in clear_alone(of_counts) if is_nearer(results, row)]
        sentences.append(
            f"No number of neurons is shown to serve {goal}: of {len(counts)} none holds, {together}. Nearest comes "
            f"{names[best.method]:,} ({change_in_words(results, best)})"
            + (f"; each by itself, {numbers(alone)} would hold, and more items may show it." if alone else ".")
        )
    if worse:
        sentences.append(f"It gets worse with {numbers(worse)}.")
    controlled = [row for row in compared if row.against != ORIGINAL]
    ahead = [row for row in held if row.against != ORIGINAL and is_nearer(results, row)]
    if controlled and better:
        sentences.append(
            f"Better than as many random neurons: {numbers(ahead)}."
            if ahead
            else "None of them can be told from as many random neurons: what is gained may be what any such edit does."
        )
    if not better:
        return sentences
    control = next((row.against for row in controlled if row.method == best.method), None)
    return sentences + verdict(results, method=best.method, original=ORIGINAL, control=control)


def _distance(results: "Results", row: "DifferenceRow") -> float:
    """How far from its best value a figure is after an edit."""
    from biasectomy.report.words import ends_of

    best, ends = results.description(row.metric).best, ends_of(results, row)
    return abs(ends[1] - best) if ends is not None and best is not None else 0.0
