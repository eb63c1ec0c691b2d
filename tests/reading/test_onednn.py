"""Products by oneDNN: the same numbers, only where nothing else is asked of a module, and nothing stays behind."""

import gc
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from biasectomy.reading import onednn
from biasectomy.reading.likelihood import score
from biasectomy.reading.onednn import LARGE, fast_products
from biasectomy.reading.products import measured, onednn_product
from tests.conftest import build_llama

CPU = torch.device("cpu")
available = pytest.mark.skipif(math.isnan(measured(CPU).onednn), reason="oneDNN is not to be had here")


@pytest.fixture
def model() -> nn.Module:
    """With matrices that are large enough, and a head of which only some rows are."""
    return build_llama(400, hidden_size=256, intermediate_size=320)


@pytest.fixture
def faster(monkeypatch) -> list[torch.Size]:
    """oneDNN is said to be faster; what it multiplied is noted."""
    seen = []

    def noted(inputs, weight, bias=None):
        seen.append(weight.shape)
        return onednn_product(inputs, weight, bias)

    monkeypatch.setattr(onednn, "_faster", lambda: True)
    monkeypatch.setattr(onednn, "onednn_product", noted)
    return seen


@available
@pytest.mark.parametrize("shape", [(7, 64), (3, 5, 64), (1, 300, 64), (0, 64)])
def test_a_product_is_that_of_torch(shape):
    inputs, weight, bias = torch.randn(shape), torch.randn(48, 64), torch.randn(48)
    with torch.inference_mode():
        for given in (None, bias):
            expected = nn.functional.linear(inputs, weight, given)
            torch.testing.assert_close(onednn_product(inputs, weight, given), expected, atol=1e-4, rtol=1e-4)


@available
def test_scores_are_the_same_and_nothing_stays_behind(model, tiny, faster):
    (batch,) = tiny.plan([tiny_question()])
    expected = score(model, batch, tiny.layout)
    with fast_products(model):
        found = score(model, batch, tiny.layout)
    assert found[0].log_likelihoods == pytest.approx(expected[0].log_likelihoods, abs=1e-4)
    large = [one for one in model.modules() if isinstance(one, nn.Linear) and one.weight.numel() >= LARGE]
    assert len(faster) == len(large) > 0 and not any("forward" in vars(one) for one in model.modules())


@available
@pytest.mark.parametrize("frozen", [True, False])
def test_hooks_see_what_they_would_and_gradients_are_those_of_torch(model, faster, frozen):
    tokens, seen = torch.tensor([[3, 4, 5, 6]]), []
    model.model.layers[0].mlp.up_proj.register_forward_hook(lambda module, inputs, output: seen.append(output))
    model.requires_grad_(not frozen)
    embedded = model.model.embed_tokens(tokens).detach().requires_grad_(True)

    def gradients() -> list[torch.Tensor]:
        wanted = [embedded, *(() if frozen else model.parameters())]
        found = torch.autograd.grad(model(inputs_embeds=embedded).logits.square().sum(), wanted, allow_unused=True)
        return [one for one in found if one is not None]

    expected = gradients()
    assert not faster
    with fast_products(model):
        found = gradients()
    assert len(seen) == 2 and len(faster) > 0 and len(found) == len(expected)
    torch.testing.assert_close(seen[1], seen[0], atol=1e-4, rtol=1e-4)
    largest = max(float(other.abs().max()) for other in expected)
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) <= 1e-4 * largest


@available
def test_a_bias_has_its_gradient(faster):
    model = nn.Sequential(nn.Linear(256, 320))
    inputs = torch.randn(2, 5, 256)
    model(inputs).square().sum().backward()
    expected = [one.grad.clone() for one in model.parameters()]
    model.zero_grad()
    with fast_products(model):
        model(inputs).square().sum().backward()
    assert len(faster) == 1
    for one, other in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(one.grad, other, atol=1e-3, rtol=1e-4)


@pytest.fixture
def laid(monkeypatch, faster) -> list[torch.Size]:
    """What was laid out."""
    seen, lay_out = [], onednn.laid_out

    def noted(weight, rows):
        seen.append(weight.shape)
        return lay_out(weight, rows)

    monkeypatch.setattr(onednn, "laid_out", noted)
    return seen


