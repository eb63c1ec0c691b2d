"""Attribution against captum, finite differences, and numbers worked out by hand."""

import contextlib
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from biasectomy import find_neurons, watching
from biasectomy.attribution import ATTRIBUTIONS, describe_attributions
from biasectomy.attribution.crispr import Crispr
from biasectomy.attribution.products import trials
from biasectomy.attribution.products.crispr import Authors, Paper, Parts
from biasectomy.attribution.products.engine import Instance, accumulate
from biasectomy.attribution.products.rule import Span
from biasectomy.attribution.random import Random
from biasectomy.attribution.scores import Scores, attribute, doubtful
from biasectomy.errors import ModelError, ScoreError, SettingsError, UnknownNameError
from biasectomy.measuring.session import Session
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.options import Options
from biasectomy.reading.layouts import PackedLayout, Positions
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.tasks.swapping import swapped
from tests.conftest import make_items


def crispr(**settings) -> Crispr:
    """CRISPR with few items."""
    return Crispr(Crispr.Settings(**{"instances": 4, "trials": 1} | settings))


class Recorder:
    """A rule that keeps the products it is given."""

    group = 1000  # the order stays as it is

    def __init__(self):
        self.products = {"gold": {}, "biased": {}}
        self.spans = []

    def gold(self, module, product, spans):
        self.products["gold"].setdefault(module, []).append(product)

    def biased(self, module, product, spans):
        self.products["biased"].setdefault(module, []).append(product)
        self.spans = spans

    def finish(self):
        return {}


def record(model, neurons, instance):
    recorder = Recorder()
    list(accumulate(model, neurons, [instance], recorder, budget=1000))
    return recorder


def log_probability(model, prompt, option):
    """Sum of the option's log-probabilities, one plain sequence."""
    logits = model(input_ids=torch.tensor([prompt + option])).logits.log_softmax(-1)[0]
    start = len(prompt) - 1
    return sum(logits[start + place, token] for place, token in enumerate(option))


@pytest.fixture
def model(tiny):
    return tiny.model.double()


PROMPT = (5, 9, 33, 7, 120)
OPTIONS = ((11, 3), (12, 4, 60), (13,))


def instance(model, gold: int) -> Instance:
    return Instance("toy/1", EncodedPrompt(PROMPT, OPTIONS), gold)


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("gold", [0, 1, 2])
def test_products_equal_captums(model, definition, gold):
    from captum.attr import LayerGradientXActivation

    with torch.no_grad():
        values = [float(log_probability(model, PROMPT, option)) for option in OPTIONS]
    biased = max((index for index in range(3) if index != gold), key=values.__getitem__)
    neurons = discover_neurons(model, definition)
    recorder = record(model, neurons, instance(model, gold))
    (span,) = recorder.spans
    assert (span.log_gold, span.log_biased) == pytest.approx((values[gold], values[biased]))
    for name, option, own in (("gold", OPTIONS[gold], span.gold), ("biased", OPTIONS[biased], span.biased)):

        def forward(ids, option=option):
            logits = model(input_ids=ids).logits.log_softmax(-1)[:, len(PROMPT) - 1 :]
            return sum(logits[:, place, token] for place, token in enumerate(option))

        path = [*range(len(PROMPT)), *own.own]
        for group in neurons:
            layer = model.get_submodule(group.module)
            inputs = {"attribute_to_layer_input": group.side == "input"}
            model.requires_grad_(True)
            expected = LayerGradientXActivation(forward, layer).attribute(torch.tensor([PROMPT + option]), **inputs)
            model.requires_grad_(False)
            (product,) = recorder.products[name][group.module]
            torch.testing.assert_close(product[path].double(), expected[0, : len(path)], atol=1e-5, rtol=1e-4)


def test_products_equal_finite_differences(model):
    neurons = discover_neurons(model)
    recorder = record(model, neurons, instance(model, 2))
    with torch.no_grad():
        values = [float(log_probability(model, PROMPT, option)) for option in OPTIONS]
    biased = max((0, 1), key=values.__getitem__)
    step = 2e-3  # the norms of this family compute in single precision, so a small step drowns in rounding
    for group in list(neurons)[::3]:
        layer = model.get_submodule(group.module)
        for token, unit in ((0, 1), (len(PROMPT) - 1, group.units - 1)):
            kept, shifted = {}, []
            for sign in (-1, 1):

                def move(module, inputs, output, sign=sign, token=token, unit=unit, kept=kept):
                    kept["value"] = float(output[0, token, unit])
                    output = output.clone()
                    output[0, token, unit] += sign * step
                    return output

                handle = layer.register_forward_hook(move)
                with torch.no_grad():
                    shifted.append(float(log_probability(model, PROMPT, OPTIONS[biased])))
                handle.remove()
            slope = (shifted[1] - shifted[0]) / (2 * step)
            (product,) = recorder.products["biased"][group.module]
            assert float(product[token, unit]) == pytest.approx(kept["value"] * slope, abs=5e-3, rel=0.02)


