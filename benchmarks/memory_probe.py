"""Memory of one job, in a process of its own: `python -m benchmarks.memory_probe '{"job": "scoring", ...}'`.

Prints JSON: resident bytes before and after the weights were loaded, and the largest ever, in bytes.
"""

import json
import sys
from typing import Any

import torch
import transformers.models.auto.modeling_auto  # noqa: F401  (counts as libraries, not as the model)

from benchmarks.ia3_peer import Ia3Peer
from benchmarks.learner import Learner
from biasectomy import attribute, evaluate, load, load_task, split
from biasectomy.attribution.crispr import Crispr
from biasectomy.models.language_model import LanguageModel
from biasectomy.models.sources import resolve_model
from biasectomy.reading.memory import memory_status, peak_memory, weights_bytes
from biasectomy.tasks import Task


def probe(wanted: dict[str, Any]) -> dict[str, int | None]:
    """Does the job and measures."""
    torch.set_num_threads(wanted["threads"])
    task = load_task(wanted["task"])
    if wanted["job"] == "ia3":
        import peft  # noqa: F401  (counts as a library)
    resolve_model(wanted["model"])
    before = memory_status("VmRSS")
    language_model = load(wanted["model"], dtype=wanted["dtype"], device="cpu")
    loaded, peak_of_loading = memory_status("VmRSS"), peak_memory()
    do(wanted, language_model, task)
    return {
        "before": before,
        "loaded": loaded,
        "peak_of_loading": peak_of_loading,
        "peak": peak_memory(),
        "weights": weights_bytes(language_model.model),
    }


def do(wanted: dict[str, Any], language_model: LanguageModel, task: Task) -> None:
    """The job; for those that learn, `items` is how many a step reads."""
    limited = task.limited(wanted["items"], wanted["instructions"])
    match wanted["job"]:
        case "attribution":
            attribute(language_model, limited, Crispr(Crispr.Settings(instances=wanted["items"], trials=1)))
        case "scoring":
            evaluate(language_model, limited)
        case "learning":
            learner = Learner(language_model, split(task).development, wanted["items"])
            learner.remember()  # which stays in memory
            learner.run(wanted["steps"])
        case "ia3":
            peer = Ia3Peer(language_model, split(task).development, wanted["items"])
            peer.items_at_once = wanted["items_at_once"]
            peer.run(wanted["steps"])
        case other:
            raise ValueError(f"there is no job {other!r}")


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.argv[1]))))
