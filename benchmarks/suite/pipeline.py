"""The whole job against the whole job: `mitigate --method crispr`, and the same as most people would write it."""

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import plain_pipeline
from benchmarks.base import Bar, Line, Settings, benchmark
from benchmarks.made_up import small_decoder
from benchmarks.plain_pipeline import Asked, Neuron, Outcome
from benchmarks.whole_run import whole_run
from biasectomy import load, load_task, split
from biasectomy.attribution.crispr import Crispr
from biasectomy.attribution.products.engine import Instance
from biasectomy.errors import RunError
from biasectomy.models.language_model import LanguageModel
from biasectomy.models.sources import smollm2_folder
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.run_files import of_method
from biasectomy.tasks import Task
from biasectomy.tasks.option_order import rotate_options

TASK = "bbq:age"
ITEMS, DEVELOPMENT, INSTANCES = 736, 0.5, 20  # of the items 368 are developed on, as in the paper
QUICK = 40  # items
SHARED = 100  # neurons, the best of both
SEED = 0


@benchmark("pipeline", by_name=True)
def pipeline(settings: Settings) -> list[Line]:
    """`mitigate --method crispr` from start to end, against the plain pipeline: one sequence an option, generation."""
    instructions = 1 if settings.quick else None
    count = QUICK if settings.quick else ITEMS
    with tempfile.TemporaryDirectory() as folder:
        write_small_model(Path(folder))
        ours, found = _ours(settings, folder, count, instructions)
        model = load(folder, device="cpu")
    task = load_task(TASK).limited(count, instructions, SEED)
    sides = split(task, "random", DEVELOPMENT, SEED)
    own, test = (rotate_options(side, SEED) for side in (sides.development, sides.test))
    instances = _instances(model, own)
    if found.found_with["drawn"] != [[one.identifier for one in instances[0]]]:
        raise RunError("The plain pipeline was given other items to find neurons from; the same would be right.")
    start = time.perf_counter()
    theirs = plain_pipeline.run(model.model, model.tokenizer, instances, _asked(model, own), _asked(model, test))
    seconds = time.perf_counter() - start
    ranking = [(one.module, one.unit) for one in found]
    return _lines(settings, ours, seconds, ranking, theirs, len(own.items) * len(own.instructions))


def write_small_model(folder: Path) -> None:
    """A checkpoint with random weights that reads what SmolLM2 reads, so small that a plain pipeline ends."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(smollm2_folder())
    small_decoder(vocabulary=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _ours(settings: Settings, model: str, items: int, instructions: int | None) -> tuple[float, NeuronSet]:
    """Seconds of the whole command in a process of its own, and its best neurons."""
    words = ["--task", TASK, "--method", "crispr", "--beside", "none", "--also", "none", "--split", "random"]
    words += ["--max-items", str(items), "--development-share", str(DEVELOPMENT), "--seed", str(SEED)]
    words += ["--threads", str(settings.threads), "--quiet"]
    words += ["--crispr.variant", "authors", "--crispr.instances", str(INSTANCES), "--crispr.trials", "1"]
    words += ["--max-instructions", str(instructions)] if instructions else []
    with whole_run(model, words, settings.threads) as (folder, seconds):
        return seconds, NeuronSet.load(of_method(folder, "crispr") / "ranking.json")


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
