"""Fitting the rows of a study and asking them all the same: what was done before is not done again."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from benchmarks.evidence.rows import Row
from benchmarks.evidence.studies import Study
from biasectomy.commands.describe import planted
from biasectomy.errors import UnknownNameError
from biasectomy.files import read_json, write_json
from biasectomy.measuring.results import (
    DifferenceRow,
    MetricDescription,
    MetricRow,
    Results,
    figures,
    interval_settings,
)
from biasectomy.measuring.session import Session
from biasectomy.measuring.store import FileStore
from biasectomy.methods import METHODS, Cost, Fitted
from biasectomy.methods.neuron_edit import FittedNeurons
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.models.language_model import LanguageModel, load
from biasectomy.narration import say
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.tasks import Task
from biasectomy.tasks.metrics import Answers

REPLICATES = 2000


class Laboratory:
    """A study at work in a folder, which keeps everything: fits with their checkpoints, and every answer."""

    def __init__(self, study: Study, folder: Path, items: int, seeds: int) -> None:
        self.study, self.folder = study, folder / study.name
        self.model: LanguageModel = load(study.model)
        self.development, self.asked = study.tasks(items)
        self.rows = study.rows(len(self.model.neurons("ffn-hidden")), seeds)
        self.session = Session(store=FileStore(self.folder / "store"), replicates=REPLICATES)

    def results(self, only: set[str]) -> Results:
        """Figures of the original and of the chosen rows, or of all rows; a row's seeds are its draws.

        Raises:
            UnknownNameError: no row has such a name.
        """
        names = [row.name for row in self.rows]
        for name in only:
            if name not in names:
                raise UnknownNameError("row", name, names)
        answers: dict[str, dict[str, Answers]] = {task.name: {} for _, task in self.asked}
        costs: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            if only and row.name not in {*only, ORIGINAL}:
                continue
            drawn: dict[str, list[Answers]] = {}
            spent, edits = [], []
            for seed in range(row.seeds):
                fitted, seconds = self._fitted(row, seed)
                say(f"{row.title}, seed {seed}: asked {len(self.asked)} tasks")
                for draw in range(fitted.draws):
                    with fitted.answering(self.model, self.session, draw) as answerer:
                        for _, task in self.asked:
                            drawn.setdefault(task.name, []).append(self.session.ask(task, answerer))
                spent.append((fitted.cost, seconds))
                if fitted.neuron_set is not None:
                    edits.append(fitted.neuron_set)
            for name, parts in drawn.items():
                answers[name][row.name] = Answers.joined(parts)
            costs[row.name] = _cost(spent) | self._neurons(edits)
        return self._figures(answers, costs)

    def _fitted(self, row: Row, seed: int) -> tuple[Fitted, float]:
        """A row's method after it learned, and how many seconds that took when it was done."""
        session = dataclasses.replace(
            self.session, seed=seed, neurons=row.neurons, folder=self.folder / "fits" / f"{row.fitting}-{seed}"
        )
        assert session.folder is not None
        noted = session.folder / "seconds.json"
        development = row.taught(self.development) if row.taught else self.development
        if row.candidate is not None:
            kept = session.folder / "candidates" / f"{row.candidate}.json"
            if not kept.exists():
                self._timed(row, development, session, noted)
            neurons = NeuronSet.load(kept)
            return FittedNeurons(neurons, Cost(numbers=len(neurons))), _seconds(noted)
        return self._timed(row, development, session, noted), _seconds(noted)

    def _timed(self, row: Row, development: Task, session: Session, noted: Path) -> Fitted:
        start = time.perf_counter()
        kind = METHODS[row.method]
        fitted: Fitted = kind(kind.Settings(**row.settings)).fit(self.model, development, session)
        if not noted.exists():
            write_json(noted, {"seconds": round(time.perf_counter() - start, 1)})
        return fitted

    def _neurons(self, edits: list[NeuronSet]) -> dict[str, float]:
        """Of how many a row's neurons are; how many of them were planted and would be by chance, means of its seeds."""
        if not edits:
            return {}
        of: dict[str, float] = {"of": len(self.model.neurons(edits[0].definition))}
        found = [one for one in (planted(self.model, neurons) for neurons in edits) if one is not None]
        names = ("shared", "expected") if found else ()
        return of | {f"planted_{name}": sum(one[name] for one in found) / len(found) for name in names}

    def _figures(self, answers: dict[str, dict[str, Answers]], costs: dict[str, dict[str, Any]]) -> Results:
        metrics: list[MetricRow] = []
        differences: list[DifferenceRow] = []
        described: dict[str, MetricDescription] = {}
        for kind, task in self.asked:
            pairs = [(name, ORIGINAL) for name in answers[task.name] if name != ORIGINAL]
            pairs += [pair for pair in self.study.compared if {*pair} <= set(answers[task.name])]
            rows = figures(task, kind, answers[task.name], pairs, self.session.bootstrap)
            metrics, differences = [*metrics, *rows[0]], [*differences, *rows[1]]
            described |= {metric.name: MetricDescription.of(metric) for metric in task.metrics}
        return Results(
            tuple(metrics),
            tuple(differences),
            interval=interval_settings(REPLICATES),
            settings={
                "study": self.study.name,
                "model": self.study.model,
                "learned_from": self.study.learned,
                "development_items": len(self.development.items),
                "asked": {task.name: len(task.items) for _, task in self.asked},
                "quoted": self.study.quoted,
            },
            goals={self.asked[0][1].name: self.development.goal().metric},
            titles={row.name: row.title for row in self.rows if row.name in costs},
            described=described,
            costs=costs,
        )


def _cost(spent: list[tuple[Cost, float]]) -> dict[str, Any]:
    """What a row took, the mean of its seeds."""
    count = len(spent)
    return {
        "questions_per_answer": spent[0][0].questions_per_answer,
        "numbers": round(sum(cost.numbers for cost, _ in spent) / count),
        "seconds": round(sum(seconds for _, seconds in spent) / count),
        "seeds": count,
    }


def _seconds(noted: Path) -> float:
    return float(read_json(noted)["seconds"]) if noted.exists() else 0.0
