"""`study seeds`: the same method with other seeds and other draws of items.

Every seed learns from its own draw of the development items and is measured on the same test items; its seed also
decides whatever else the method draws. How far figures are apart, and whether the same neurons are found, says how much
of one run is luck of the draw.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from biasectomy.commands.settings_shared import Fraction
from biasectomy.commands.studies import series
from biasectomy.commands.studies.base import STUDIES
from biasectomy.methods.original import NAME as ORIGINAL

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.commands.experiment import Experiment
    from biasectomy.commands.fitting import Planned
    from biasectomy.commands.outcome import Outcome
    from biasectomy.measuring.results import Results
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.overlap import Overlap
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Task

NAME = "seeds"
OVERLAP = "Neuron sets"  # what their note is called


@STUDIES.register(NAME)
class SeedsStudy:
    """Fit a method with several seeds, each with its own draw of items, and see how far the results are apart."""

    class Settings(series.SeriesSettings):
        """Settings of the study."""

        basic: ClassVar[tuple[str, ...]] = ("seeds", "draw", *series.BASIC)
        examples: ClassVar[tuple[tuple[str, str], ...]] = (
            (
                "biasectomy study seeds smollm2 --task bbq:age",
                "Three seeds: how far figures spread, which neurons return.",
            ),
            ("biasectomy study seeds smollm2 --seeds 5 --draw 0.8", "Five, each of more items."),
            ("biasectomy study seeds smollm2 --method crispr", "Of another method."),
        )

        seeds: int = Field(3, ge=2, le=1000, description="How many seeds, from --seed on.")
        draw: Fraction = Field(0.5, description="Share of the development items that each seed learns from.")
        out: Path = Field(Path("seeds-study"), description="Run folder.")

    @staticmethod
    def run(
        settings: "SeedsStudy.Settings",
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """See `Study.run`."""
        from biasectomy.measuring.results import point_name

        method = series.method_of(settings)
        seeds = [settings.seed + place for place in range(settings.seeds)]
        rows = {point_name(settings.method, seed): seed for seed in seeds}

        def plan(processes: "Processes") -> "Planned":
            ground = series.open_ground(settings, processes, task)
            size = max(1, round(settings.draw * len(ground.development.items)))
            fits = {name: (method, ground.development.limited(size, seed=seed)) for name, seed in rows.items()}
            questions = sum(method.expected_questions(some) for _, some in fits.values())
            return ground.planned(fits, fitting=questions, answered=len(fits))

        with series.running(settings, model, keep, plan) as (experiment, planned):
            for name, seed in rows.items():
                experiment.fit(name, planned.methods[name], title=f"{method.title}, seed {seed}", seed=seed)
                experiment.ask(name, keep=False)
            experiment.pool(settings.method, f"{method.title}, all seeds", list(rows))
            found = _overlaps(experiment, list(rows))
            if experiment.run is not None:
                experiment.run.record["overlaps"] = [asdict(one) for one in found]
            outcome = experiment.measure([(name, ORIGINAL) for name in (settings.method, *rows)])
            places = [(settings.method, float(seed)) for seed in seeds]
            curve = series.curve_of(outcome, f"{method.title} by seed and draw of items", "seed", places)
            notes = outcome.results.notes | ({OVERLAP: _noted(found)} if found else {})
            results = replace(outcome.results, curve=curve, notes=notes)
            results = replace(results, verdict=seeds_verdict(results, settings.method, list(rows), found))
            return experiment.finish(replace(outcome, results=results), ())


def seeds_verdict(results: "Results", method: str, rows: Sequence[str], found: "Sequence[Overlap]") -> list[str]:
    """With how many seeds the goal is served, how far the figures are apart, and whether the neurons are the same."""
    from biasectomy.report.verdict import verdict
    from biasectomy.report.words import (
        change_in_words,
        clear_alone,
        figure_in_words,
        goal_differences,
        holding_together,
        is_nearer,
        no_answer_changed,
        size_in_words,
        when_together,
    )

    compared, held = goal_differences(results), holding_together(results)
    same = [_same_neurons(found)] if found else []
    if no_answer_changed(compared):
        return [f"With none of {len(rows)} seeds a figure changes.", *same]
    metric, task = compared[0].metric, compared[0].task
    goal = results.description(metric).description
    apart = [row for row in compared if row.method in rows]
    better, worse = (
        [row for row in clear_alone(apart) if is_nearer(results, row) == nearer] for nearer in (True, False)
    )
    figures = [one.value for row in rows if (one := results.find(row, metric, task=task)) and math.isfinite(one.value)]
    together = f"{sum(row in held for row in apart)} of these differences hold {when_together(apart)}"
    sentences = [
        f"{goal[0].upper()}{goal[1:]} is served with {len(better)} of {len(rows)} seeds and harmed with {len(worse)}, "
        f"each by its own interval; {together}."
    ]
    if len(figures) > 1:
        spread = size_in_words(results, metric, statistics.stdev(figures)).lstrip("+")
        sentences.append(
            f"It lies between {figure_in_words(results, metric, min(figures))} and "
            f"{figure_in_words(results, metric, max(figures))} (standard deviation over seeds {spread})."
        )
    pooled = next(row for row in compared if row.method == method)
    holds = pooled in held
    sentences.append(
        f"Over all seeds, what they differ by included, the change is {change_in_words(results, pooled)}"
        f"{'' if holds else ', which cannot be told from no change'}."
    )
    told = verdict(results, method=method, original=ORIGINAL) if holds else []
    return [*sentences, *same, *told]


def _overlaps(experiment: "Experiment", rows: Sequence[str]) -> "list[Overlap]":
    """What the neurons of each two seeds have in common, and of all; nothing where a seed has none."""
    from biasectomy.neurons.overlap import overlaps

    sets = {row: one for row in rows if (one := experiment.fitted[row].neuron_set) is not None and len(one)}
    if len(sets) < 2:
        return []
    definition = next(iter(sets.values())).definition
    return overlaps(sets, experiment.model.neurons(definition))


def _pairs(found: "Sequence[Overlap]") -> "list[Overlap]":
    return [one for one in found if len(one.names) == 2]


def _same_neurons(found: "Sequence[Overlap]") -> str:
    """Whether two seeds find more of the same neurons than chance would."""
    pairs = _pairs(found)
    chance = 0.05 / len(pairs)  # all of them at once
    beyond = [one for one in pairs if one.probability < chance]
    shared = statistics.mean(one.shared for one in pairs)
    expected = statistics.mean(one.expected for one in pairs)
    jaccard = statistics.mean(one.jaccard for one in pairs)
    how = f"{shared:,.1f} neurons on average, where chance would have {expected:,.1f} (Jaccard {jaccard:.2f})"
    if not beyond:
        return f"Seeds do not find the same neurons: two share {how}, which no pair exceeds beyond chance."
    which = "All" if len(beyond) == len(pairs) else f"{len(beyond)} of {len(pairs)}"
    return f"{which} pairs of seeds share more neurons than chance would: {how}."


def _noted(found: "Sequence[Overlap]") -> str:
    """Every pair in a few words."""

    def seed(name: str) -> str:
        return name.rpartition(":")[2]

    told = [
        f"seeds {' and '.join(map(seed, one.names))} share {one.shared:,} of {min(one.sizes):,} "
        f"(by chance {one.chance[0]:,} to {one.chance[1]:,})"
        for one in _pairs(found)[:10]
    ]
    more = len(_pairs(found)) - len(told)
    return "; ".join(told) + (f"; and {more} more pairs" if more else "")