def logits(model, *, kept: bool) -> torch.Tensor:
    with torch.inference_mode(), fast_products(model, kept=kept):
        return model(torch.tensor([[3, 4, 5, 6]])).logits


@available
def test_weights_are_kept_as_they_are_laid_out(model, laid):
    expected = logits(model, kept=False)
    assert not laid
    for _ in range(2):
        assert torch.equal(logits(model, kept=True), expected)
    large = [one for one in model.modules() if isinstance(one, nn.Linear) and one.weight.numel() >= LARGE]
    assert len(laid) == len(large)
    assert torch.equal(logits(model, kept=False), expected) and model not in onednn._kept


@available
@pytest.mark.parametrize(
    "way", ["in place", "without gradients", "another", "other data", "an optimizer", "behind torch's back"]
)
def test_a_weight_that_changes_is_laid_out_anew(model, laid, way):
    logits(model, kept=True)
    module, count = model.model.layers[0].mlp.up_proj, len(laid)
    if way == "in place":
        module.weight.requires_grad_(False).mul_(2)
    elif way == "without gradients":
        with torch.no_grad():
            module.weight[3] = 7.0
    elif way == "another":
        module.weight = nn.Parameter(module.weight.detach() * 2)
    elif way == "other data":
        module.weight.data = module.weight.detach() * 2
    elif way == "an optimizer":
        model(torch.tensor([[3, 4, 5, 6]])).logits.square().sum().backward()
        torch.optim.AdamW([module.weight], fused=True).step()  # whose steps have no version
    else:
        module.weight.data[3] += 1
        torch.autograd.graph.increment_version([module.weight])
    found = logits(model, kept=True)
    assert len(laid) == count + 1
    assert torch.equal(found, logits(model, kept=False))


@available
def test_gradients_flow_where_weights_are_kept(model, faster):
    tokens = torch.tensor([[3, 4, 5, 6]])

    def gradient(**settings) -> torch.Tensor:
        embedded = model.model.embed_tokens(tokens).detach().requires_grad_(True)
        with fast_products(model, **settings):
            return torch.autograd.grad(model(inputs_embeds=embedded).logits.square().sum(), embedded)[0]

    assert torch.equal(gradient(kept=True), gradient(kept=False))


@available
def test_nothing_is_kept_where_memory_is_short_or_not_known_or_the_model_is_gone(model, laid, monkeypatch):
    size = sum(4 * one.weight.numel() for one in model.modules() if isinstance(one, nn.Linear))
    for there in (size, None):
        monkeypatch.setattr(onednn, "available_memory", lambda there=there: there)
        logits(model, kept=True)
        assert not laid and model not in onednn._kept
    monkeypatch.setattr(onednn, "available_memory", lambda: 100 * size)
    other = build_llama(400, hidden_size=256, intermediate_size=320)
    before = len(onednn._kept)
    logits(other, kept=True)
    assert laid and len(onednn._kept) == before + 1
    del other
    gc.collect()
    assert len(onednn._kept) == before


@available
def test_an_error_leaves_nothing_behind(model, faster):
    with pytest.raises(KeyError), fast_products(model):
        raise KeyError("x")
    assert not any("forward" in vars(one) for one in model.modules())


def test_where_it_is_not_faster_or_matrices_are_small_nothing_is_done(model, tiny, monkeypatch):
    onednn._faster.cache_clear()
    for speed, faster in ((math.nan, False), (1.2, True), (0.9, False)):
        known = replace(measured(CPU), onednn=speed)
        monkeypatch.setattr(onednn, "products", lambda device, known=known: known)
        onednn._faster.cache_clear()
        with fast_products(model):
            assert any("forward" in vars(one) for one in model.modules()) == faster
    onednn._faster.cache_clear()
    monkeypatch.setattr(onednn, "_faster", lambda: pytest.fail("it was asked"))
    for other in (tiny.model, model.bfloat16()):
        with fast_products(other):
            pass


def tiny_question():
    from biasectomy.reading.questions import Question

    return Question("The grandfather met the grandson.", ("They met.", "It is not known."))
