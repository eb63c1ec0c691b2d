"""Run folders made by hand, for tests of the page: whatever figures and answers are wanted, and no model."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biasectomy.files import write_json
from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.tasks.ambiguity import AMBIGUITY_METRICS
from biasectomy.tasks.perplexity import PERPLEXITY

HOSTILE = '<script>window.broken = 1</script>"\'><img src=x onerror="window.broken = 2">'
TURNED = "\N{RIGHT-TO-LEFT OVERRIDE}abc \N{HEBREW LETTER ALEF}"
TITLES = {"original": "Original", "crispr": "CRISPR", "random-neurons": "Random neurons", "dpo": "DPO"}
CLEAR, UNCLEAR, WORSE = (0.3, 0.2, 0.4), (0.05, -0.01, 0.1), (-0.3, -0.4, -0.2)
GOAL, GUARD, ABSTENTION = "accuracy_ambiguous", "accuracy_disambiguated", "unknown_disambiguated"
Change = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True)
class Asked:
    """An answer: who gave it, to which item, and which option it is."""

    method: str
    item: int
    answer: int
    instruction: int = 0
    draw: int = 0
    log_likelihoods: tuple[float, ...] = (-1.0, -2.0, -3.0)


def results_of(
    changes: Mapping[str, Mapping[str, Change]],
    against: Mapping[str, Change] | None = None,
    *,
    clusters: int = 30,
    split: str = "test",
    titles: Mapping[str, str] = TITLES,
) -> Results:
    """Results in which methods differ from the original, whose figures are 0.5, and the first also from a control.

    Args:
        changes: by method, then by metric, what the method changes.
        against: by metric, what the first method is ahead of random neurons.
        clusters: that every figure rests on.
        split: of the items.
        titles: of the methods.
    """
    metrics = list(dict.fromkeys(metric for one in changes.values() for metric in one)) or [GOAL, GUARD]
    methods = ["original", *changes, *(["random-neurons"] if against else [])]
    rest = (200, clusters, 1.0)
    rows = [
        MetricRow(
            method, "bbq:age", split, metric, 0.5 + changes.get(method, {}).get(metric, (0.0,))[0], 0.3, 0.9, *rest,
            draws=(0.49, 0.51) if method == "random-neurons" else (),
        )
        for metric in metrics
        for method in methods
    ]  # fmt: skip
    rows += [
        MetricRow(one, "perplexity:packaged", "all", "perplexity", 80.0, 70.0, 90.0, 60, 60, 1.0) for one in methods
    ]
    differences = [
        DifferenceRow(method, "original", "bbq:age", split, metric, *change, *rest)
        for method, by_metric in changes.items()
        for metric, change in by_metric.items()
    ]
    differences += [
        DifferenceRow(next(iter(changes)), "random-neurons", "bbq:age", split, metric, *change, *rest)
        for metric, change in (against or {}).items()
    ]
    return Results(
        tuple(rows),
        tuple(differences),
        verdict=["Accuracy rises behind `<|endoftext|>`.", HOSTILE],
        interval={"level": 0.95, "kind": "", "replicates": 100, "seed": 0},
        titles=dict(titles),
        described={one.name: MetricDescription.of(one) for one in (*AMBIGUITY_METRICS, PERPLEXITY)},
        goals={"bbq:age": GOAL},
        costs={
            one: {"questions": 9, "questions_per_answer": 1.0, "tokens_per_answer": 90.0, "numbers": 3}
            for one in methods
        },
        tasks=("bbq:age", "perplexity:packaged"),
    )


def make_run(
    folder: Path,
    results: Results,
    answers: Sequence[Asked] = (),
    *,
    asked_about: bool = True,
    neurons: int = 3,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """A run folder; the item of number i is ambiguous where i is even, and its options are those of `options_of`.

    Args:
        folder: is made.
        results: what was found.
        answers: what stands in `items.jsonl`.
        asked_about: whether there is `questions.jsonl`, and what the neurons are.
        neurons: of CRISPR.
        settings: beside the model and the task.
    """
    folder.mkdir(parents=True)
    write_json(folder / "results.json", results.to_json())
    command = "biasectomy mitigate tiny --task bbq:age --test-items 100 --out runs/first"
    write_json(
        folder / "record.json",
        {
            "status": "finished",
            "command": command,
            "settings": {"model": "tiny", "task": "bbq:age", "seed": 3, **(settings or {})},
            "versions": {"biasectomy": "0.1.0", "torch": "2"},
            "finished": "2026-02-03T04:05:06+00:00",
            "seconds": {"prepare": 1.0, "measure": 75.0},
            "tasks": [{"name": "bbq:age", "answer_rule": "sum", "sources": [{"file": "Age.jsonl", "sha256": "ab"}]}],
            "methods": {"crispr": {"title": "CRISPR"}},
        },
    )
    rows = [
        {
            "method": one.method, "draw": one.draw, "split": "test", "task": "bbq:age", "item": f"bbq:age/{one.item}",
            "instruction": one.instruction, "options": list(options_of(one.item)),
            "gold": 2 if one.item % 2 == 0 else 0,
            "log_likelihoods": list(one.log_likelihoods), "tokens": [1, 2, 3], "answer": one.answer,
        }
        for one in answers
    ]  # fmt: skip
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = NeuronSet(tuple(Neuron(f"model.layers.{n}.mlp.down_proj", n, 0.5, 0.25 * n) for n in range(neurons)))
    (folder / "methods" / "crispr").mkdir(parents=True)
    found.save(folder / "methods" / "crispr" / "neurons.json")
    if asked_about:
        items = dict.fromkeys(one.item for one in answers)
        (folder / "questions.jsonl").write_text("".join(json.dumps(question(item)) + "\n" for item in items))
        told = [
            {
                "module": one.module, "unit": one.unit, "writes_towards": [{"token": HOSTILE}, {"token": " old"}],
                "no_tokens_because": "",
                "most_active": [{"item": "x", "activation": 2.5, "before": "the ", "token": TURNED, "after": HOSTILE}],
            }
            for one in found
        ]  # fmt: skip
        write_json(folder / "methods" / "crispr" / "described.json", {"neurons": told})
    return folder


def options_of(item: int) -> tuple[str, str, str]:
    """The young one, the old one (whom the stereotype means), and that it is not known."""
    return (f"young {item} {HOSTILE}", f"old {item} {TURNED}", "not known")


def question(item: int) -> dict[str, Any]:
    """A line of `questions.jsonl`."""
    labels = {"condition": "ambiguous" if item % 2 == 0 else "disambiguated", "polarity": f"p{item % 3} {HOSTILE}"}
    return {
        "split": "test", "task": "bbq:age", "item": f"bbq:age/{item}", "cluster": "bbq:age/1",
        "context": f"Story {item}. {HOSTILE}", "question": f"Who was it? {TURNED}", "options": list(options_of(item)),
        "gold": 2 if item % 2 == 0 else 0, "target": 1, "unknown": 2, "labels": labels,
    }  # fmt: skip


def some_answers(items: int = 40) -> list[Asked]:
    """Of two methods and a control; CRISPR changes two of three answers, and not always for the better."""
    log_likelihoods = (math.log(0.5), math.log(0.3), math.log(0.2))
    given = [Asked("original", item, item % 3, log_likelihoods=log_likelihoods) for item in range(items)]
    given += [Asked("crispr", item, (item + item // 3) % 3) for item in range(items)]
    given += [Asked("random-neurons", item, 0, draw=draw) for draw in range(2) for item in range(items)]
    return given
