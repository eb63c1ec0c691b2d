"""The benchmark's plain pipeline: it is to be plain, and right."""

import pytest
import torch

from benchmarks.plain_pipeline import Asked, generated_accuracy, golden_section, without
from biasectomy.reading.questions import Generation, Question


@pytest.mark.parametrize("peak", [0, 1, 137, 499, 500])
def test_a_single_peak_is_found_with_few_evaluations(peak):
    found, evaluations = golden_section(lambda count: -abs(count - peak), 500)
    assert abs(found - peak) <= 1 and evaluations <= 16


def test_some_rows_are_zero_for_a_while(tiny):
    module = tiny.model.get_submodule("model.layers.0.mlp.up_proj")
    before = module.weight.clone()
    with without(tiny.model, [("model.layers.0.mlp.up_proj", 3)]):
        assert not module.weight[3].any() and torch.equal(module.weight[4:], before[4:])
    assert torch.equal(module.weight, before)


def test_an_answer_is_right_where_it_begins_with_the_option(tiny):
    """What the library generates for a prompt is the option; of another prompt it is not."""
    questions = [
        Question(f"The grandfather {verb}", (), generation=Generation(new_tokens=3))
        for verb in ("met", "said", "saw", "was", "had")
    ]
    texts = {index: answer.texts[0].strip() for batch in tiny(questions) for index, answer in batch}
    assert all(texts.values())
    asked = [
        Asked(tiny.prompt_format.text(question.text or ""), (texts[index], "no such"), index % 2)
        for index, question in enumerate(questions)
    ]
    assert generated_accuracy(tiny.model, tiny.tokenizer, asked) == pytest.approx(3 / 5)
