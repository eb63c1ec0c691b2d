"""Distributions at the tokens of options, which are what their log-likelihoods are summed from, in every layout."""

import pytest
import torch

from biasectomy.reading.layouts import (
    EncoderDecoderLayout,
    PackedLayout,
    RepeatedCacheLayout,
    RowLayout,
)
from biasectomy.reading.prompts import EncodedPrompt
from tests.models.decoders import next_token
from tests.reading import encoder_decoders
from tests.reading.architectures import ARCHITECTURES

PROMPTS = [
    EncodedPrompt((5, 6, 7, 8), ((9, 10, 11), (9, 12), (13,))),
    EncodedPrompt((5, 6, 20, 21), ((22,), (23, 24))),
    EncodedPrompt((30, 31), ((9, 10), (9, 10, 40, 41))),
]
LAYOUTS = [
    ("llama", PackedLayout()),
    ("llama", RowLayout()),
    ("bloom", RepeatedCacheLayout()),
    ("mistral", PackedLayout()),
    ("t5", EncoderDecoderLayout()),
    ("bart", EncoderDecoderLayout(packed=False)),
]


@pytest.mark.parametrize(("name", "layout"), LAYOUTS, ids=lambda given: getattr(given, "name", given))
def test_distributions_are_the_models_own_at_every_token(name, layout):
    model = ARCHITECTURES[name]() if name in ARCHITECTURES else encoder_decoders.build(name)
    if name == "mistral":
        model.config.sliding_window = 4  # so that the batch is read in rows
    for batch in layout.plan(PROMPTS, 40):
        with torch.no_grad():
            reading = layout.read(model, batch)
        scores = reading.log_likelihoods()
        for encoded, found, sums in zip(batch.prompts, reading.distributions(), scores, strict=True):
            for option, values, total in zip(encoded.options, found, sums, strict=True):
                assert values.dtype == torch.float32
                expected = torch.stack([next_token(model, encoded, option[:place]) for place in range(len(option))])
                torch.testing.assert_close(values.double(), expected, atol=1e-4, rtol=1e-4)
                assert float(values[range(len(option)), option].sum()) == pytest.approx(float(total), abs=1e-4)
