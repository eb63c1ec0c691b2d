"""Steering: the vector against plain hidden states, where it is added by hand, and what can be saved."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.learning import neutral
from biasectomy.measuring.session import Session
from biasectomy.methods.steering import Steered, Steering
from biasectomy.models.language_model import load
from biasectomy.reading.layouts import Batch, RowLayout
from biasectomy.reading.questions import Generation, Question
from tests.conftest import save_tiny

ONE = {"layers": (0,), "strengths": (1.0,)}


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """How far a candidate has gone is told by few texts."""
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)


def fitted(model, task, session=None, **settings):
    return Steering(Steering.Settings(**(ONE | settings))).fit(model, task, session or Session())


def answers(model, questions):
    found = dict(one for batch in model(questions) for one in batch)
    return [found[index] for index in range(len(questions))]


def difference_by_hand(tiny, task, layer, last=True):
    """The mean over items of what plain hidden states differ in between the right and the biased answer."""
    found = []
    paired = [item for item in task.items if item.gold != item.target]
    for number, item in enumerate(paired):
        prompt = tiny.encode(task.question(task.instructions[number % 2], item))
        states = []
        for option in (item.gold, item.target):
            tokens = torch.tensor([prompt.prompt + prompt.options[option]])
            with torch.no_grad():
                hidden = tiny.model(input_ids=tokens, output_hidden_states=True).hidden_states[layer + 1][0]
            own = hidden[len(prompt.prompt) :]
            states.append(own[-1] if last else own.mean(dim=0))
        found.append(states[0] - states[1])
    return torch.stack(found).mean(dim=0)


@pytest.mark.parametrize("tokens", ["last", "mean"])
def test_the_vector_is_the_mean_difference_of_hidden_states(tiny, toy_task, tokens):
    task = toy_task(clusters=3)
    found = fitted(tiny, task, tokens=tokens)
    expected = difference_by_hand(tiny, task, 0, last=tokens == "last")
    torch.testing.assert_close(found.change.vector, expected, rtol=1e-4, atol=1e-5)
    assert found.record["chosen"] == {"layer": 0, "strength": 1.0} and found.cost.numbers == 16


def test_it_is_added_to_what_the_layer_puts_out(tiny):
    """Of the last layer, by hand: the last norm and the unembedding come after."""
    inner, vector = tiny.model, torch.linspace(-1, 1, 16)
    tokens = torch.tensor([[5, 9, 2, 7]])
    kept = []
    handle = inner.model.layers[1].register_forward_hook(lambda module, inputs, output: kept.append(output))
    with torch.no_grad():
        inner(input_ids=tokens)
        handle.remove()
        expected = inner.lm_head(inner.model.norm(kept[0] + 2.5 * vector))
        change = Steered("model.layers.1", 1, vector, 2.5)
        with change.made(tiny):
            torch.testing.assert_close(inner(input_ids=tokens).logits, expected)


def test_no_strength_is_the_original(tiny, toy_task):
    questions = toy_task(clusters=2).questions()
    change = Steered("model.layers.0", 0, torch.randn(16), 0.0)
    before = answers(tiny, questions)
    with tiny.changed(lambda: change.made(tiny), change.key):
        assert answers(tiny, questions) == before
        assert not any(any(one.divergences) for one in answers(tiny, [Question(None, ("A text.",), divergence=True)]))


def test_behind_the_question_only_the_answer_is_moved(tiny, toy_task):
    """Each option in a row of its own, with the vector from the prompt's last token on."""
    questions = toy_task(clusters=2).questions()
    change = Steered("model.layers.0", 0, torch.linspace(-2, 1, 16), 1.5, "answer")
    with tiny.changed(lambda: change.made(tiny), change.key):
        found = answers(tiny, questions)
    everywhere = replace(change, positions="all")
    with tiny.changed(lambda: everywhere.made(tiny), everywhere.key):
        assert answers(tiny, questions) != found
    for question, answer in zip(questions[:6], found, strict=False):
        encoded = tiny.encode(question)
        for place, option in enumerate(encoded.options):
            start = len(encoded.prompt) - 1

            def moved(module, inputs, output, start=start):
                return torch.cat([output[:, :start], output[:, start:] + 1.5 * change.vector], dim=1)

            handle = tiny.model.model.layers[0].register_forward_hook(moved)
            with torch.no_grad():
                logits = tiny.model(input_ids=torch.tensor([encoded.prompt + option])).logits[0, start:-1]
            handle.remove()
            expected = logits.log_softmax(dim=-1)[range(len(option)), option].sum()
            assert answer.log_likelihoods[place] == pytest.approx(float(expected), abs=1e-3)


