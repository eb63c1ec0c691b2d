"""Pairs of answers to development items, and how a model's residual stream differs between the two."""

from typing import TYPE_CHECKING, Literal

from biasectomy.errors import SettingsError
from biasectomy.tasks.opposites import other_side, right_other

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.reading.layouts import Batch
    from biasectomy.reading.prompts import EncodedPrompt
    from biasectomy.tasks.base import Item, Task

Pairs = Literal["answers", "groups"]
Tokens = Literal["last", "mean"]
FILE = "differences.safetensors"


def pair_of(item: "Item", pairs: Pairs) -> tuple[int, int] | None:
    """The places of two options that are compared; None where an item has no such pair.

    "answers" are the right and the biased one; "groups" the biased one's opposite and itself: of the options that do
    not say that it cannot be known there must be two.
    """
    if item.target is None or (pairs == "groups" and item.target == item.unknown):
        return None
    other = right_other(item) if pairs == "answers" else other_side(item)
    return None if other is None else (other, item.target)


def with_pairs(task: "Task", pairs: Pairs, title: str) -> "list[Item]":
    """The items of a task that have a pair.

    Raises:
        SettingsError: none has.
    """
    found = [item for item in task.items if pair_of(item, pairs) is not None]
    if not found:
        needed = {
            "answers": "a right and another, biased answer",
            "groups": "a biased answer and one other that is not 'unknown'",
        }
        raise SettingsError(
            f"{title} needs items with {needed[pairs]}, and '{task.name}' has none; bbq would be right."
        )
    return found


def differences(
    model: "LanguageModel", task: "Task", session: "Session", *, pairs: Pairs, tokens: Tokens, limit: int, title: str
) -> "dict[str, Tensor]":
    """How the stream at the first answer of each pair differs from that at the second: by block, [pairs, width].

    The task's instructions take turns. What was computed is kept in the session's folder, and taken from there.

    Args:
        model: that reads the answers.
        task: of whose items so many are taken.
        session: that divides them among processes.
        pairs: which answers are compared.
        tokens: where: at an answer's last token, or the mean over all of its tokens.
        limit: at most so many items.
        title: of the method, for messages.

    Raises:
        SettingsError: no item has a pair.
        ScoreError: a difference is not finite.
    """
    from dataclasses import replace

    import torch

    from biasectomy.errors import ScoreError
    from biasectomy.kept_tensors import keep_tensors, kept_tensors
    from biasectomy.neurons.stream import answer_states, stream_blocks
    from biasectomy.reading.memory import in_halves

    file = session.path(FILE)
    kept = session.processes.once(lambda: kept_tensors(file))
    if kept is not None:
        session.asked.questions += 2 * len(next(iter(kept.values())))
        return kept
    paired = replace(task, items=tuple(with_pairs(task, pairs, title))).limited(limit, seed=session.seed)
    prompts = _prompts(model, paired, pairs)
    blocks = stream_blocks(model.neurons())

    def read(batch: "Batch") -> "dict[str, Tensor]":
        def passed(half: "Batch") -> "list[dict[str, Tensor]]":
            states = answer_states(model.model, blocks, half.prompts, last=tokens == "last")
            return [{path: values[row] for path, values in states.items()} for row in range(len(half.prompts))]

        rows = in_halves(passed, batch)
        return {path: torch.stack([row[path] for row in rows]) for path in rows[0]}

    states: dict[int, dict[str, Tensor]] = {}
    for batch, found in session.processes.map(read, list(_batches(prompts, model.batch_tokens)), model.cost):
        for row, index in enumerate(batch.indices):
            states[index] = {path: values[row] for path, values in found.items()}
    made = {
        path: torch.stack(
            [states[2 * number][path] - states[2 * number + 1][path] for number in range(len(paired.items))]
        )
        for path in states[0]
    }
    session.asked.questions += len(prompts)
    if not all(bool(torch.isfinite(values).all()) for values in made.values()):
        raise ScoreError(f"{title}: the model's residual stream is not finite; --dtype float32 may be needed.")
    if file is not None and session.processes.main:
        keep_tensors(file, made)
    return made


def _prompts(model: "LanguageModel", task: "Task", pairs: Pairs) -> "list[EncodedPrompt]":
    """Two prompts for each item, one with each answer of its pair."""
    from dataclasses import replace

    from biasectomy.measuring.session import naming_items

    chosen = [
        task.question(task.instructions[number % len(task.instructions)], item)
        for number, item in enumerate(task.items)
    ]
    # Options are encoded as they are answered, in the company of the others.
    questions = [replace(question, generation=None, divergence=False) for question in chosen]
    with naming_items(task, questions):
        encoded = [model.encode(question) for question in questions]
    found = []
    for item, prompt in zip(task.items, encoded, strict=True):
        pair = pair_of(item, pairs)
        assert pair is not None
        found += [replace(prompt, options=(prompt.options[place],), words=()) for place in pair]
    return found


def _batches(prompts: "list[EncodedPrompt]", budget: int) -> "list[Batch]":
    from biasectomy.reading.layouts import RowLayout

    return list(RowLayout().plan(prompts, budget))