def test_no_hook_and_no_gradient_stays_behind(model):
    model.model.layers[0].mlp.up_proj.weight.requires_grad_(True)
    record(model, discover_neurons(model), instance(model, 0))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.model.layers[0].mlp.up_proj.weight.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class Interrupting(Recorder):
    def biased(self, module, product, spans):
        raise KeyboardInterrupt


def test_an_interruption_leaves_no_hook(model):
    with pytest.raises(KeyboardInterrupt):
        list(accumulate(model, discover_neurons(model), [instance(model, 0)], Interrupting(), budget=1000))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class TinyNetwork(nn.Module):
    """One linear map with two units and a head; each token is read for itself."""

    UNITS = torch.tensor([[1.0, 2.0], [-1.0, 1.0]])  # what the map puts out for tokens 0 and 1

    def __init__(self, head: torch.Tensor) -> None:
        super().__init__()
        self.embeddings = nn.Embedding.from_pretrained(torch.eye(2).repeat(2, 1), freeze=True)
        self.blocks = nn.ModuleList([nn.Linear(2, 2, bias=False)])
        self.blocks[0].weight = nn.Parameter(self.UNITS.T.clone())
        self.head = head

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def forward(self, input_ids, attention_mask, position_ids, logits_to_keep, use_cache):
        return SimpleNamespace(logits=(self.blocks[0](self.embeddings(input_ids)) @ self.head.T)[:, logits_to_keep])


# Chosen so that the softmax after token 0 (units 1, 2) is 0.5, 0.3, 0.15, 0.05 over the four tokens.
B = torch.tensor([0.1, -0.2, 0.3, 0.0])
HEAD = torch.stack([torch.tensor([0.5, 0.3, 0.15, 0.05]).log() - 2 * B, B], dim=1)


def scores_of(rule, instances) -> list[float]:
    network = TinyNetwork(HEAD)
    list(accumulate(network, discover_neurons(network), instances, rule, budget=100))
    return (rule.finish()["blocks.0"] / (len(instances) if rule.mean_over_instances else 1)).tolist()


def by_hand(option: int) -> np.ndarray:
    """h * dlogP(option)/dh for the two units after token 0: h * (head of the option - mean head)."""
    head, probabilities = HEAD.double().numpy(), np.array([0.5, 0.3, 0.15, 0.05])
    return np.array([1.0, 2.0]) * (head[option] - probabilities @ head)


ONE = Instance("a", EncodedPrompt((0,), ((0,), (1,), (2,))), 0)  # gold has 0.5, the likeliest wrong one 0.3
TWO = Instance("b", EncodedPrompt((0,), ((2,), (1,), (0,))), 1)  # gold has 0.3, the likeliest wrong one 0.5


def test_the_paper_by_hand():
    one = 0.3 * (0.3 * by_hand(1) - np.maximum(0, 0.5 * by_hand(0)))
    two = 0.5 * (0.5 * by_hand(0) - np.maximum(0, 0.3 * by_hand(1)))
    assert scores_of(Paper(), [ONE]) == pytest.approx(one.tolist(), rel=1e-5)
    assert scores_of(Paper(), [ONE, TWO]) == pytest.approx((one + two).tolist(), rel=1e-5)


def test_the_authors_by_hand():
    biased = [0.3 * by_hand(1), 0.5 * by_hand(0)]
    gold = [0.3 * by_hand(0), 0.5 * by_hand(1)]  # P(biased) / P(gold) * h * dP(gold)/dh
    apart = [b - np.maximum(0, g) for b, g in zip(biased, gold, strict=True)]
    assert scores_of(Authors(1), [ONE, TWO]) == pytest.approx((sum(apart) / 2).tolist(), rel=1e-5)
    together = sum(biased) - np.maximum(0, sum(gold))
    assert scores_of(Authors(2), [ONE, TWO]) == pytest.approx((together / 2).tolist(), rel=1e-5)
    assert sum(apart) != pytest.approx(together)  # the clamp group matters here


def span_of(shared, gold, biased, log_gold, log_biased) -> Span:
    def positions(own):
        return Positions(shared, own)

    return Span(positions(gold), positions(biased), log_gold, log_biased)