def test_texts_that_are_written_are_steered_from_the_first_token_on(tiny):
    """A vector that is large enough makes each next token the same, whatever was asked."""
    inner = tiny.model
    with torch.no_grad():
        states = inner.model.norm(1e4 * torch.eye(16)[None])
        wanted = int(inner.lm_head(states)[0, 3].argmax())
    question = Question("Who was it?", generation=Generation(4))
    change = Steered("model.layers.1", 1, 1e4 * torch.eye(16)[3], 1.0, "answer")
    with tiny.changed(lambda: change.made(tiny), change.key):
        (answer,) = answers(tiny, [question])
    assert answer.texts == (tiny.tokenizer.decode([wanted] * 4, skip_special_tokens=True),)


def test_where_questions_end_must_be_known(tiny, toy_task):
    tiny.layout = RowLayout()
    with pytest.raises(SettingsError, match=r"layout is rows; --steering\.positions all would be right"):
        fitted(tiny, toy_task(2), positions="answer")
    change = Steered("model.layers.0", 0, torch.ones(16), 1.0, "answer")
    prompts = tuple(tiny.encode(question) for question in toy_task(2).questions()[:2])
    with pytest.raises(Exception, match="not known where each ends"), change.made(tiny):
        RowLayout().read(tiny.model, Batch((0, 1), prompts))


def test_everything_is_as_before_afterwards(tiny, toy_task):
    before = {path: weight.clone() for path, weight in tiny.model.state_dict().items()}
    task, session = toy_task(), Session()
    plain = answers(tiny, task.questions())
    found = fitted(tiny, task, Session(drift=100), layers=(0, 1), strengths=(1.0, 2.0), validation_items=8)
    with pytest.raises(RuntimeError, match="inside"), found.answering(tiny, session):
        raise RuntimeError("inside")
    assert answers(tiny, task.questions()) == plain
    assert all(torch.equal(weight, before[path]) for path, weight in tiny.model.state_dict().items())
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in tiny.model.modules())
    assert len(found.record["candidates"]) == 4 and found.record["validated_on"] == 8


def test_different_vectors_have_different_keys():
    one = Steered("model.layers.0", 0, torch.zeros(4), 1.0)
    others = (
        replace(one, vector=torch.tensor([0.0, 0, 0, 1e-9])),
        replace(one, strength=2.0),
        replace(one, block="model.layers.1"),
        replace(one, positions="answer"),
    )
    assert len({str(other.key) for other in (one, *others)}) == 5


def test_what_was_read_is_kept_and_taken_again(tiny, toy_task, tmp_path, monkeypatch):
    first = fitted(tiny, toy_task(2), Session(folder=tmp_path))
    monkeypatch.setattr("biasectomy.neurons.stream.answer_states", lambda *_, **__: 1 / 0)
    again = fitted(tiny, toy_task(2), Session(folder=tmp_path))
    assert again.change.key == first.change.key and again.cost == first.cost
    assert {path.name for path in tmp_path.iterdir()} == {"differences.safetensors", "vectors.safetensors"}


def test_a_bias_that_does_the_same_is_written(toy_task, tmp_path):
    folder = save_tiny(tmp_path / "tiny", mlp_bias=True)
    model, task = load(str(folder)), toy_task(2)
    found = fitted(model, task)
    with found.answering(model, Session()):
        expected = answers(model, task.questions())
    before = {path: weight.clone() for path, weight in model.model.state_dict().items()}
    assert found.save(model, tmp_path / "steered") < 1e-4
    assert all(torch.equal(weight, before[path]) for path, weight in model.model.state_dict().items())
    there = answers(load(str(tmp_path / "steered")), task.questions())
    values = [[one.log_likelihoods for one in some] for some in (there, expected)]
    np.testing.assert_allclose(*values, atol=1e-4)
    assert there != answers(model, task.questions())


@pytest.mark.parametrize("positions", ["all", "answer"])
def test_without_such_a_bias_there_is_a_sentence(tiny, toy_task, tmp_path, positions):
    with pytest.raises(SettingsError, match="this architecture has no weight that does so: there is no checkpoint"):
        fitted(tiny, toy_task(2), positions=positions).save(tiny, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_settings_of_the_paper_and_layers_that_are_not_there(tiny, toy_task):
    settings = Steering(Steering.Settings(preset="paper", strengths=(0.5,))).settings
    assert (settings.positions, settings.tokens, settings.strengths) == ("answer", "last", (0.5,))
    assert Steering.Settings(layers="1,0", strengths="0.5, 2").strengths == (0.5, 2.0)
    with pytest.raises(SettingsError, match="names layer 2; the model's layers are 0 to 1"):
        fitted(tiny, toy_task(2), layers=(2,))
    task = toy_task(2)
    without = replace(task, items=tuple(replace(item, target=None) for item in task.items))
    with pytest.raises(SettingsError, match="needs items with a right and another, biased answer"):
        Steering(Steering.Settings()).expected_questions(without)
