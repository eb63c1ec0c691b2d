"""Distributions of the next token, and divergences, against one text after the other through the plain model."""

import copy
import dataclasses

import pytest
import torch

from biasectomy.errors import ScoreError
from biasectomy.models.language_model import LanguageModel, load
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading.distributions import Remembered, divergences, next_token_log_probabilities
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.reading.questions import Answer, Question
from tests.conftest import build_tokenizer
from tests.reading.architectures import ARCHITECTURES
from tests.reading.encoder_decoders import CONFIGURATIONS, build

TEXTS = (
    "The grandfather and the grandson met at the market today.",
    "Snow fell on it.",
    "In the morning the water stood as high as the second step; by noon it had gone down again.",
    "A kettle, a map and three apples lay on the table.",
)
QUESTIONS = [Question(None, (text,), divergence=True) for text in TEXTS]


@pytest.fixture(params=["llama", "t5", "bart"])
def language_model(request, tiny_folder, tmp_path) -> LanguageModel:
    if request.param == "llama":
        return load(str(tiny_folder))
    build(request.param).save_pretrained(tmp_path)
    build_tokenizer(chat=False).save_pretrained(tmp_path)
    return load(str(tmp_path))


def edits(language_model: LanguageModel) -> tuple[NeuronSet, NeuronSet]:
    """Two sets of feed-forward neurons; the second acts on some of the first."""
    groups = language_model.neurons("ffn-hidden")
    chosen = [(group.module, unit) for group in groups for unit in range(0, group.units - 1, 3)]
    first = NeuronSet(tuple(Neuron(module, unit, 1.0, 0.0) for module, unit in chosen), "ffn-hidden")
    second = tuple(Neuron(module, unit + shift, 1.0, 1.6) for module, unit in chosen[:-2] for shift in (0, 1))
    return first, NeuronSet(second, "ffn-hidden")


def plain(model: torch.nn.Module, encoded: EncodedPrompt) -> torch.Tensor:
    """Log-probabilities at a text's judged tokens, [tokens, vocabulary], in float64, of one text alone."""
    (option,) = encoded.options
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            logits = model(input_ids=torch.tensor([encoded.prompt]), labels=torch.tensor([option])).logits[0]
        else:
            logits = model(input_ids=torch.tensor([encoded.prompt + option])).logits[0, len(encoded.prompt) - 1 : -1]
    return logits.double().log_softmax(-1)


def answers(language_model: LanguageModel, questions=QUESTIONS) -> list[Answer]:
    found = {index: answer for batch in language_model(questions) for index, answer in batch}
    return [found[index] for index in range(len(questions))]


def test_log_probabilities_are_the_models_own(language_model):
    encoded = [language_model.encode(question) for question in QUESTIONS]
    found = next_token_log_probabilities(language_model.model, encoded)
    for values, one in zip(found, encoded, strict=True):
        assert values.dtype == torch.float32 and values.shape[0] == len(one.options[0])
        torch.testing.assert_close(values.double(), plain(language_model.model, one), atol=2e-4, rtol=1e-4)


def test_prompts_of_several_tokens_are_read_up_to_their_own_end(tiny):
    """Rows whose options begin at different places."""
    prompts = [EncodedPrompt((5, 6, 7), ((8, 9),)), EncodedPrompt((9,), ((10, 11, 12, 13),))]
    for values, one in zip(next_token_log_probabilities(tiny.model, prompts), prompts, strict=True):
        torch.testing.assert_close(values.double(), plain(tiny.model, one), atol=2e-4, rtol=1e-4)


def test_gradients_flow(tiny):
    encoded = [tiny.encode(question) for question in QUESTIONS]
    tiny.model.model.embed_tokens.weight.requires_grad_(True)
    before = [
        values.detach() - 0.1 * torch.randn_like(values) for values in next_token_log_probabilities(tiny.model, encoded)
    ]
    sum(one.sum() for one in divergences(before, next_token_log_probabilities(tiny.model, encoded))).backward()
    assert float(tiny.model.model.embed_tokens.weight.grad.abs().max()) > 0


def test_several_options_are_refused(tiny):
    with pytest.raises(ValueError, match="too many values"):
        next_token_log_probabilities(tiny.model, [EncodedPrompt((5,), ((6,), (7,)))])


def test_a_divergence_by_hand():
    """0.5 ln(0.5 / 0.25) + 0.25 ln(0.25 / 0.25) + 0.25 ln(0.25 / 0.5) = 0.25 ln 2."""
    original, changed = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.25, 0.25, 0.5]]).log()
    (found,) = divergences([original], [changed])
    assert found.tolist() == pytest.approx([0.25 * 0.6931471805599453], rel=1e-6)


