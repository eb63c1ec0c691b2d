"""The whole job against the whole job: `mitigate --method crispr`, and the same as most people would write it."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import plain_pipeline
from benchmarks.base import Bar, Line, Settings, benchmark
from benchmarks.plain_pipeline import Asked, Neuron, Outcome
from biasectomy import load, load_task, split
from biasectomy.attribution.crispr import Crispr
from biasectomy.attribution.products.engine import Instance
from biasectomy.errors import RunError
from biasectomy.models.language_model import LanguageModel
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.tasks import Task
from biasectomy.tasks.option_order import rotate_options

MODEL, TASK = "organism", "organism:bias"  # small, and it answers with its options
DEVELOPMENT, INSTANCES = 368, 20  # items, as in the paper's BBQ Age
SHARED = 100  # neurons, the best of both
SEED = 0


@benchmark("pipeline")
def pipeline(settings: Settings) -> list[Line]:
    """`mitigate --method crispr` from start to end, against the plain pipeline: one sequence an option, generation."""
    instructions = 1 if settings.quick else None
    whole = load_task(TASK)
    share = 60 / len(whole.items) if settings.quick else DEVELOPMENT / len(whole.items)
    ours, found = _ours(settings, share, instructions)
    model = load(MODEL)
    sides = split(rotate_options(whole, SEED), "random", share, SEED)
    own, test = (rotate_options(side, SEED).limited(None, instructions) for side in (sides.development, sides.test))
    instances = _instances(model, own)
    if found.found_with["drawn"] != [[one.identifier for one in instances[0]]]:
        raise RunError("The plain pipeline was given other items to find neurons from; the same would be right.")
    start = time.perf_counter()
    theirs = plain_pipeline.run(model.model, model.tokenizer, instances, _asked(model, own), _asked(model, test))
    seconds = time.perf_counter() - start
    ranking = [(one.module, one.unit) for one in found]
    return _lines(settings, ours, seconds, ranking, theirs, len(own.items) * len(own.instructions))


def _ours(settings: Settings, share: float, instructions: int | None) -> tuple[float, NeuronSet]:
    """Seconds of the whole command in a process of its own, and its best neurons."""
    words = ["--task", TASK, "--method", "crispr", "--beside", "none", "--also", "none", "--split", "random"]
    words += ["--development-share", str(share), "--seed", str(SEED), "--threads", str(settings.threads), "--quiet"]
    words += ["--crispr.variant", "authors", "--crispr.instances", str(INSTANCES), "--crispr.trials", "1"]
    words += ["--max-instructions", str(instructions)] if instructions else []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "biasectomy", "mitigate", MODEL, *words, "--out", str(out)]
        start = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(settings.threads)}
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RunError(f"'biasectomy mitigate' failed: {done.stderr.strip()[-400:]}")
        return seconds, NeuronSet.load(out / "methods" / "crispr" / "ranking.json")


def _instances(model: LanguageModel, development: Task) -> list[list[Instance]]:
    """Those that the library draws, of each instruction."""
    attribution = Crispr(Crispr.Settings(variant="authors", instances=INSTANCES, trials=1))
    (drawn,) = attribution.drawn(development, SEED)
    items = [development.items[index] for index in drawn]
    return [
        [Instance(item.identifier, model.encode(development.question(one, item)), item.gold or 0) for item in items]
        for one in development.instructions
    ]


def _asked(model: LanguageModel, task: Task) -> list[Asked]:
    return [
        Asked(model.prompt_format.text(task.question(one, item).text or ""), tuple(item.options), item.gold or 0)
        for one in task.instructions
        for item in task.items
    ]


def _lines(
    settings: Settings, ours: float, seconds: float, ranking: list[Neuron], theirs: Outcome, prompts: int
) -> list[Line]:
    count = min(SHARED, len(ranking))
    shared = len(set(ranking[:count]) & set(theirs.ranking[:count])) / count
    details = {
        "development_prompts": prompts,
        "evaluations": theirs.evaluations,
        "chosen": theirs.chosen,
        "accuracy_before_and_after": [theirs.before, theirs.after],
    }
    return [
        Line(
            "pipeline",
            "the whole command against a plain pipeline",
            seconds / ours,
            "times",
            "float32",
            bar=Bar("at least", 20.0),
            seconds=ours,
            peer_seconds=seconds,
            threads=settings.threads,
            details=details,
        ),
        Line(
            "pipeline", f"of the first {count} neurons, the same", shared, "share", "float32", bar=Bar("at least", 1.0)
        ),
    ]
