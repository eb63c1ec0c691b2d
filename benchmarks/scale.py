"""What runs take beyond one machine: `python -m benchmarks.scale` writes the tables of docs/scale.md anew.

Work is counted by the library's own code on models of a shape, without weights; how much BBQ is to read was measured
by `bbq_size.py`. What is measured, stated and assumed: `biasectomy.measuring.expense`.
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.bbq_size import FILE
from biasectomy.commands.elsewhere import cell
from biasectomy.commands.stages import Asked, Read, evaluating, mitigating, read_of
from biasectomy.measuring.expense import CARDS, COUNTS, Stage, Weights, expense
from biasectomy.measuring.planning import Variance
from biasectomy.methods import crispr, learned_factors
from biasectomy.models.loading import empty_model
from biasectomy.neurons.work import Operations
from biasectomy.reading.layouts import Size

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- written by python -m benchmarks.scale -->\n", "<!-- end -->\n"
CARD = "h100"
# Of Llama 3.2 1B, 3.1 8B and 3.1 70B: layers, width, hidden units, heads, heads of keys, whether embeddings are tied.
SHAPES = {"1B": (16, 2048, 8192, 32, 8, True), "8B": (32, 4096, 14336, 32, 8, False)}
SHAPES["70B"] = (80, 8192, 28672, 64, 8, False)
VOCABULARY = 128_256
CHANGE, ACCURACY, ALIKE = 0.05, 0.5, 0.1  # to be found, of a figure near, with items of a template so much alike
OF_A_CONDITION = 2  # a figure of one of BBQ's two conditions is of half of the items
NAMES = {crispr.NAME: "CRISPR", learned_factors.NAME: "learned factors"}


def shaped(name: str) -> Any:
    """A model of a shape, without weights."""
    from transformers import LlamaConfig

    layers, width, hidden, heads, keys, tied = SHAPES[name]
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        tie_word_embeddings=tied,
    )
    return empty_model(config, torch.bfloat16)


def measured() -> dict[str, Any]:
    """How much BBQ is to read."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def read_by(operations: Operations, size: dict[str, Any]) -> Read:
    """What a question of BBQ is for a model."""
    alone = {name: value for name, value in size["alone"].items() if name != "questions"}
    return read_of(
        operations,
        Size(**size["shared"]),
        size["questions"],
        Size(**alone),
        size["alone"]["questions"],
        size["text_tokens"],
        size["batch_tokens"],
    )


def enough(size: dict[str, Any]) -> int:
    """Items that find the change in one condition, spread over all templates."""
    variance = Variance(ACCURACY * (1 - ACCURACY), ALIKE)
    return OF_A_CONDITION * math.ceil(variance.items_for(CHANGE, size["templates"]))


def tables() -> str:
    """The tables, as Markdown."""
    size = measured()
    few = enough(size)
    plans = {
        f"all {size['items']:,} items": Asked(size["items"], size["instructions"]),
        f"{few:,} items that find {100 * CHANGE:g} points": Asked(few, size["instructions"]),
    }
    mitigated = {
        f"all {size['items']:,} items": plans[f"all {size['items']:,} items"],
        f"{2 * few:,} items, half of them test": Asked(2 * few, size["instructions"]),
    }
    lines = []
    shapes = {name: shaped(name) for name in SHAPES}
    for title, chosen, kind in (
        ("Evaluation", plans, None),
        *((f"`mitigate --method {name} --beside none`", mitigated, name) for name in NAMES),
    ):
        lines += [f"### {title}\n", *_head()]
        for shape, model in shapes.items():
            weights, operations = Weights.of(model), Operations.of(model)
            read = read_by(operations, size)
            for name, asked in chosen.items():
                stages = evaluating(read, asked) if kind is None else mitigating(read, asked, kind)
                lines.append(_row(f"{shape}, {name}", stages, stages, weights))
                if kind is not None and name == next(iter(chosen)):
                    lines += [_row(f"... {one.name}", stages, [one], weights) for one in stages]
        lines.append("")
    return "\n".join(lines)


def _head() -> Iterator[str]:
    heads = ["", "PFLOP", *(f"{count} card{'s' if count > 1 else ''}" for count in COUNTS)]
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" + "--:|" * (len(heads) - 1)


def _row(label: str, stages: Sequence[Stage], only: Sequence[Stage], weights: Weights) -> str:
    found = [expense(stages, weights, CARDS[CARD], count, only=only) for count in COUNTS]
    operations = sum(one.operations for one in only) / 1e15
    return "| " + " | ".join([label, figures(operations), *map(cell, found)]) + " |"


def figures(value: float) -> str:
    """Three figures that say something, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def page(text: str, made: str) -> str:
    """A page with the tables in their place."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + made + "\n" + END + rest.partition(END)[2]


def main() -> None:
    """Writes the page anew."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), tables()), encoding="utf-8")


if __name__ == "__main__":
    main()