def test_divergences_are_those_of_an_edited_copy(language_model):
    """The copy is edited for good, by an edit inside an edit; the original is a copy that never was."""
    outer, inner = edits(language_model)
    original = copy.deepcopy(language_model.model)
    before = {name: tensor.clone() for name, tensor in original.state_dict().items()}
    with language_model.edited(outer), language_model.edited(inner):
        changed = copy.deepcopy(language_model.model)
        found = answers(language_model)
        assert all(
            torch.equal(tensor, changed.state_dict()[name])
            for name, tensor in language_model.model.state_dict().items()
        )
    largest = 0.0
    for question, answer in zip(QUESTIONS, found, strict=True):
        encoded = language_model.encode(question)
        one, other = plain(original, encoded), plain(changed, encoded)
        expected = (one.exp() * (one - other)).sum(-1)
        assert answer.divergences == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-5)
        assert not answer.log_likelihoods and not answer.words
        largest = max(largest, float(expected.max()))
    assert largest > 0.01
    assert all(torch.equal(tensor, before[name]) for name, tensor in language_model.model.state_dict().items())


def test_an_edit_answers_otherwise_than_the_same_edit_inside_another(tiny):
    outer, inner = edits(tiny)
    with tiny.edited(inner):
        alone = answers(tiny)
    with tiny.edited(outer), tiny.edited(inner):
        both = answers(tiny)
    assert alone != both


def test_where_nothing_is_changed_divergences_are_nothing_and_cost_nothing(tiny, monkeypatch):
    monkeypatch.setattr(tiny.model, "forward", None)
    unit = NeuronSet((Neuron("model.layers.0.mlp.up_proj", 1, 1.0, 1.0),))
    with tiny.edited(unit):  # a factor of 1 changes nothing
        for question, answer in zip(QUESTIONS, answers(tiny), strict=True):
            assert answer.divergences == (0.0,) * len(tiny.encode(question).options[0])


def test_they_are_asked_beside_all_other_questions(tiny):
    mixed = [Question("Who?", ("he", "she")), QUESTIONS[0], Question(None, (TEXTS[1],)), *QUESTIONS[2:]]
    with tiny.edited(edits(tiny)[0]):
        found, alone = answers(tiny, mixed), answers(tiny)
    assert [bool(one.divergences) for one in found] == [False, True, False, True, True]
    assert [len(one.log_likelihoods) for one in found] == [2, 0, 1, 0, 0]
    for index, other in ((1, 0), (3, 2), (4, 3)):
        assert found[index].divergences == pytest.approx(alone[other].divergences, rel=1e-3, abs=1e-5)


def test_batches_are_within_the_budget(tiny):
    small = dataclasses.replace(tiny, batch_tokens=40)
    batches = list(small.plan(QUESTIONS))
    assert sorted(index for batch in batches for index in batch.indices) == [0, 1, 2, 3] and len(batches) > 1
    with small.edited(edits(small)[0]):
        few = answers(small)
        for left, right in zip(few, answers(tiny), strict=True):  # the two share what is in force
            assert left.divergences == pytest.approx(right.divergences, rel=1e-3, abs=1e-5)


def test_memory_that_is_short_halves_the_batch_and_leaves_the_edit(tiny, monkeypatch):
    forward, outer = tiny.model.forward, edits(tiny)[0]

    def short(*args, **inputs):
        if len(inputs["input_ids"]) > 1:
            raise MemoryError
        return forward(*args, **inputs)

    with tiny.edited(outer):
        expected = answers(tiny)
        key = tiny.key
        monkeypatch.setattr(tiny.model, "forward", short)
        for left, right in zip(answers(tiny), expected, strict=True):
            assert left.divergences == pytest.approx(right.divergences, rel=1e-3, abs=1e-5)
        assert tiny.key == key


def test_a_divergence_that_is_not_finite_is_refused(tiny):
    tiny.model.model.norm.weight[0] = float("nan")
    with tiny.edited(edits(tiny)[0]), pytest.raises(ScoreError, match="divergence from the original is not finite"):
        answers(tiny)


@pytest.mark.parametrize("family", [*ARCHITECTURES, *CONFIGURATIONS])
def test_what_is_remembered_is_what_was_said(family):
    model = ARCHITECTURES[family]() if family in ARCHITECTURES else build(family)
    encoded = EncodedPrompt((5, 6, 7), ((8, 9, 10, 11),))
    (expected,) = next_token_log_probabilities(model, [encoded])
    torch.testing.assert_close(Remembered(model, encoded).log_probabilities(), expected, atol=2e-3, rtol=1e-3)


def test_what_goes_into_the_vocabulary_product_is_remembered_and_in_another_number_format_too(tiny):
    encoded = tiny.encode(QUESTIONS[0])
    remembered = Remembered(tiny.model, encoded)
    assert remembered._kept.shape == (len(encoded.options[0]), tiny.model.config.hidden_size)
    expected = remembered.log_probabilities()
    half = copy.deepcopy(tiny.model).bfloat16()
    found = Remembered(half, encoded)
    torch.testing.assert_close(found.log_probabilities(), expected, atol=0.1, rtol=0.05)
    torch.testing.assert_close(found.log_probabilities(), found.log_probabilities())
    half.float()
    assert found.log_probabilities().dtype == torch.float32


def test_where_more_makes_the_logits_what_comes_out_is_remembered():
    """Gemma 2 bounds its logits behind the product."""
    model = ARCHITECTURES["gemma2"]()
    assert Remembered(model, EncodedPrompt((5, 6, 7), ((8, 9, 10),)))._kept.shape == (3, model.config.vocab_size)
