"""A finished run written by hand: two figures with a role and one without, before and after, and a set of neurons."""

import math
from pathlib import Path
from typing import Any

from biasectomy.files import write_json
from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results
from biasectomy.models.manifest import write_manifest
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.report.finished import FinishedRun

MODULE = "model.layers.0.mlp.down_proj"
NEURONS = NeuronSet((Neuron(MODULE, 3, 0.5, 0.25), Neuron(MODULE, 7, 0.4, 0.0)))
TASKS = ("bbq:age", "drift:packaged")
FIGURES = {"fair": ("bbq:age", "goal", 0.25, 0.75), "kept": ("bbq:age", "guard", 0.5, 0.5)}
FIGURES |= {"drifted": ("drift:packaged", "guard", math.nan, 0.02), "plain": ("bbq:age", None, 0.1, 0.1)}


def made_results(method: str) -> Results:
    """Figures of the original and of a method; the drift of the original is undefined."""
    rows, changes = [], []
    for metric, (task, _, *values) in FIGURES.items():
        for name, value in zip(("original", method), values, strict=True):
            reason = "nobody knows" if math.isnan(value) else None
            rows.append(MetricRow(name, task, "test", metric, value, value - 0.125, value + 0.125, 90, 9, 1.0, reason))
        change = values[1] - values[0]
        changes.append(
            DifferenceRow(method, "original", task, "test", metric, change, change - 0.25, change + 0.25, 90, 9, 1.0)
        )
    described = {
        name: MetricDescription(f"The {name}", f"what is {name}", "nats" if name == "drifted" else "share", 1.0, role)
        for name, (_, role, *_) in FIGURES.items()
    }
    return Results(
        tuple(rows),
        tuple(changes),
        ["It is fairer."],
        interval={"level": 0.95},
        settings={"instruction_count": 2},
        titles={"original": "Original", method: f"Title of {method}"},
        described=described,
        goals={"bbq:age": "fair"},
        costs={"original": {}, method: {}},
        tasks=TASKS,
    )


def made_run(
    folder: Path,
    method: str = "crispr",
    neurons: NeuronSet | None = NEURONS,
    made: str | None = "model",
    **record: Any,
) -> FinishedRun:
    """A run in a folder, as `mitigate` leaves it; `made` is the name of the folder with what can be loaded."""
    written: dict[str, Any] = {
        "command": f"biasectomy mitigate /home/somebody/tiny --method {method} --data /data/of/mine --out run",
        "settings": {"model": "/home/somebody/tiny", "method": method, "dtype": "float32", "prompt": "auto"},
        "model": {"name": "/home/somebody/tiny", "fingerprint": "f" * 64},
        "items": {"development": 40, "test": 90},
        "prompt": {"format": "chat", "prefix": {"rule": "auto", "token": 1, "text": "<start>"}},
        "chat_template": {"thinking": "off"},
        "tasks": [{"name": name, "version": "2", "answer_rule": "sum", "checksum": "c" * 64} for name in TASKS],
        "versions": {"biasectomy": "9.9", "torch": "8.8", "transformers": "7.7"},
    }
    write_json(folder / "record.json", written | record)
    write_json(folder / "results.json", made_results(method).to_json())
    if neurons is not None:
        (folder / "methods" / method).mkdir(parents=True)
        neurons.save(folder / "methods" / method / "neurons.json")
    if made is not None and not (folder / made).exists():
        write_json(folder / made / "config.json", {"dtype": "float32"})
        (folder / made / "model.safetensors").write_bytes(b"0" * 2_000_000)
        write_manifest(folder / made)
    return FinishedRun.read(folder)
