"""Weights that are trained themselves: in force for a block, kept by what they hold, and the model's own put back."""

import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.learning.full_weights import FullWeights, TrainedWeights, last_blocks
from biasectomy.models.language_model import load
from tests.conftest import save_tiny

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])


def logits(model):
    return model.model(input_ids=TOKENS).logits


def moved(model, names=None):
    """Full weights that are 1 % off everywhere."""
    weights = FullWeights(model, names)
    with torch.no_grad():
        for value in weights.values:
            value.mul_(1.01)
    return weights


def test_the_model_is_given_back_bit_for_bit_and_its_own_parameters_are_never_written_to(tiny):
    before, objects = logits(tiny).detach(), dict(tiny.model.named_parameters())
    values = {name: one.detach().clone() for name, one in objects.items()}
    weights = moved(tiny)
    with pytest.raises(ZeroDivisionError), weights.in_force():
        assert (logits(tiny) - before).abs().max() > 1e-3
        1 / 0  # noqa: B018
    with weights.learned().merged(tiny):
        assert (logits(tiny) - before).abs().max() > 1e-3
    assert dict(tiny.model.named_parameters()) == objects  # by identity: parameters compare so in a dictionary
    assert all(torch.equal(one, values[name]) for name, one in tiny.model.named_parameters())
    assert torch.equal(logits(tiny), before)


def test_gradients_are_those_of_the_model_itself_and_flow_through_tied_weights_once(tiny):
    """The embedding of the tiny model is its head too."""
    tiny.model.requires_grad_(True)
    logits(tiny).square().mean().backward()
    expected = {name: one.grad.clone() for name, one in tiny.model.named_parameters()}
    tiny.model.zero_grad()
    weights = FullWeights(tiny)
    with weights.in_force():
        logits(tiny).square().mean().backward()
    assert weights.names == list(expected)
    for name, value in zip(weights.names, weights.values, strict=True):
        torch.testing.assert_close(value.grad, expected[name])
    assert all(one.grad is None for one in tiny.model.parameters())


def test_half_precision_is_trained_in_float32_and_rounded_where_it_stands(tmp_path):
    tiny = load(str(save_tiny(tmp_path / "tiny")), dtype="bfloat16")
    weights = FullWeights(tiny)
    assert {one.dtype for one in weights.values} == {torch.float32}
    with torch.no_grad():
        weights.values[0] += 1e-5  # far less than rounding leaves of a weight
    before = logits(tiny)
    with weights.in_force():
        assert next(iter(tiny.model.parameters())).dtype == torch.bfloat16
    changed = moved(tiny).learned()
    assert {one.dtype for one in changed.values.values()} == {torch.bfloat16}
    changed.save(tmp_path / "weights.safetensors")
    kept = TrainedWeights.load(tmp_path / "weights.safetensors")
    assert kept is not None and kept.key == changed.key
    with kept.merged(tiny):
        assert (logits(tiny) - before).abs().max() > 0
    assert torch.equal(logits(tiny), before)


def test_what_is_kept_has_a_name_of_its_content_and_only_what_differs(tiny):
    none, some, more = FullWeights(tiny).learned(), moved(tiny, ["model.norm.weight"]).learned(), moved(tiny).learned()
    assert len(none) == 0 and len(some) == 16 < len(more)
    assert len({str(one.key) for one in (none, some, more)}) == 3
    assert moved(tiny).learned().key == more.key


def test_only_the_last_blocks_are_trained(tiny):
    names = last_blocks(tiny, 1)
    assert names and all(name.startswith("model.layers.1.") for name in names)
    assert "model.layers.1.input_layernorm.weight" in names
    with pytest.raises(SettingsError, match="has 2 blocks, so training the last 2 freezes none"):
        last_blocks(tiny, 2)


def test_quantised_weights_are_refused(tiny):
    tiny.model.model.norm.weight.requires_grad_(False)
    tiny.model.model.norm.weight.data = tiny.model.model.norm.weight.data.to(torch.int8)
    with pytest.raises(SettingsError, match="this model's are quantised or not in memory"):
        FullWeights(tiny)
