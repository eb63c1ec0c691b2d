"""Where neurons are most active, against a plain loop over items with a hook on one module."""

from dataclasses import replace

import pytest
import torch

from biasectomy.errors import DataError, ScoreError
from biasectomy.measuring.most_active import NEVER_READ, most_active
from biasectomy.models.language_model import LanguageModel
from biasectomy.neurons.experts import observed
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading import likelihood
from biasectomy.reading.prompts import prompt_format
from tests.conftest import build_tokenizer
from tests.reading import encoder_decoders
from tests.reading.architectures import ARCHITECTURES

UNITS = (0, 3, 11)


def language_model(model) -> LanguageModel:
    tokenizer = build_tokenizer(chat=False)
    made = LanguageModel(model, tokenizer, prompt_format(tokenizer, model.config, "plain"), "a model", batch_tokens=300)
    made.layout = likelihood.layout_for(model, model.get_input_embeddings().weight.shape[0])
    return made


def big(name: str) -> LanguageModel:
    """A model of a family with a vocabulary that holds the tokenizer's tokens."""
    model = ARCHITECTURES[name]()
    torch.manual_seed(1)
    model.resize_token_embeddings(len(build_tokenizer()), mean_resizing=False)
    return language_model(model.eval())


def looped(model: LanguageModel, task, module: str, unit: int, place: str = "whole"):
    """By item: activations [tokens] of one unit, and the tokens."""
    found = []
    for item in task.items:
        encoded = model.encode(task.question(task.instructions[0], item))
        answer = encoded.options[item.gold][:-1]
        kept = []
        hook = model.model.get_submodule(module).register_forward_pre_hook(
            lambda _, inputs, kept=kept: kept.append(inputs[0].detach().reshape(-1, inputs[0].shape[-1]))
        )
        with torch.no_grad():
            if place == "whole":
                tokens = encoded.prompt + answer
                model.model(input_ids=torch.tensor([tokens]), use_cache=False)
            else:
                tokens = (model.prompt_format.decoder_start, *answer) if place == "label" else encoded.prompt
                labels = torch.tensor([(model.prompt_format.decoder_start, *answer)])
                model.model(input_ids=torch.tensor([encoded.prompt]), decoder_input_ids=labels, use_cache=False)
        hook.remove()
        found.append((kept[0][:, unit], tokens))
    return found


def held_against(model: LanguageModel, task, module: str, place: str = "whole", first: int = 0) -> None:
    chosen = NeuronSet(tuple(Neuron(module, unit, 0.0) for unit in UNITS), "ffn-hidden")
    activities = most_active(model, chosen, task, count=3, around=2)
    for unit, activity in zip(UNITS, activities, strict=True):
        own = [(values[first:], tokens[first:]) for values, tokens in looped(model, task, module, unit, place)]
        mean = float(torch.cat([values for values, _ in own]).abs().mean())
        assert activity.mean == pytest.approx(mean, rel=1e-4)
        largest = sorted((float(values.abs().max()) for values, _ in own), reverse=True)[:3]
        assert [abs(peak.activation) for peak in activity.peaks] == pytest.approx(largest, rel=1e-4)
        for peak in activity.peaks:
            index = [item.identifier for item in task.items].index(peak.item)
            values, tokens = own[index]
            at = int(values.abs().argmax())
            assert peak.activation == pytest.approx(float(values[at]), rel=1e-4)
            expected = (tokens[max(0, at - 2) : at], tokens[at : at + 1], tokens[at + 1 : at + 3])
            assert (peak.before, peak.token, peak.after) == tuple(
                model.tokenizer.decode(list(part)) for part in expected
            )


def begin_alike(model: LanguageModel, task) -> int:
    prompts = [model.encode(task.question(task.instructions[0], item)).prompt for item in task.items]
    return next(place for place, tokens in enumerate(zip(*prompts, strict=False)) if len(set(tokens)) > 1)


def test_maxima_are_those_of_a_loop(tiny, toy_task):
    task = toy_task(clusters=3)
    assert begin_alike(tiny, task) > 5  # the template's head and the instruction, which are no item's
    held_against(tiny, task, "model.layers.1.mlp.down_proj", first=begin_alike(tiny, task))


@pytest.mark.parametrize(
    ("name", "module"), [("gpt2", "transformer.h.1.mlp.c_proj"), ("falcon", "transformer.h.0.mlp.dense_4h_to_h")]
)
def test_maxima_of_other_families(name, module, toy_task):
    model, task = big(name), toy_task(clusters=2, per_cluster=2)
    held_against(model, task, module, first=begin_alike(model, task))


