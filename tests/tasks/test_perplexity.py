"""Perplexity per word against transformers' own loss."""

import math

import pytest
import torch

from biasectomy.errors import ScoreError
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.commands.perplexity import perplexity_rows, text_log_likelihoods

PARAGRAPHS = (
    "The ferry leaves at seven, and the baker is on it with two baskets of bread for the island.",
    "Snow fell.",
    "In the morning the water stood as high as the second step; by noon it had gone down again, and nobody spoke.",
    "A kettle, a map and three apples lay on the table.",
)
WORDS = [19, 2, 22, 11]


def losses(tiny) -> list[float]:
    """Summed cross-entropy of each paragraph, from the loss that transformers returns."""
    summed = []
    for paragraph in PARAGRAPHS:
        tokens = tiny.tokenizer(paragraph, add_special_tokens=False)["input_ids"]
        row = torch.tensor([[tiny.tokenizer.bos_token_id, *tokens]])
        with torch.no_grad():
            summed.append(float(tiny.model(input_ids=row, labels=row).loss) * len(tokens))
    return summed


def test_log_likelihoods_are_minus_transformers_summed_loss(tiny):
    assert text_log_likelihoods(tiny, PARAGRAPHS) == pytest.approx([-loss for loss in losses(tiny)], abs=1e-3)


def test_perplexity_is_the_exponential_of_the_loss_a_word(tiny):
    assert [len(paragraph.split()) for paragraph in PARAGRAPHS] == WORDS
    rows, differences = perplexity_rows("text", PARAGRAPHS, {"Original": [text_log_likelihoods(tiny, PARAGRAPHS)]})
    (row,) = rows
    assert row.value == pytest.approx(math.exp(sum(losses(tiny)) / sum(WORDS)), rel=1e-4)
    assert row.low <= row.value <= row.high and not differences
    assert (row.task, row.split, row.metric, row.items, row.coverage) == ("text", "neutral", "perplexity", 4, 1.0)


def test_an_edit_changes_it_and_is_gone_afterwards(tiny):
    edit = NeuronSet(tuple(Neuron("model.layers.1.mlp.down_proj", unit, 0.0) for unit in range(8)))
    before, after = text_log_likelihoods(tiny, PARAGRAPHS), text_log_likelihoods(tiny, PARAGRAPHS, edit)
    with tiny.edited(edit):
        assert after == pytest.approx([-loss for loss in losses(tiny)], abs=1e-3)
    assert before == text_log_likelihoods(tiny, PARAGRAPHS) and max(map(abs, map(float.__sub__, before, after))) > 0.1
    draws = {"Original": [before], "Edited": [after], "Control": [before, after]}
    rows, differences = perplexity_rows("text", PARAGRAPHS, draws)
    values = {row.method: row.value for row in rows}
    assert values["Control"] == pytest.approx((values["Original"] + values["Edited"]) / 2)  # the mean over the draws
    assert {(row.method, row.against): row.value for row in differences} == pytest.approx(
        {
            ("Edited", "Original"): values["Edited"] - values["Original"],
            ("Edited", "Control"): values["Edited"] - values["Control"],
        }
    )


def test_a_value_that_is_not_finite_is_refused(tiny):
    tiny.model.model.norm.weight[0] = math.nan
    with pytest.raises(ScoreError, match="neutral paragraph 1 is not finite"):
        text_log_likelihoods(tiny, PARAGRAPHS[:1])
