"""Attention stretch by stretch against attention over the whole masked row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.reading import forest_attention
from biasectomy.reading.forest import additive_mask, plan_forests
from biasectomy.reading.prompts import EncodedPrompt
from tests.conftest import build_llama
from tests.reading.test_forest import PROMPTS


@settings(max_examples=60, deadline=None)
@given(PROMPTS, st.booleans())
def test_stretches_hold_every_pair_that_is_seen_and_each_token_once(prompts, share):
    for forest in plan_forests(prompts, 30, share_prompts=share):
        visible = forest.visible()
        rebuilt = np.zeros_like(visible)
        covered = []
        for one in forest_attention.stretches_of(forest, visible):
            covered += range(one.own.start, one.own.stop)
            rebuilt[one.own.start : one.own.stop, one.seen] = one.visible
        assert covered == list(range(len(forest)))
        assert (rebuilt == visible).all()


@settings(max_examples=40, deadline=None)
@given(PROMPTS, st.sampled_from([(4, 4), (4, 2), (3, 1)]))
def test_stretches_together_give_what_each_gives_alone(prompts, heads):
    for forest in plan_forests(prompts, 60):
        stretches = forest_attention.stretches_of(forest, forest.visible())
        generator = torch.Generator().manual_seed(0)
        query, key, value = (
            torch.randn(1, count, len(forest), 8, generator=generator) for count in (heads[0], heads[1], heads[1])
        )
        parts, order = forest_attention.attended(stretches, torch.float32, torch.device("cpu"))
        assert order is None
        alone = torch.cat([one.attend(query, key, value, None) for one in parts])
        lengths: dict[int, list[forest_attention.Stretch]] = {}
        for one in stretches:
            lengths.setdefault(len(one.visible) % 2, []).append(one)
        for some in lengths.values():
            together = forest_attention.Together(some, torch.float32, torch.device("cpu"))
            expected = torch.cat([alone[one.own] for one in some])
            torch.testing.assert_close(together.attend(query, key, value, None), expected, atol=1e-5, rtol=1e-5)


PLACE = (torch.float32, torch.device("cpu"))
PAIR = [EncodedPrompt((5, 6, 7, 8), ((9,), (10, 11))), EncodedPrompt((5, 6, 3, 4), ((9, 12, 13), (10, 11)))]


def test_it_equals_attention_over_the_whole_row_and_is_used():
    model = build_llama(300)
    (forest,) = plan_forests(PAIR, 100)
    mask = additive_mask(forest.visible(), torch.float32)[None, None]
    inputs = {"input_ids": torch.tensor([forest.tokens]), "position_ids": torch.tensor([forest.depths()])}
    with torch.no_grad():
        whole = model(**inputs, attention_mask=mask).logits
        with forest_attention.forest_attention(model, forest, forest.visible(), *PLACE):
            # A mask that hides everything: right numbers can only come from the stretches.
            stretches = model(**inputs, attention_mask=torch.full_like(mask, torch.finfo(torch.float32).min)).logits
    torch.testing.assert_close(stretches, whole, atol=1e-5, rtol=1e-5)


def test_the_model_is_as_before_also_after_an_error():
    model = build_llama(300)
    (forest,) = plan_forests(PAIR, 100)
    before = model.config._attn_implementation
    with pytest.raises(KeyboardInterrupt), forest_attention.forest_attention(model, forest, forest.visible(), *PLACE):
        assert model.config._attn_implementation != before
        raise KeyboardInterrupt
    assert model.config._attn_implementation == before
