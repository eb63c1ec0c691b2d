"""`study ablation`: what each part of CRISPR's score is for (the ablation of Yang et al. 2024).

Neurons are scored with one part left out at a time: the mean over tokens for the maximum, without the confusion weight,
without skill disentanglement; beside them by the formula of the authors' code, and drawn at random. Every row edits as
many neurons: the number of `--neurons`, else what the whole score chooses on development items, and where no number
helps there, the one that came nearest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from biasectomy.commands.studies import series
from biasectomy.commands.studies.base import STUDIES
from biasectomy.errors import SettingsError
from biasectomy.methods import METHODS
from biasectomy.methods.crispr import NAME as CRISPR
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.methods.random_neurons import NAME as CONTROL
from biasectomy.methods.random_neurons import RandomNeurons

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.commands.experiment import Experiment
    from biasectomy.commands.fitting import Planned
    from biasectomy.commands.outcome import Outcome
    from biasectomy.measuring.matrix import Column
    from biasectomy.measuring.results import DifferenceRow, Results
    from biasectomy.methods.crispr import Crispr
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Task

NAME = "ablation"
# By the name of a row: what it is called, and what of CRISPR's settings is other.
LEFT_OUT: Mapping[str, tuple[str, dict[str, Any]]] = {
    "mean-over-tokens": ("mean over tokens", {"tokens": "mean"}),
    "no-confusion-weight": ("no confusion weight", {"confusion_weight": False}),
    "no-skill-disentanglement": ("no skill disentanglement", {"skill_disentanglement": False}),
    "authors": ("authors' formula", {"variant": "authors"}),
}


@STUDIES.register(NAME)
class AblationStudy:
    """Leave out one part of CRISPR's score at a time, with as many neurons edited (the table of Yang et al. 2024)."""

    class Settings(series.SeriesSettings):
        """Settings of the study."""

        basic: ClassVar[tuple[str, ...]] = ("neurons", *series.BASIC)
        examples: ClassVar[tuple[tuple[str, str], ...]] = (
            (
                "biasectomy study ablation smollm2 --task bbq:age",
                "The paper's table: one part of the score left out at a time.",
            ),
            (
                "biasectomy study ablation organism --task organism:bias --crispr.definition ffn-hidden",
                "Where the neurons are known, in minutes.",
            ),
            ("biasectomy study ablation smollm2 --neurons 20", "The same number of neurons in every row."),
        )

        method: str = Field(CRISPR, min_length=1, description="What is taken apart: crispr.")
        neurons: int | None = Field(
            None,
            ge=1,
            description="Edit exactly so many neurons. [default: what the whole score chooses or comes nearest with]",
        )
        out: Path = Field(Path("ablation-study"), description="Run folder.")

        def _check(self) -> None:
            super()._check()
            if self.method != CRISPR:
                raise SettingsError(
                    f"This study takes CRISPR's score apart; --method is {CRISPR}, not '{self.method}'."
                )

    @staticmethod
    def run(
        settings: "AblationStudy.Settings",
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """See `Study.run`."""
        from biasectomy.measuring.matrix import matrix

        whole: Crispr = METHODS[CRISPR](settings.section(CRISPR))
        variants = _variants(settings)

        def plan(processes: "Processes") -> "Planned":
            ground = series.open_ground(settings, processes, task)
            here = ground.development
            learned = whole.expected_of_sets(here, []) if settings.neurons else whole.expected_questions(here)
            learned += sum(one.expected_of_sets(here, []) for one in variants.values())
            answered = 1 + len(variants) + series.draws_of(settings)
            fits = {CRISPR: (whole, here)} | {name: (one, here) for name, one in variants.items()}
            return ground.planned(fits, fitting=learned, answered=answered)

        with series.running(settings, model, keep, plan) as (experiment, planned):
            count, said = _measure_whole(experiment, whole, planned.development[CRISPR], settings.neurons)
            for name, method in variants.items():
                title = f"CRISPR, {LEFT_OUT[name.partition(':')[2]][0]}"
                experiment.fit(name, method, title=title, neurons=count)
                experiment.ask(name, keep=False)
            like = experiment.fitted[CRISPR].neuron_set
            control = series.measure_control(experiment, CONTROL, RandomNeurons.title, like)
            rows = [CRISPR, *variants, *control]
            left_out = [(CRISPR, ORIGINAL), *((row, CRISPR) for row in variants)]
            against_random = [(CRISPR, row) for row in control]
            outcome = experiment.measure([*left_out, *against_random, *((row, ORIGINAL) for row in rows[1:])])
            first, *others = outcome.tasks
            columns = _columns(first, others, experiment.session.objective)
            beside = [(one.name, series.main_figure(one)) for one in others if not one.goals]
            found = matrix(columns, outcome.answers, ORIGINAL, {row: [] for row in rows}, experiment.session, beside)
            found = replace(found, notes=(f"Every row edits {count:,} neuron{'s' * (count != 1)}{said}.",))
            results = replace(outcome.results, matrix=found)
            results = replace(results, verdict=ablation_verdict(results, count, said))
            return experiment.finish(replace(outcome, results=results), [CRISPR])


def ablation_verdict(results: "Results", count: int, said: str) -> list[str]:
    """Whether the whole score serves the goal, and which parts it does so by."""
    from biasectomy.measuring.multiplicity import holding
    from biasectomy.report.verdict import verdict
    from biasectomy.report.words import (
        UNCLEAR,
        change_in_words,
        clear_alone,
        goal_differences,
        is_nearer,
        level_of,
        no_answer_changed,
        when_together,
    )

    rows = [row for row in goal_differences(results) if row.method == CRISPR or row.against == CRISPR]
    whole = next(row for row in rows if row.method == CRISPR)
    random = next((row for row in rows if row.against == CONTROL), None)
    parts = [row for row in rows if row not in (whole, random)]
    many = f"{count:,} neuron{'s' * (count != 1)}{said}"
    if no_answer_changed(rows):
        return [f"With {many} no row changes a figure: there is nothing to be taken apart."]
    goal = results.description(whole.metric).description
    clear, served = bool(clear_alone([whole])), bool(clear_alone([whole])) and is_nearer(results, whole)
    sentences = [
        f"With {many}, {goal} "
        f"{'is served by the whole score' if served else 'gets worse' if clear else UNCLEAR} "
        f"({change_in_words(results, whole)})."
    ]
    if random is not None:
        ahead = bool(clear_alone([random])) and is_nearer(results, random)
        sentences.append(
            f"It {'is ahead of' if ahead else 'cannot be told from'} as many random neurons "
            f"({change_in_words(results, random)})"
            + ("." if ahead else ", so what it does may be what any such edit does.")
        )

    def told(some: "Sequence[DifferenceRow]") -> str:
        names = [results.title(row.method).removeprefix("CRISPR, ") for row in some]
        return "; ".join(f"{name} ({change_in_words(results, row)})" for name, row in zip(names, some, strict=True))

    held = holding(parts, level_of(results))
    together = when_together(parts)
    worse = [row for row in held if not is_nearer(results, row)]
    better = [row for row in held if is_nearer(results, row)]
    if worse:
        sentences.append(f"Behind the whole score, {together}: {told(worse)}.")
    if better:
        sentences.append(f"Ahead of the whole score, {together}: {told(better)}.")
    if not held:
        alone = clear_alone(parts)
        sentences.append(
            f"No part is shown to matter: none of {len(parts)} can be told from the whole score, {together}"
            + (f"; each by itself would: {told(alone)}." if alone else ".")
        )
    return sentences + (verdict(results, method=CRISPR, original=ORIGINAL)[1:] if served else [])


def _variants(settings: "AblationStudy.Settings") -> dict[str, Any]:
    """By row, CRISPR with something left out that its settings have not left out already."""
    options = settings.section(CRISPR)
    made = {}
    for name, (_, changes) in LEFT_OUT.items():
        if all(getattr(options, field) == value for field, value in changes.items()):
            continue
        clamp = {"clamp_group": 1} if getattr(options, "clamp_group", 1) > 1 and "variant" in changes else {}
        made[f"{CRISPR}:{name}"] = METHODS[CRISPR](options.model_copy(update={**changes, **clamp}))
    return made


def _measure_whole(
    experiment: "Experiment", whole: "Crispr", development: "Task", settled: int | None
) -> tuple[int, str]:
    """Measures the whole score's neurons; how many they are, and how that number came about."""
    if settled is not None:
        experiment.fit(CRISPR, whole, title="CRISPR, the whole score")
        experiment.ask(CRISPR, keep=False)
        return settled, ""
    experiment.fit(CRISPR, whole, title="CRISPR, the whole score")
    fitted = experiment.fitted[CRISPR]
    count, said = len(fitted.neuron_set or ()), " (as many as it chose on development items)"
    if not count:
        tried = [one for one in fitted.record["search"] if one["n"] and one.get("difference") is not None]
        if not tried:
            raise SettingsError("No number of neurons could be judged on the development items; give --neurons.")
        count = max(tried, key=lambda one: (one["within_margin"], one["difference"]))["n"]
        said = " (on development items no number helped, and this one came nearest)"
        session = experiment.session.within(CRISPR)
        neuron_set = whole.sets(experiment.model, development, session, [count])[count]
        series.measure_neurons(experiment, CRISPR, "CRISPR, the whole score", neuron_set)
        return len(neuron_set), said
    experiment.ask(CRISPR, keep=False)
    return count, said


def _columns(first: "Task", others: "Sequence[Task]", objective: str | None) -> "list[Column]":
    """The goal, then what else plays a role in the first task, then the goals of the others."""
    from biasectomy.measuring.matrix import Column, judged_by

    goal = judged_by(first, objective)
    own = [one for one in first.metrics_in_force() if one.role and one.best is not None and one.name != goal.name]
    return [
        *(Column(f"{first.name}/{one.name}", first, first, one) for one in (goal, *own)),
        *(Column(task.name, task, task, judged_by(task, objective)) for task in others if task.goals),
    ]
