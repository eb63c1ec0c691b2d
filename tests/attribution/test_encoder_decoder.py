"""Encoder-decoders: scores, attribution by place, edits, and the whole job."""

import re

import pytest
import torch

from biasectomy import evaluate, find_neurons
from biasectomy.attribution.crispr import Crispr
from biasectomy.attribution.products.crispr import Authors, Paper
from biasectomy.attribution.products.engine import Instance, accumulate
from biasectomy.attribution.scores import attribute
from biasectomy.errors import ModelError
from biasectomy.models.language_model import LanguageModel, load
from biasectomy.neurons.activations import captured
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.edits import baked, edited
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading.layouts import EncoderDecoderLayout
from biasectomy.reading.prompts import EncoderDecoderFormat
from biasectomy.reading.questions import Question
from biasectomy.tasks.multiple_choice import listed
from tests.conftest import INSTRUCTIONS, build_tokenizer, make_items
from tests.neurons.test_edits import multiplied
from tests.reading.encoder_decoders import CONFIGURATIONS, build


@pytest.fixture(scope="session", params=list(CONFIGURATIONS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A checkpoint of a random tiny model of each family."""
    path = tmp_path_factory.mktemp("encoder-decoders") / request.param
    build(request.param).save_pretrained(path)
    build_tokenizer(chat=False).save_pretrained(path)
    return path


@pytest.fixture
def language_model(folder) -> LanguageModel:
    return load(str(folder))


def questions() -> list[Question]:
    return [listed(text, item) for text in INSTRUCTIONS[:2] for item in make_items(3)]


def log_probability(model, prompt, option) -> torch.Tensor:
    """One prompt and one label through the model's own training interface."""
    loss = model(input_ids=torch.tensor([prompt]), labels=torch.tensor([option])).loss
    return -loss * len(option)


def test_prompt_and_label_are_as_the_family_trains_them(language_model):
    format_ = language_model.prompt_format
    assert isinstance(format_, EncoderDecoderFormat)
    item = make_items(1)[0]
    question = listed("Answer.", item)
    encoded = format_.encode(question)
    tokenizer = language_model.tokenizer
    assert tokenizer.decode(encoded.prompt) == question.text
    assert [tokenizer.decode(option[:-1]) for option in encoded.options] == list(item.options)
    assert {option[-1] for option in encoded.options} == {tokenizer.eos_token_id}


@pytest.mark.parametrize("budget", [1, 300, 5000])
def test_scores_equal_the_models_own_loss(language_model, budget):
    language_model.batch_tokens = budget
    for batch in language_model(questions()):
        for index, found in batch:
            encoded = language_model.encode(questions()[index])
            with torch.no_grad():
                expected = [float(log_probability(language_model.model, encoded.prompt, o)) for o in encoded.options]
            assert found.log_likelihoods == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_labels_are_packed_where_positions_are_relative(language_model, folder):
    absolute = folder.name == "bart"
    assert language_model.layout == EncoderDecoderLayout(packed=not absolute)


class Recorder:
    group = 1000  # the order stays as it is

    def __init__(self):
        self.gold_products, self.biased_products, self.spans = {}, {}, {}

    def gold(self, module, product, spans):
        self.gold_products[module] = product

    def biased(self, module, product, spans):
        self.biased_products[module] = product
        self.spans[module] = spans

    def finish(self):
        return {}


def test_products_equal_those_of_one_plain_pass_at_every_place(language_model):
    """Against gradients of the model's own loss, one prompt and one label at a time, hooked module by module."""
    model = language_model.model
    instances = [
        Instance(item.identifier, language_model.encode(listed("Answer.", item)), item.gold)
        for item in make_items(2, 2)
    ]
    neurons = language_model.neurons()
    recorder = Recorder()
    list(accumulate(model, neurons, instances, recorder, budget=10_000, layout=language_model.layout))
    assert {group.place for group in neurons} == {"input", "cross-input", "label"}
    for number, instance in enumerate(instances):
        option = instance.encoded.options[instance.gold]
        kept, handles = {}, []
        for group in neurons:

            def keep(module, inputs, output, name=group.module, kept=kept):
                output.retain_grad()
                kept[name] = output

            handles.append(model.get_submodule(group.module).register_forward_hook(keep))
        model.requires_grad_(True)
        log_probability(model, instance.encoded.prompt, option).backward()
        model.requires_grad_(False)
        model.zero_grad()
        for handle in handles:
            handle.remove()
        for group in neurons:
            expected = (kept[group.module] * kept[group.module].grad)[0].detach()
            positions = recorder.spans[group.module][number].gold
            assert (len(positions.shared) == 0) == (group.place == "label")
            found = positions.of_all(recorder.gold_products[group.module])
            assert len(found) == len(expected)
            scale = expected.abs().max() + 1e-6
            torch.testing.assert_close(found / scale, expected / scale, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("rule", [Paper, lambda: Authors(1)])
def test_company_in_a_batch_changes_no_score(language_model, rule):
    instances = [
        Instance(item.identifier, language_model.encode(listed("Answer.", item)), item.gold)
        for item in make_items(2, 4)
    ]
    found = []
    for budget in (1, 10_000):
        used = rule()
        arguments = (language_model.model, language_model.neurons(), instances, used)
        list(accumulate(*arguments, budget=budget, layout=language_model.layout))
        found.append(torch.cat(list(used.finish().values())))
    # Scores go with P squared, and log P is about -150 here: what it rounds by is doubled.
    assert (found[0] - found[1]).abs().max() <= 3e-4 * found[0].abs().max()


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
def test_edits_are_equal_reversible_and_survive_the_disk(language_model, definition, tmp_path):
    model = language_model.model
    groups = discover_neurons(model, definition)
    chosen = NeuronSet(tuple(Neuron(group.module, unit, 1.0, 0.5) for group in groups for unit in (0, 3)), definition)
    tokens = {"input_ids": torch.tensor([[5, 9, 33]]), "decoder_input_ids": torch.tensor([[0, 7, 8]])}
    with torch.no_grad():
        before = model(**tokens).logits
        with edited(model, chosen):
            for_a_while = model(**tokens).logits
        with baked(model, chosen):
            by_weights = model(**tokens).logits
        with multiplied(model, chosen):
            by_hook = model(**tokens).logits
        assert torch.equal(for_a_while, by_weights) and not torch.equal(for_a_while, before)
        assert (by_hook - by_weights).abs().max() <= 1e-4 * by_hook.abs().max()
        assert torch.equal(model(**tokens).logits, before)
        assert language_model.save(tmp_path / "model", chosen) <= 1e-4
        assert torch.equal(load(str(tmp_path / "model")).model(**tokens).logits, by_weights)


@pytest.mark.parametrize("answer_rule", ["sum", "mean", "generation"])
def test_find_edit_and_evaluate(language_model, toy_task, answer_rule):
    task = toy_task(4, 4, 2)
    neurons = find_neurons(language_model, task, count=30, instances=4, trials=1)
    with language_model.edited(neurons):
        after = evaluate(language_model, task, answer_rule=answer_rule)
    assert after.answers[task.name]["original"].choices.shape == (1, 2, 16)
    assert after.results.find("original", "accuracy") is not None


def test_every_neuron_gets_a_score(language_model, toy_task):
    scores = attribute(language_model, toy_task(4, 4, 1), Crispr(Crispr.Settings(instances=4, trials=1)))
    assert {module: len(values) for module, values in scores.by_module.items()} == {
        group.module: group.units for group in language_model.neurons()
    }


def test_perplexity_judges_the_second_half_of_a_text(language_model):
    text = "The grandfather and the grandson met at the market today"
    (((_, answer),),) = language_model([Question(None, (text,))])
    encoded = language_model.encode(Question(None, (text,)))
    assert language_model.tokenizer.decode(encoded.options[0][:-1]) == "met at the market today"
    assert answer.words == (5,)
    with torch.no_grad():
        expected = float(log_probability(language_model.model, encoded.prompt, encoded.options[0]))
    assert answer.log_likelihoods == pytest.approx((expected,), rel=1e-4)


def test_keys_and_values_of_cross_attention_read_the_input_under_every_name() -> None:
    """ProphetNet calls them `key_proj` and `value_proj`."""
    from transformers import AutoModelForSeq2SeqLM, ProphetNetConfig

    sizes = dict.fromkeys(("num_encoder_layers", "num_decoder_layers"), 1)
    heads = dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads"), 2)
    widths = {"hidden_size": 8, "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "max_position_embeddings": 40}
    model = AutoModelForSeq2SeqLM.from_config(ProphetNetConfig(vocab_size=30, **sizes, **heads, **widths))
    places = {group.kind: group.place for group in discover_neurons(model) if "decoder" in group.stack}
    crossing = {kind: place for kind, place in places.items() if "cross_attn" in kind}
    assert {kind for kind, place in crossing.items() if place == "cross-input"} == {
        "cross_attn.key_proj",
        "cross_attn.value_proj",
    }
    assert all(place == "label" for kind, place in places.items() if "cross_attn" not in kind)


def test_a_module_that_computes_twice_is_named_and_not_scored_on_its_last_call() -> None:
    """Tied attention: keys and values of the decoder's own tokens, then of the encoder's."""
    model = build("t5")
    block = model.decoder.block[0].layer[0].SelfAttention
    inner = block.forward

    def twice(hidden_states, *given, **named):
        block.k(hidden_states)
        return inner(hidden_states, *given, **named)

    block.forward = twice
    neurons = discover_neurons(model)
    module = next(
        group.module for group in neurons if group.module.startswith("decoder.block.0") and ".k" in group.module
    )
    with captured(model, neurons), pytest.raises(ModelError, match=f"'{re.escape(module)}' computes twice"):
        model(input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[6, 7]]))


def test_an_output_of_other_tokens_than_its_place_has_is_refused() -> None:
    model = build("t5")
    attention = model.decoder.block[0].layer[0].SelfAttention
    inner = attention.k.forward
    attention.k.forward = lambda hidden: inner(hidden)[:, :1]
    with (
        captured(model, discover_neurons(model)),
        pytest.raises(ModelError, match=r"computes 1 x 1 tokens where its block"),
    ):
        model(input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[6, 7]]))