def test_an_output_that_the_model_overwrites_is_what_the_module_put_out(toy_task):
    model, task = big("falcon"), toy_task(clusters=2, per_cluster=2)
    module, unit = "transformer.h.0.mlp.dense_4h_to_h", 3  # attention's output is added in place
    (activity,) = most_active(model, NeuronSet((Neuron(module, unit, 0.0),)), task)
    total, tokens, shared = 0.0, 0, begin_alike(model, task)
    for item in task.items:
        encoded = model.encode(task.question(task.instructions[0], item))
        kept = []
        hook = model.model.get_submodule(module).register_forward_hook(
            lambda _, inputs, output, kept=kept: kept.append(output.detach().clone())
        )
        with torch.no_grad():
            model.model(input_ids=torch.tensor([encoded.prompt + encoded.options[item.gold][:-1]]), use_cache=False)
        hook.remove()
        total += float(kept[0][0, shared:, unit].abs().sum())
        tokens += kept[0].shape[1] - shared
    assert activity.mean == pytest.approx(total / tokens, rel=1e-4)


@pytest.mark.parametrize(
    ("module", "place"),
    [("encoder.block.1.layer.1.DenseReluDense.wo", "input"), ("decoder.block.0.layer.2.DenseReluDense.wo", "label")],
)
def test_maxima_of_an_encoder_decoder(module, place, toy_task):
    torch.manual_seed(0)
    model = language_model(encoder_decoders.build("t5"))
    held_against(model, toy_task(clusters=2, per_cluster=2), module, place)


def test_an_expert_is_silent_where_it_is_not_routed(toy_task):
    model, task = big("mixtral"), toy_task(clusters=2, per_cluster=2)
    modules = [f"model.layers.1.mlp.experts.down_proj.{expert}" for expert in range(4)]
    chosen = NeuronSet(tuple(Neuron(module, 2, 0.0) for module in modules), "ffn-hidden")
    activities = most_active(model, chosen, task)
    totals, tokens, shared = dict.fromkeys(range(4), 0.0), 0, begin_alike(model, task)
    for item in task.items:
        encoded = model.encode(task.question(task.instructions[0], item))
        ids = encoded.prompt + encoded.options[item.gold][:-1]

        def observer(parameter, side, expert, routed, values):
            if (parameter, side) == ("down_proj", "input"):
                totals[expert] += float(values[routed >= shared, 2].abs().sum())
            return values

        with torch.no_grad(), observed({model.model.model.layers[1].mlp.experts: observer}):
            model.model(input_ids=torch.tensor([ids]), use_cache=False)
        tokens += len(ids) - shared
    assert [one.mean for one in activities] == pytest.approx([totals[expert] / tokens for expert in range(4)], rel=1e-4)


def test_order_of_the_set_and_nothing_left_behind(tiny, toy_task):
    names = [
        ("model.layers.1.mlp.down_proj", 5),
        ("model.layers.0.mlp.down_proj", 9),
        ("model.layers.1.mlp.down_proj", 2),
    ]
    task = toy_task(clusters=2)
    together = most_active(tiny, NeuronSet(tuple(Neuron(*name, 0.0) for name in names), "ffn-hidden"), task)
    for name, activity in zip(names, together, strict=True):
        assert most_active(tiny, NeuronSet((Neuron(*name, 0.0),), "ffn-hidden"), task) == [activity]
    assert all(not one._forward_hooks and not one._forward_pre_hooks for one in tiny.model.modules())
    assert most_active(tiny, NeuronSet((), "ffn-hidden"), task) == []


def test_which_answer_is_read_does_not_matter_to_a_last_token_that_is_never_read(tiny, toy_task):
    task = toy_task(clusters=2)
    bare = replace(task, items=tuple(replace(item, options=("A", "B"), gold=None) for item in task.items))
    assert NEVER_READ == 0
    chosen = NeuronSet((Neuron("model.layers.1.mlp.down_proj", 5, 0.0),), "ffn-hidden")
    (activity,) = most_active(tiny, chosen, bare)
    assert len(activity.peaks) == 3 and len({peak.item for peak in activity.peaks}) == 3


def test_no_items_and_damaged_weights_are_told(tiny, toy_task):
    chosen = NeuronSet((Neuron("model.layers.1.mlp.down_proj", 5, 0.0),), "ffn-hidden")
    with pytest.raises(DataError, match="'toy:age' has no items"):
        most_active(tiny, chosen, replace(toy_task(), items=()))
    with torch.no_grad():
        tiny.model.model.layers[1].mlp.up_proj.weight[5] = float("nan")
    with pytest.raises(ScoreError, match=r"An activation of 'model\.layers\.1\.mlp\.down_proj' is not finite"):
        most_active(tiny, chosen, toy_task(clusters=2))