def test_tokens_by_hand():
    """Three prompt tokens, one own token of the gold label and two of the biased one; a single unit."""
    gold = torch.tensor([[0.5], [-2.0], [1.0], [3.0], [0.0], [0.0]])
    biased = torch.tensor([[2.0], [0.0], [4.0], [0.0], [5.0], [-1.0]])
    span = span_of([0, 1, 2], [3], [4, 5], math.log(0.5), math.log(0.25))

    def run(rule, span, gold, biased):
        rule.gold("m", gold.clone(), [span])
        rule.biased("m", biased.clone(), [span])
        return float(rule.finish()["m"])

    # Shared: 0.25 * (2, 0, 4) - max(0, 0.5 * (0.5, -2, 1)) = (0.25, 0, 0.5); own: 0.25 * 5 - 0.5 * 3 = -0.25.
    assert run(Paper(), span, gold, biased) == pytest.approx(0.25 * 0.5)
    # With a larger own token of the biased label: 0.25 * 9 - 1.5 = 0.75 is the maximum.
    assert run(Paper(), span, gold, biased + torch.tensor([[0.0], [0], [0], [0], [4], [0]])) == pytest.approx(0.1875)
    # Each maximum on its own over prompt and own tokens: 0.25 * 5 - 0.25 * 3.
    assert run(Authors(1), span, gold, biased) == pytest.approx(0.25 * 5 - 0.25 * 3)
    short = span_of([0, 1, 2], [], [], math.log(0.5), math.log(0.25))
    assert run(Paper(), short, gold, biased) == pytest.approx(0.25 * 0.5)
    # A decoder behind an encoder shares no position: 0.25 * (0.25 * 5 - max(0, 0.5 * 3)).
    labels = span_of([], [3], [4, 5], math.log(0.5), math.log(0.25))
    assert run(Paper(), labels, gold, biased) == pytest.approx(0.25 * (1.25 - 1.5))


def test_each_part_of_the_formulas_can_be_left_out():
    """The tokens of the test above, with one part of the ablation left out at a time."""
    gold = torch.tensor([[0.5], [-2.0], [1.0], [3.0], [0.0], [0.0]])
    biased = torch.tensor([[2.0], [0.0], [4.0], [0.0], [5.0], [-1.0]])
    span = span_of([0, 1, 2], [3], [4, 5], math.log(0.5), math.log(0.25))

    def run(rule):
        rule.gold("m", gold.clone(), [span])
        rule.biased("m", biased.clone(), [span])
        return float(rule.finish()["m"])

    # The mean of (0.25, 0, 0.5) of the prompt and, twice, 0.25 * (5 - 1) / 2 - 0.5 * 3 = -1 of the label's two tokens.
    assert run(Paper(Parts(mean=True))) == pytest.approx(0.25 * (0.75 - 2) / 5)
    assert run(Paper(Parts(confusion=False))) == pytest.approx(0.5)
    assert run(Paper(Parts(disentangle=False))) == pytest.approx(0.25 * 0.25 * 5)
    assert run(Authors(1, Parts(mean=True))) == pytest.approx(0.25 * (10 / 5) - 0.25 * (2.5 / 4))
    assert run(Authors(1, Parts(confusion=False))) == pytest.approx(5 - 3)
    assert run(Authors(1, Parts(disentangle=False))) == pytest.approx(0.25 * 5)


@pytest.mark.parametrize(
    "left_out", [{"tokens": "mean"}, {"confusion_weight": False}, {"skill_disentanglement": False}]
)
def test_settings_leave_parts_of_the_score_out(tiny, toy_task, left_out):
    whole, less = (attribute(tiny, toy_task(4, 4, 1), crispr(**some)).by_module for some in ({}, left_out))
    assert any(not torch.equal(whole[module], less[module]) for module in whole)


def test_probabilities_far_below_single_precision_still_rank():
    span = span_of([0], [], [], -120.0, -118.0)
    rule = Paper()
    rule.gold("m", torch.tensor([[1.0, 3.0]]), [span])
    rule.biased("m", torch.tensor([[2.0, 1.0]]), [span])
    scores = rule.finish()["m"]
    expected = [math.exp(-236) * (2 - math.exp(-2)), math.exp(-236) * (1 - 3 * math.exp(-2))]
    assert scores.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("variant", ["paper", "authors"])
