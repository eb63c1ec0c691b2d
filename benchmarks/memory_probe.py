"""Memory of one job, in a process of its own: `python -m benchmarks.memory_probe '{"job": "scoring", ...}'`.

Prints JSON: resident bytes before and after the weights were loaded, and the largest ever, in bytes.
"""

import json
import sys
from typing import Any

import torch
import transformers.models.auto.modeling_auto  # noqa: F401  (counts as libraries, not as the model)

from biasectomy import attribute, evaluate, load, load_task
from biasectomy.attribution.crispr import Crispr
from biasectomy.models.sources import resolve_model
from biasectomy.reading.memory import memory_status, peak_memory, weights_bytes


def probe(wanted: dict[str, Any]) -> dict[str, int | None]:
    """Does the job and measures."""
    torch.set_num_threads(wanted["threads"])
    task = load_task(wanted["task"]).limited(wanted["items"], wanted["instructions"])
    resolve_model(wanted["model"])
    before = memory_status("VmRSS")
    language_model = load(wanted["model"], dtype=wanted["dtype"], device="cpu")
    loaded, peak_of_loading = memory_status("VmRSS"), peak_memory()
    if wanted["job"] == "attribution":
        attribute(language_model, task, Crispr(Crispr.Settings(instances=wanted["items"], trials=1)))
    else:
        evaluate(language_model, task)
    return {
        "before": before,
        "loaded": loaded,
        "peak_of_loading": peak_of_loading,
        "peak": peak_memory(),
        "weights": weights_bytes(language_model.model),
    }


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.argv[1]))))
