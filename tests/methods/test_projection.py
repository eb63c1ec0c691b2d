"""Projection: which directions, from what, and a checkpoint without them."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.learning import neutral
from biasectomy.measuring.session import Session
from biasectomy.methods.contrast import pair_of
from biasectomy.methods.projection import Projected, Projection
from biasectomy.models.language_model import load
from biasectomy.neurons.stream import EMBEDDINGS
from biasectomy.tasks.base import Item
from tests.conftest import save_tiny
from tests.methods.test_families import opened
from tests.methods.test_steering import answers

ONE = {"layers": (0,), "components": (1,), "share": 1.0}


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """How far a candidate has gone is told by few texts."""
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)


def fitted(model, task, session=None, **settings):
    return Projection(Projection.Settings(**(ONE | settings))).fit(model, task, session or Session())


def test_pairs_are_of_two_people_or_of_right_and_biased():
    ambiguous = Item("a", "a", "a", options=("He", "She", "Unknown"), gold=2, target=1, unknown=2)
    told = replace(ambiguous, gold=1)
    assert [pair_of(item, "groups") for item in (ambiguous, told)] == [(0, 1), (0, 1)]
    assert [pair_of(item, "answers") for item in (ambiguous, told)] == [(2, 1), None]
    sentences = Item("b", "b", "b", options=("One.", "Another.", "Meaningless."), gold=1, target=0)
    assert pair_of(sentences, "groups") == pair_of(sentences, "answers") == (1, 0)
    assert pair_of(replace(sentences, target=None), "groups") is None
    assert pair_of(replace(ambiguous, target=2), "groups") is None


def test_directions_are_principal_components_of_plain_hidden_states(tiny, toy_task):
    task = toy_task(clusters=3)
    found = fitted(tiny, task, components=(2,), layers=(0,)).change
    assert found.described == {"layer": 0, "components": 2, "share": 1.0}
    assert list(found.directions) == ["model.layers.0", "model.layers.1"]
    rows = []
    for number, item in enumerate(task.items):
        prompt = tiny.encode(task.question(task.instructions[number % 2], item))
        means = []
        for place in pair_of(item, "groups"):
            tokens = torch.tensor([prompt.prompt + prompt.options[place]])
            with torch.no_grad():
                hidden = tiny.model(input_ids=tokens, output_hidden_states=True).hidden_states[1][0]
            means.append(hidden[len(prompt.prompt) :].mean(dim=0).numpy())
        rows.append(means[0] - means[1])
    _, _, expected = np.linalg.svd(np.array(rows))
    expected, own = expected[:2].T, found.directions["model.layers.0"].numpy()
    np.testing.assert_allclose(own @ own.T, expected @ expected.T, atol=1e-3)


def test_one_layer_s_directions_for_all(tiny, toy_task):
    found = fitted(tiny, toy_task(2), layers=(1,), directions="shared", where="residual", embeddings="yes").change
    assert list(found.directions) == [EMBEDDINGS, "model.layers.0", "model.layers.1"]
    own = fitted(tiny, toy_task(2), layers=(1,), where="residual").change.directions
    assert list(own) == ["model.layers.1"]
    assert all(torch.equal(one, own["model.layers.1"]) for one in found.directions.values())
    assert found.numbers == 16
    layers = Projection(Projection.Settings(preset="paper")).fit(tiny, toy_task(2), Session()).change
    assert (layers.where, list(layers.directions)) == ("residual", ["model.layers.1"])


@pytest.mark.parametrize("settings", [{}, {"where": "residual", "embeddings": "yes"}])
def test_everything_is_as_before_afterwards(tiny, toy_task, settings):
    before = {path: weight.clone() for path, weight in tiny.model.state_dict().items()}
    questions, plain = toy_task(2).questions(), answers(tiny, toy_task(2).questions())
    found = fitted(
        tiny, toy_task(), Session(drift=100), layers=(0, 1), components=(1, 2), validation_items=8, **settings
    )
    assert len(found.record["candidates"]) == 4 and found.record["validated_on"] == 8
    change = fitted(tiny, toy_task(), **settings).change
    with tiny.changed(lambda: change.made(tiny), change.key):
        changed = answers(tiny, questions)
        with tiny.unedited():
            assert answers(tiny, questions) == plain
        assert answers(tiny, questions) == changed != plain
    assert answers(tiny, questions) == plain
    assert all(torch.equal(weight, before[path]) for path, weight in tiny.model.state_dict().items())
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in tiny.model.modules())


def test_the_checkpoint_answers_as_it_does(tiny, toy_task, tmp_path):
    task = toy_task(2)
    found = fitted(tiny, task, Session(folder=tmp_path / "kept"), components=(2,))
    with found.answering(tiny, Session()):
        expected = answers(tiny, task.questions())
    assert found.save(tiny, tmp_path / "model") < 1e-4
    there = answers(load(str(tmp_path / "model")), task.questions())
    np.testing.assert_allclose(*([one.log_likelihoods for one in some] for some in (there, expected)), atol=1e-4)
    assert there != answers(tiny, task.questions())
    assert (tmp_path / "kept" / "directions.safetensors").exists()


def test_what_no_weight_does_is_not_saved(tiny, toy_task, tmp_path):
    with pytest.raises(SettingsError, match=r"--projection\.where weights gives one"):
        fitted(tiny, toy_task(2), where="residual").save(tiny, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_embeddings_in_the_weights_where_the_unembedding_is_another(tiny, toy_task, tmp_path):
    with pytest.raises(
        SettingsError, match=r"the unembedding too, which would change with them\. --projection\.where res"
    ):
        fitted(tiny, toy_task(2), embeddings="yes")
    model = load(str(save_tiny(tmp_path / "untied", tie_word_embeddings=False)))
    change = fitted(model, toy_task(2), embeddings="yes").change
    before = model.model.get_input_embeddings().weight.clone()
    with change.made(model):
        assert (model.model.get_input_embeddings().weight @ change.directions[EMBEDDINGS]).abs().max() < 1e-5
    assert torch.equal(model.model.get_input_embeddings().weight, before)


def test_of_an_encoder_decoder_the_embeddings_are_projected_too(toy_task):
    model = opened("t5")
    change = fitted(model, toy_task(2), where="residual").change
    assert list(change.directions) == [EMBEDDINGS, "decoder.block.0", "decoder.block.1"]
    plain = answers(model, toy_task(2).questions())
    with model.changed(lambda: change.made(model), change.key):
        assert answers(model, toy_task(2).questions()) != plain
    assert answers(model, toy_task(2).questions()) == plain


def test_different_directions_have_different_keys():
    one = Projected({"a": torch.eye(3)[:, :1]}, "weights")
    others = (
        replace(one, share=0.5),
        replace(one, where="residual"),
        replace(one, directions={"a": torch.eye(3)[:, 1:2]}),
        replace(one, directions={"b": torch.eye(3)[:, :1]}),
    )
    assert len({str(other.key) for other in (one, *others)}) == 5


def test_without_pairs_there_is_a_sentence(toy_task):
    task = toy_task(2)
    without = replace(task, items=tuple(replace(item, target=None) for item in task.items))
    with pytest.raises(
        SettingsError, match="a biased answer and one other that is not 'unknown', and 'toy:age' has none"
    ):
        Projection(Projection.Settings()).expected_questions(without)


@pytest.mark.parametrize("where", ["weights", "residual"])
def test_a_share_is_as_large_as_the_drift_allows(tiny, toy_task, where):
    found = fitted(tiny, toy_task(), layers=(0, 1), share=None, where=where, validation_items=4)
    shown = found.record["candidates"]
    assert len(shown) == 2 and all(0 < one["share"] < 1 and 0 < one["drift"] <= 0.051 for one in shown)
    more = fitted(tiny, toy_task(), Session(drift=1e3), share=None, where=where, validation_items=4)
    assert [one["share"] for one in more.record["candidates"]] == [1.0]


def test_half_a_share_leaves_half_of_the_part(tiny, toy_task):
    change = replace(fitted(tiny, toy_task(2), where="residual").change, share=0.5)
    own, block = change.directions["model.layers.0"], tiny.model.model.layers[0]
    seen, tokens = [], torch.tensor([[5, 9, 2, 7]])
    for made in (contextlib.nullcontext(), change.made(tiny)):
        with made, torch.no_grad():
            handle = block.register_forward_hook(lambda module, inputs, output: seen.append(output @ own))
            tiny.model(input_ids=tokens)
            handle.remove()
    torch.testing.assert_close(seen[1], seen[0] / 2, rtol=1e-3, atol=1e-4)