@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
def test_batch_size_and_company_do_not_change_scores(tiny, toy_task, variant, definition):
    task = toy_task(4, 4, 1)
    found = []
    for tokens in (1, 128, 4096):
        tiny.batch_tokens = tokens
        scores = attribute(tiny, task, crispr(variant=variant, instances=7, trials=2), definition=definition)
        found.append(torch.cat(list(scores.by_module.values())))
    scale = found[0].abs().max()
    assert (found[0] - found[1]).abs().max() <= 1e-5 * scale
    assert (found[0] - found[2]).abs().max() <= 1e-5 * scale


@pytest.mark.parametrize("clamp_group", [1, 3])
def test_a_batch_is_halved_where_memory_is_short_and_nothing_counts_twice(tiny, toy_task, monkeypatch, clamp_group):
    tiny.batch_tokens = 250
    authors = crispr(variant="authors", instances=7, trials=2, clamp_group=clamp_group)
    whole = attribute(tiny, toy_task(4, 4, 1), authors)
    sizes, told, read = [], [], PackedLayout.read

    @contextlib.contextmanager
    def listening(description, total, unit):
        yield told.append

    def short_of_memory(self, model, batch, *, separate=False):
        sizes.append(len(batch.prompts))
        if len(sizes) > 1 and len(batch.prompts) > 1:  # the first batch fits, so that there is something to undo
            torch.empty(10**15)  # the allocator's own complaint
        return read(self, model, batch, separate=separate)

    monkeypatch.setattr(PackedLayout, "read", short_of_memory)
    with watching(listening):
        found = attribute(tiny, toy_task(4, 4, 1), authors)
    assert sizes[0] > 1 and sizes[1] > 1 and sizes[1:].count(1) == 14 - sizes[0]
    assert sum(told) == 14 and min(told) >= 0
    for module, scores in whole.by_module.items():
        torch.testing.assert_close(found.by_module[module], scores, rtol=1e-4, atol=1e-6 * float(scores.abs().max()))


def test_too_little_memory_for_one_item_is_said(tiny, toy_task, monkeypatch):
    monkeypatch.setattr(PackedLayout, "read", lambda *arguments, **named: torch.empty(10**15))
    with pytest.raises(ModelError, match="The memory is too small even for one prompt of"):
        attribute(tiny, toy_task(4, 4, 1), crispr())
    monkeypatch.setattr(PackedLayout, "read", lambda *arguments, **named: torch.empty(2).view(3))
    with pytest.raises(RuntimeError, match=r"shape .* is invalid"):
        attribute(tiny, toy_task(4, 4, 1), crispr())


@pytest.mark.parametrize(("group", "expected"), [(1, "egdbacf"), (2, "efcdabg"), (3, "defabcg"), (9, "abcdefg")])
def test_the_longest_groups_come_first_and_one_that_is_not_full_last(tiny, group, expected):
    class Listening(PackedLayout):
        """Remembers the prompts in the order in which they are asked for."""

        def plan(self, prompts, budget, **options):
            order.extend(len(prompt.prompt) for prompt in prompts)
            return iter(())

    order, lengths = [], dict(zip("abcdefg", [3, 4, 2, 6, 9, 1, 7], strict=True))
    instances = [Instance(name, EncodedPrompt((5,) * length, ((1,), (2,))), 0) for name, length in lengths.items()]
    rule = Authors(group)
    list(accumulate(tiny.model, tiny.neurons(), instances, rule, budget=100, layout=Listening()))
    names = {length: name for name, length in lengths.items()}
    assert "".join(names[length] for length in order) == expected


def test_scores_are_means_over_trials_and_instructions(tiny, toy_task):
    task = toy_task(4, 4, 2)
    five = crispr(instances=5, trials=2)
    whole = attribute(tiny, task, five, session=Session(seed=3))
    parts = []
    for drawn in five.drawn(task, seed=3):
        for text in task.instructions:
            rule = Paper()
            run = [
                Instance(task.items[i].identifier, tiny.encode(task.question(text, task.items[i])), task.items[i].gold)
                for i in drawn
            ]
            list(accumulate(tiny.model, whole.neurons, run, rule, budget=512))
            parts.append(rule.finish())
    for module, scores in whole.by_module.items():
        torch.testing.assert_close(scores, torch.stack([part[module] for part in parts]).mean(0))
    assert len(whole.found_with["drawn"]) == 2
    assert (whole.found_with["prompt"], whole.found_with["whole_texts"]) == ("chat", "behind `<start>`")


