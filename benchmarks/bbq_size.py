"""Measures how much reading the whole of BBQ is: `python -m benchmarks.bbq_size` writes bbq_size.json, in minutes.

Only tokens are made and laid out; nothing is computed. `scale.py` makes its tables from the file.
"""

import json
from pathlib import Path

from biasectomy import load
from biasectomy.learning.neutral import learned_from
from biasectomy.reading.layouts import Batch, PackedLayout, Size
from biasectomy.tasks import load_tasks

FILE = Path(__file__).with_name("bbq_size.json")
BUDGET = 4096  # tokens of a batch, as on a card
EVERY = 97  # of so many prompts one is laid out alone, as attribution reads them


def main() -> None:
    """Writes the file."""
    model, layout = load("smollm2", prompt="plain", device="cpu"), PackedLayout()
    tasks = load_tasks("bbq:all")
    shared, alone = Size(0, 0, 0, passes=0), Size(0, 0, 0, passes=0)
    questions = sampled = 0
    for task in tasks:
        for wording in task.instructions:
            prompts = [model.prompt_format.encode(task.question(wording, item)) for item in task.items]
            for batch in layout.plan(prompts, BUDGET):
                shared += layout.size(batch)
            for prompt in prompts[::EVERY]:
                alone += layout.size(Batch((0,), (prompt,)), separate=True)
                sampled += 1
            questions += len(prompts)
        print(task.name, questions, flush=True)
    texts = [len(text.options[0]) for text in learned_from(model).texts]
    found = {
        "tokenizer": model.name,
        "batch_tokens": BUDGET,
        "items": sum(len(task.items) for task in tasks),
        "instructions": len(tasks[0].instructions),
        "templates": sum(len({item.cluster for item in task.items}) for task in tasks),
        "questions": questions,
        "shared": {"tokens": shared.tokens, "logits": shared.logits, "pairs": shared.pairs, "passes": shared.passes},
        "alone": {"questions": sampled, "tokens": alone.tokens, "logits": alone.logits, "pairs": alone.pairs},
        "text_tokens": sum(texts) / len(texts),
    }
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
