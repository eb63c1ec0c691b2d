"""Changes of a model: in force one inside the other, undone for a while, and known by what they are."""

import contextlib
import hashlib
import json

import pytest
import torch

from biasectomy.models.fingerprints import weights_checksum
from biasectomy.neurons.neuron_set import Neuron, NeuronSet

UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"
# Factors of which no product is undone by dividing, in weights that two edits share.
OUTER = NeuronSet((Neuron(UP, 1, 1.0, 0.3), Neuron(UP, 2, 1.0, 0.0)))
INNER = NeuronSet((Neuron(UP, 2, 1.0, 1.7), Neuron(UP, 1, 1.0, 0.7)))


def weights(tiny) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}


def same(left, right) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def shifted(tiny, amount: float):
    """Some other kind of change, that adds."""

    @contextlib.contextmanager
    def block():
        weight = tiny.model.get_submodule(UP).weight
        before = weight.data.clone()
        weight.data += amount
        try:
            yield
        finally:
            weight.data.copy_(before)

    return block


def test_all_changes_are_undone_and_made_again_in_their_order(tiny):
    original = weights(tiny)
    with tiny.edited(OUTER), tiny.changed(shifted(tiny, 0.25), ["shifted", 0.25]), tiny.edited(INNER):
        changed = weights(tiny)
        # (0 * weight + 0.25) * 1.7: no other order gives it.
        assert torch.equal(changed[f"{UP}.weight"][2], torch.full((16,), 0.25) * 1.7)
        with tiny.unedited():
            assert same(weights(tiny), original)
        assert same(weights(tiny), changed)
    assert same(weights(tiny), original)


def test_an_error_inside_leaves_every_change_as_it_was(tiny):
    original = weights(tiny)
    with pytest.raises(RuntimeError, match="outside"), tiny.edited(OUTER), tiny.edited(INNER):
        changed, key = weights(tiny), tiny.key
        with pytest.raises(RuntimeError, match="inside"), tiny.unedited():
            raise RuntimeError("inside")
        assert same(weights(tiny), changed) and tiny.key == key
        raise RuntimeError("outside")
    assert same(weights(tiny), original)


def test_an_edit_inside_the_original_is_an_edit_of_the_original(tiny):
    with tiny.edited(INNER):
        alone, key = weights(tiny), tiny.key
    with tiny.edited(OUTER):
        outer = weights(tiny)
        with tiny.unedited(), tiny.edited(INNER):
            assert same(weights(tiny), alone) and tiny.key == key
            with tiny.unedited():  # one in the other
                assert weights_checksum(tiny.model) == tiny._checksum
            assert same(weights(tiny), alone)
        assert same(weights(tiny), outer)


def test_changes_in_activations_are_undone_too(tiny, monkeypatch):
    monkeypatch.setattr("biasectomy.neurons.edits.not_editable", lambda *_: "they are not")
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        original = tiny.model(tokens).logits
        with tiny.edited(OUTER):
            edited = tiny.model(tokens).logits
            assert not torch.equal(edited, original)
            with tiny.unedited():
                assert torch.equal(tiny.model(tokens).logits, original)
            assert torch.equal(tiny.model(tokens).logits, edited)


def test_a_change_that_cannot_be_made_again_says_so_and_leaves_the_original(tiny):
    original, times = weights(tiny), []

    @contextlib.contextmanager
    def once():
        times.append(None)
        if len(times) > 1:
            raise MemoryError("no room")
        yield

    with pytest.raises(MemoryError, match="no room"), tiny.edited(OUTER), tiny.changed(once, "once"), tiny.unedited():
        pass
    assert same(weights(tiny), original) and len(times) == 2


def test_keys_are_of_the_weights_and_of_every_change_in_its_order(tiny):
    """Spelled out, for stores hold answers by it."""
    digest = hashlib.sha256(weights_checksum(tiny.model).encode())
    edit = [[neuron.module, neuron.unit, neuron.factor] for neuron in (OUTER.neurons[0], OUTER.neurons[1])]
    digest.update(json.dumps(["linear-output", edit]).encode())
    with tiny.edited(OUTER):
        assert tiny.key == digest.hexdigest()  # also where it is asked for only now
        with tiny.changed(contextlib.nullcontext, {"b": 1, "a": [2]}):
            digest.update(b'{"a": [2], "b": 1}')
            assert tiny.key == digest.hexdigest()
        with tiny.changed(contextlib.nullcontext, None), tiny.unedited():
            assert tiny.key == hashlib.sha256(weights_checksum(tiny.model).encode()).hexdigest()