def test_the_ranking_goes_over_all_modules_and_breaks_ties_by_place(tiny):
    neurons = tiny.neurons()
    scores = {group.module: torch.zeros(group.units, dtype=torch.float64) for group in neurons}
    scores["model.layers.1.mlp.up_proj"][7] = 2.0
    scores["model.layers.0.self_attn.k_proj"][1] = 3.0
    top = Scores(neurons, scores).top(4)
    assert [(neuron.module, neuron.unit, neuron.score) for neuron in top] == [
        ("model.layers.0.self_attn.k_proj", 1, 3.0),
        ("model.layers.1.mlp.up_proj", 7, 2.0),
        ("model.layers.0.self_attn.q_proj", 0, 0.0),
        ("model.layers.0.self_attn.q_proj", 1, 0.0),
    ]


def test_kept_scores_are_taken_and_damaged_ones_made_anew(tiny, toy_task, tmp_path, monkeypatch):
    task = toy_task(4, 4, 2)
    first = attribute(tiny, task, crispr(), session=Session(folder=tmp_path))
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 2
    files[0].write_bytes(b"half a fi")
    calls = []
    monkeypatch.setattr(trials, "accumulate", lambda *args, **more: calls.append(1) or accumulate(*args, **more))
    second = attribute(tiny, task, crispr(), session=Session(folder=tmp_path))
    assert len(calls) == 1
    assert all(torch.equal(first.by_module[name], second.by_module[name]) for name in first.by_module)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.0, 0.0, 0.0], "All 3 neurons have the same score, 0."),
        ([2.5, 2.5, 2.5], "All 3 neurons have the same score, 2.5."),
        ([1e-21, -3e-21, 2e-22], "No neuron has a score farther from 0 than 3e-21"),
        ([1e-9, 0.0, 0.0], None),
        ([0.5], None),
    ],
)
def test_scores_that_rank_nothing_are_told(values, said):
    found = doubtful({"a": torch.tensor(values[:1]).double(), "b": torch.tensor(values[1:]).double()})
    assert (found is None) if said is None else said in found


def test_a_model_whose_answers_depend_on_nothing_is_told(tiny, toy_task, caplog):
    with torch.no_grad():
        for parameter in tiny.model.parameters():
            parameter.zero_()
    attribute(tiny, toy_task(), crispr())
    assert "neurons have the same score, 0. Their order may say nothing" in caplog.text


def test_random_scores_need_no_model_and_follow_the_seed(tiny, toy_task):
    task = toy_task(4, 4, 1)
    runs = [attribute(tiny, task, Random(Options()), session=Session(seed=seed)).top(5) for seed in (1, 1, 2)]
    assert runs[0].neurons == runs[1].neurons != runs[2].neurons


def test_bad_requests(tiny, toy_task):
    task = toy_task(4, 4, 1)
    with pytest.raises(UnknownNameError, match="did you mean 'crispr'"):
        find_neurons(tiny, task, "crisper", instances=4)
    with pytest.raises(SettingsError, match="did you mean 'authors'"):
        find_neurons(tiny, task, variant="author", instances=4)
    with pytest.raises(UnknownNameError, match=r"did you mean 'crispr\.instances'"):
        find_neurons(tiny, task, instance=4)
    with pytest.raises(SettingsError, match=r"16 development items, fewer than --crispr\.instances 20"):
        find_neurons(tiny, task)
    with pytest.raises(SettingsError, match="have no right one"):
        items = tuple(replace(item, gold=None) for item in task.items)
        find_neurons(tiny, replace(task, items=items), instances=4)
    with torch.no_grad():
        tiny.model.model.norm.weight[0] = float("nan")
    with pytest.raises(ScoreError, match=r"item toy:age/\d+ are not finite"):
        attribute(tiny, task, crispr())


def test_every_attribution_describes_itself():
    names = {entry["name"]: entry["description"] for entry in describe_attributions()}
    assert {"crispr", "random"} <= set(names)
    assert all(len(text) > 20 for text in names.values())


@pytest.mark.parametrize("name", list(ATTRIBUTIONS))
@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
def test_every_attribution_scores_every_neuron(tiny, name, definition, toy_task):
    kind, few = ATTRIBUTIONS[name], {"instances": 3, "steps": 2}
    attribution = kind(kind.Settings(**{key: few[key] for key in few if key in kind.Settings.model_fields}))
    task = replace(toy_task(4, 4, 1), twin=swapped)
    scores = attribute(tiny, task, attribution, definition=definition)
    assert {module: len(values) for module, values in scores.by_module.items()} == {
        group.module: group.units for group in tiny.neurons(definition)
    }


def test_items_of_the_toy_task_are_sound():
    for item in make_items():
        assert item.unknown is not None and item.gold < 3
        assert (item.labels["condition"] == "ambiguous") == (item.gold == item.unknown)
