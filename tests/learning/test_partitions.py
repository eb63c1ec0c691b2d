"""Partitions of weights by the direction of two gradients, recomputed by hand and in plain numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from biasectomy.errors import SettingsError
from biasectomy.learning.batches import Batches
from biasectomy.learning.contrast import PartitionedTraining, loss_of_pairs, pairs_of
from biasectomy.learning.full_weights import FullWeights
from biasectomy.learning.partitions import Partitions
from biasectomy.processes import ALONE


def parameters(*shapes: tuple[int, ...]) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    module = nn.Module()
    for place, shape in enumerate(shapes):
        module.register_parameter(f"w{place}", nn.Parameter(torch.zeros(shape)))
    return module, dict(module.named_parameters())


def test_similarities_by_hand_for_both_aggregations():
    module, named = parameters((2, 3), (2,))
    first = {"w0": torch.tensor([[1.0, 0, 0], [0, 2, 0]]), "w1": torch.tensor([1.0, 1])}
    second = {"w0": torch.tensor([[-3.0, 0, 0], [0, 5, 5]]), "w1": torch.tensor([1.0, -1])}
    by_row = Partitions.of(module, named).similarities(first, second)
    assert by_row.tolist() == pytest.approx([-1, 0.5**0.5, 0])
    by_column = Partitions.of(module, named, "output").similarities(first, second)
    assert by_column.tolist() == pytest.approx([-1, 1, np.inf, 0])  # nothing reaches the third column's first gradient


def test_the_matrix_of_a_conv1d_is_parted_by_what_it_computes():
    """Its matrix is [inputs, outputs]: what goes into one output unit is a column."""
    linear, turned = nn.Linear(3, 2, bias=False), Conv1D(2, 3)
    gradients = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    for aggregation in ("input", "output"):
        expected = Partitions.of(linear, {"weight": linear.weight}, aggregation)
        found = Partitions.of(turned, {"weight": turned.weight}, aggregation)
        torch.testing.assert_close(
            found.similarities(*({"weight": one.T.contiguous()} for one in gradients)),
            expected.similarities(*({"weight": one} for one in gradients)),
        )
        assert len(found) == len(expected) == (2 if aggregation == "input" else 3)


def numpy_choice(first: dict, second: dict, count: int) -> dict[str, np.ndarray]:
    """Which entries move: rows of matrices (or whole vectors) with the lowest cosine, in float64."""
    rows = []
    for name in first:
        one, other = (np.atleast_2d(some[name].double().numpy()) for some in (first, second))
        for row, (left, right) in enumerate(zip(one, other, strict=True)):
            lengths = np.linalg.norm(left) * np.linalg.norm(right)
            if lengths > 0:
                rows.append((left @ right / lengths, name, row))
    masks = {name: np.zeros(np.atleast_2d(value.numpy()).shape, dtype=bool) for name, value in first.items()}
    for _, name, row in sorted(rows)[:count]:
        masks[name][row] = True
    return {name: mask.reshape(first[name].shape) for name, mask in masks.items()}


@pytest.mark.parametrize("count", [1, 4, 9, 500])
def test_what_is_chosen_is_what_numpy_chooses(count):
    module, named = parameters((5, 4), (7,), (6, 3))
    generator = torch.Generator().manual_seed(count)
    first, second = ({name: torch.randn(one.shape, generator=generator) for name, one in named.items()} for _ in "ab")
    second["w2"][2] = 0  # no direction: never chosen
    found = Partitions.of(module, named)
    masks = dict(found.masks(found.lowest(found.similarities(first, second), count)))
    for name, expected in numpy_choice(first, second, count).items():
        own = masks[name].expand(named[name].shape).numpy() if name in masks else np.zeros(named[name].shape, bool)
        assert (own == expected).all()


def plain_gradients(model, task, batches) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """Gradients of the summed log P of the gold and of the biased answers, one pass an answer, without our layouts."""
    instruction, items = batches.at(0)
    model.model.requires_grad_(True)
    found = []
    for side in (0, 1):
        model.model.zero_grad()
        for item in items:
            encoded = model.encode(task.question(instruction, item))
            option = encoded.options[side]
            tokens = torch.tensor([[*encoded.prompt, *option]])
            logits = model.model(input_ids=tokens).logits[0].log_softmax(-1)
            shift = len(encoded.prompt)
            sum(logits[shift + place - 1, token] for place, token in enumerate(option)).backward()
        found.append({name: one.grad.clone() for name, one in model.model.named_parameters()})
    model.model.zero_grad()
    return found


@pytest.mark.parametrize("update", ["lower-target", "raise-gold", "both"])
def test_a_step_moves_the_chosen_partitions_alone_by_the_gradients_of_a_plain_loop(tiny, toy_task, update):
    pairs, rate, chosen = pairs_of(toy_task(clusters=4)), 1e-3, 25
    batches = Batches(pairs, 4)
    gold, target = plain_gradients(tiny, pairs, batches)
    weights = FullWeights(tiny)
    named = dict(zip(weights.names, weights.values, strict=True))
    before = {name: value.detach().clone() for name, value in named.items()}
    training = PartitionedTraining(
        tiny, batches, loss_of_pairs(pairs, pairs.goal()), weights.in_force, weights.values, ALONE, 0.0,
        partitions=Partitions.of(tiny.model, named), chosen=chosen, update=update,
    )  # fmt: skip
    training.step(0, rate)
    directions = {"lower-target": (1, 0), "raise-gold": (0, -1), "both": (1, -1)}[update]
    masks = numpy_choice(gold, target, chosen)
    assert sum(mask.any(-1).sum() if mask.ndim > 1 else mask.any() for mask in masks.values()) == chosen
    for name, value in named.items():
        step = directions[0] * target[name] + directions[1] * gold[name]
        expected = before[name] - rate * step * torch.from_numpy(masks[name])
        torch.testing.assert_close(value.detach(), expected, rtol=1e-4, atol=1e-6)
        assert torch.equal(value.detach()[~masks[name]], before[name][~masks[name]])


def test_pairs_are_asked_with_the_two_answers_and_the_prompt_of_the_whole_item(toy_task):
    task = toy_task(clusters=2)
    pairs = pairs_of(task)
    for question, whole, item in zip(pairs.questions(), task.questions(), task.items * 2, strict=True):
        assert question.text == whole.text
        assert question.options == (item.options[item.gold], item.options[item.target])
    generated = pairs_of(task.with_answer_rule("generation"))
    assert all(question.generation is None for question in generated.questions())


def test_items_without_two_sides_are_left_out_and_nothing_else_is_refused(toy_task):
    task = toy_task(clusters=2)
    items = (replace(task.items[0], target=task.items[0].gold), replace(task.items[1], target=None), *task.items[2:])
    assert len(pairs_of(replace(task, items=items)).items) == len(task.items) - 2
    with pytest.raises(SettingsError, match="a right answer and another that is the biased one"):
        pairs_of(replace(task, items=items[:2]))
