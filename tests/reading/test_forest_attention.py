"""Attention stretch by stretch against attention over the whole masked row."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.reading import forest_attention
from biasectomy.reading.forest import plan_forests
from biasectomy.reading.prompts import EncodedPrompt
from tests.conftest import build_llama
from tests.reading.test_forest import PROMPTS


@settings(max_examples=60, deadline=None)
@given(PROMPTS, st.booleans())
def test_stretches_hold_every_pair_that_is_seen_and_each_token_once(prompts, share):
    for forest in plan_forests(prompts, 30, share_prompts=share):
        mask = forest.attention_mask(torch.float32)
        rebuilt = torch.full_like(mask[0, 0], torch.finfo(torch.float32).min)
        covered = []
        for one in forest_attention.stretches_of(forest, mask):
            covered += range(one.own.start, one.own.stop)
            columns = torch.arange(len(forest))[one.seen]
            rebuilt[one.own.start : one.own.stop, columns] = one.mask[0, 0]
        assert covered == list(range(len(forest)))
        assert torch.equal(rebuilt, mask[0, 0])


PAIR = [EncodedPrompt((5, 6, 7, 8), ((9,), (10, 11))), EncodedPrompt((5, 6, 3, 4), ((9, 12, 13), (10, 11)))]


def test_it_equals_attention_over_the_whole_row_and_is_used():
    model = build_llama(300)
    (forest,) = plan_forests(PAIR, 100)
    mask = forest.attention_mask(torch.float32)
    inputs = {"input_ids": torch.tensor([forest.tokens]), "position_ids": torch.tensor([forest.depths()])}
    with torch.no_grad():
        whole = model(**inputs, attention_mask=mask).logits
        with forest_attention.forest_attention(model, forest, mask):
            # A mask that hides everything: right numbers can only come from the stretches.
            stretches = model(**inputs, attention_mask=torch.full_like(mask, torch.finfo(torch.float32).min)).logits
    torch.testing.assert_close(stretches, whole, atol=1e-5, rtol=1e-5)


def test_the_model_is_as_before_also_after_an_error():
    model = build_llama(300)
    (forest,) = plan_forests(PAIR, 100)
    mask = forest.attention_mask(torch.float32)
    before = model.config._attn_implementation
    with pytest.raises(KeyboardInterrupt), forest_attention.forest_attention(model, forest, mask):
        assert model.config._attn_implementation != before
        raise KeyboardInterrupt
    assert model.config._attn_implementation == before
