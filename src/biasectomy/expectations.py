"""What a run will take, measured on its own first prompts before the long parts begin."""

import time

from biasectomy.console import Console, duration
from biasectomy.evaluation import Examiner
from biasectomy.layouts import Batch
from biasectomy.likelihood import score
from biasectomy.memory import is_out_of_memory, weights_bytes
from biasectomy.tasks import Task
from biasectomy.trials import attribution_tokens, bytes_held

SMALLEST_BATCH = 64
PROBED_PROMPTS = 12


def choose_batch_tokens(examiner: Examiner, task: Task) -> float:
    """Halves the language model's token budget until a batch fits in memory; seconds a prompt at that budget.

    The budget depends on what fits, never on how fast it was: the same machine gives the same batches.
    """
    language_model = examiner.language_model
    processes = examiner.processes
    items = task.items[:: max(1, len(task.items) // PROBED_PROMPTS)][:PROBED_PROMPTS]
    prompts = [examiner.encoded(task.instructions[0], item) for item in items]
    while True:
        seconds = None
        try:
            seconds = _seconds(examiner, list(language_model.plan(prompts)))
        except (RuntimeError, MemoryError) as error:
            if language_model.batch_tokens <= SMALLEST_BATCH or not is_out_of_memory(error):
                raise
        # Batches must be the same in all processes, so they are what fits in the smallest memory.
        measured = processes.gather(seconds)
        if None not in measured:
            return float(max(measured)) / len(prompts)
        language_model.batch_tokens //= 2


def announce(console: Console, examiner: Examiner, task: Task, *, scored: int, attributed: int = 0) -> None:
    """Chooses the batch size, then says it, with the time and memory to expect."""
    console.heading("What to expect")
    language_model = examiner.language_model
    asked = language_model.batch_tokens
    seconds = choose_batch_tokens(examiner, task)
    tried = f" (tried {asked:,}, too large for the memory)" if asked != language_model.batch_tokens else ""
    console.say(f"Batches of {language_model.batch_tokens:,} tokens{tried}, {seconds * 1000:,.0f} ms a prompt")
    # An attributed instance is one forward and two backward passes, and about one more of elementwise work.
    count = examiner.processes.count
    expected = seconds * (scored + 4 * attributed) / count
    what = f"{scored:,} scored prompts" + (f" and {attributed:,} attributed" if attributed else "")
    memory = expected_memory(examiner, attributed > 0) / 2**30
    console.say(
        f"At most {what}: about {duration(expected)}, {memory:.1f} GiB of memory"
        + (f" in each of {count} processes" if count > 1 else "")
    )


def expected_memory(examiner: Examiner, attribution: bool) -> int:
    """Bytes: libraries, weights, and either the activations of attribution or the logits of scoring."""
    language_model = examiner.language_model
    model = language_model.model
    weights = weights_bytes(model)
    vocabulary = int(model.config.get_text_config().vocab_size)
    working = 2 * 4 * vocabulary * language_model.batch_tokens // 4
    if attribution:
        neurons = language_model.neurons()
        tokens = min(language_model.batch_tokens, attribution_tokens(model, neurons))
        working = max(working, int(bytes_held(model, neurons) * tokens))
    return int(400 * 2**20 + weights + working)


def _seconds(examiner: Examiner, batches: list[Batch]) -> float:
    """Time of some batches as they are: one that does not fit is an error here, not halved."""
    model, layout = examiner.language_model.model, examiner.language_model.layout
    score(model, batches[0], layout)  # the first pass pays for warming up
    start = time.perf_counter()
    for batch in batches:
        score(model, batch, layout)
    return time.perf_counter() - start
