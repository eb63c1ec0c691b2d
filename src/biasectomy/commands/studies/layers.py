"""`study layers`: which layers an edit needs.

A method is fitted once. Of the neurons it edits, those of one part of the depth are edited alone, and all but those;
beside both stand all of them, and as many random neurons of the same modules as each part has.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.neurons.neuron_set import NeuronSet
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Task

NAME = "layers"
EACH = "each"
WITHOUT = "without"  # the line of edits that leave a part out
NEEDED = "so there is nothing to be taken apart by layer"


def _parse_parts(value: object) -> object:
    text = str(value).strip().lower()
    if text != EACH and not (text.isdecimal() and int(text) > 1):
        raise ValueError(f"a whole number of 2 or more, or {EACH}")
    return text


Parts = Annotated[str, BeforeValidator(_parse_parts)]


@STUDIES.register(NAME)
class LayersStudy:
    """Edit the neurons of one part of the depth at a time, and all but those, to see which layers an edit needs."""

    class Settings(series.SeriesSettings):
        """Settings of the study."""

        basic: ClassVar[tuple[str, ...]] = ("parts", *series.BASIC)
        examples: ClassVar[tuple[tuple[str, str], ...]] = (
            ("biasectomy study layers smollm2 --task bbq:age", "Thirds of the depth against all of it."),
            ("biasectomy study layers smollm2 --parts each", "Every layer by itself."),
            (
                "biasectomy study layers organism --task organism:bias --parts 4",
                "Quarters, where the neurons are known.",
            ),
        )

        parts: Parts = Field("3", description="Parts of the depth: 3 for thirds, 4 for quarters, each for every layer.")
        out: Path = Field(Path("layers-study"), description="Run folder.")

    @staticmethod
    def run(
        settings: "LayersStudy.Settings",
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """See `Study.run`."""
        from biasectomy.errors import SettingsError
        from biasectomy.measuring.results import point_name

        series.refuse_untouched_weights(settings, NEEDED)
        method = series.method_of(settings)

        def plan(processes: "Processes") -> "Planned":
            ground = series.open_ground(settings, processes, task)
            learned = method.expected_questions(ground.development)

            def answered(model: "LanguageModel") -> float:
                parts = len(parts_of(model.neurons(), settings.parts))
                return 1 + parts * (2 + series.draws_of(settings))

            return ground.planned({settings.method: (method, ground.development)}, fitting=learned, answered=answered)

        with series.running(settings, model, keep, plan) as (experiment, planned):
            fitted = experiment.fit(settings.method, planned.methods[settings.method])
            whole = fitted.neuron_set
            if whole is None:
                raise SettingsError(f"'{settings.method}' edits no neurons, {NEEDED}.")
            experiment.ask(settings.method, keep=False)
            every = parts_of(experiment.model.neurons(whole.definition), settings.parts)
            parts = [part for part in every if len(part.of(whole))]
            comparisons = [(settings.method, ORIGINAL)]
            for part in parts:
                inside, outside = part.of(whole), part.of(whole, inside=False)
                alone, without = point_name(f"{settings.method}-alone", part.middle), point_name(WITHOUT, part.middle)
                control = point_name(CONTROL, part.middle)
                series.measure_neurons(experiment, alone, f"Only {part.name} ({len(inside):,} neurons)", inside)
                series.measure_neurons(experiment, without, f"All but {part.name} ({len(outside):,})", outside)
                beside = series.measure_control(experiment, control, f"Random, {part.name} ({len(inside):,})", inside)
                comparisons += [(alone, ORIGINAL), *((alone, one) for one in beside), (without, settings.method)]
            outcome = experiment.measure(comparisons)
            results = outcome.results
            if parts:
                lines = {
                    f"{settings.method}-alone": f"{method.title}, these layers only",
                    WITHOUT: f"{method.title}, all but these",
                    CONTROL: f"{RandomNeurons.title} of these layers",
                }
                outcome = series.with_titles(outcome, lines)
                places = [(line, part.middle) for line in (*lines,) for part in parts]
                title = f"{method.title} by where the neurons stand"
                fixed = (ORIGINAL, settings.method)
                curve = series.curve_of(outcome, title, "layer (the middle of a part)", places, fixed=fixed)
                results = replace(outcome.results, curve=curve)
            results = replace(results, verdict=layers_verdict(results, settings.method, parts, len(every)))
            return experiment.finish(replace(outcome, results=results), [settings.method])


@dataclass(frozen=True)
class Part:
    """Some layers that follow each other; of an encoder-decoder the decoder's stand behind the encoder's."""

    first: int
    last: int
    layer_of: Mapping[str, int]  # of each module, over all stacks

    @property
    def middle(self) -> float:
        """The number of the layer in its middle, from 0."""
        return (self.first + self.last) / 2

    @property
    def name(self) -> str:
        """What it is called."""
        return f"layer {self.first}" if self.first == self.last else f"layers {self.first} to {self.last}"

    def of(self, whole: "NeuronSet", *, inside: bool = True) -> "NeuronSet":
        """Those of some neurons that stand in it, or all others."""
        chosen = tuple(one for one in whole if (self.first <= self.layer_of[one.module] <= self.last) == inside)
        return replace(whole, neurons=chosen)


def parts_of(neurons: "Neurons", wanted: str) -> list[Part]:
    """The layers of a model in parts of about the same number of layers; at most as many as it has layers.

    Args:
        neurons: of the model.
        wanted: how many parts, or "each" for every layer by itself.
    """
    places = list(dict.fromkeys((group.stack, group.layer) for group in neurons))
    layer_of = {group.module: places.index((group.stack, group.layer)) for group in neurons}
    count = len(places) if wanted == EACH else min(int(wanted), len(places))
    ends = [round(place * len(places) / count) for place in range(count + 1)]
    return [Part(first, last - 1, layer_of) for first, last in itertools.pairwise(ends)]


def layers_verdict(results: "Results", method: str, parts: Sequence[Part], every: int) -> list[str]:
    """Which parts do it alone, which cannot be left out, and whether that is more than random neurons there do.

    Args:
        results: with the differences.
        method: whose neurons they are.
        parts: those with neurons of it.
        every: how many parts there are.
    """
    from biasectomy.measuring.results import point_name
    from biasectomy.report.verdict import verdict
    from biasectomy.report.words import (
        change_in_words,
        goal_differences,
        holding_together,
        is_nearer,
        listed,
        no_answer_changed,
    )

    if not parts:
        return (
            verdict(results, method=method, original=ORIGINAL)
            if _differs(results)
            else [
                "No number of neurons helped on the development items, so there is nothing to be taken apart by layer."
            ]
        )
    compared, held = goal_differences(results), holding_together(results)
    if no_answer_changed(compared):
        return ["The edit changes no figure, in whatever layers; there is nothing to be taken apart."]
    goal = results.description(compared[0].metric).description
    together = "when all parts are looked at together"
    by_row = {point_name(line, part.middle): part for line in (f"{method}-alone", WITHOUT) for part in parts}

    def named(rows: "Sequence[DifferenceRow]") -> str:
        return listed([by_row[row.method].name for row in rows])

    whole = next(row for row in compared if row.method == method)
    shown = whole in held and is_nearer(results, whole)
    sentences = [
        f"With all {'neurons' if not shown else 'of its neurons'} {goal} "
        f"{'gains' if shown else 'cannot be told from no gain'} ({change_in_words(results, whole)})."
    ]
    if len(parts) < every:
        where = listed([part.name for part in parts])
        sentences.append(
            f"Of {every} parts of the depth {every - len(parts)} hold none of its neurons; all are in {where}."
        )
    alone = [row for row in held if row.method in by_row and row.against == ORIGINAL]
    enough = [row for row in alone if is_nearer(results, row)]
    harmful = [row for row in alone if not is_nearer(results, row)]
    missed = [row for row in held if row.against == method and not is_nearer(results, row)]
    ahead = [row for row in held if row.against.startswith(CONTROL) and is_nearer(results, row)]
    controlled = any(row.against.startswith(CONTROL) for row in compared)
    if not enough and not missed and not harmful:
        return [
            *sentences,
            f"No part of the depth is shown to matter by itself: of {len(parts)} parts none gains alone and none is "
            f"missed, {together}.",
        ]
    sentences.append(f"Edited alone, a gain is shown with {named(enough)}, {together}.")
    if harmful:
        sentences.append(f"Edited alone, it gets worse with {named(harmful)}.")
    if enough and controlled:
        sentences.append(
            f"Better than as many random neurons of the same modules: {named(ahead)}."
            if ahead
            else "None of them can be told from as many random neurons of the same modules."
        )
    sentences.append(
        f"The edit loses without {named(missed)}."
        if missed
        else "No part is missed where it is left out: the others do about as well, as far as can be told."
    )
    return sentences


def _differs(results: "Results") -> bool:
    return any(row.value for row in results.differences if not math.isnan(row.value))
