"""Texts that are drawn: distributed as the model says, the same for a seed in whatever company, greedy when cold."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from biasectomy.reading.generation import Drawn, generate, plan_generation
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.reading.questions import Generation, Question


def asked(tiny, text="The grandfather", **how) -> EncodedPrompt:
    return tiny.prompt_format.encode(Question(text, generation=Generation(6, **how), plain=True))


def written(tiny, *prompts: EncodedPrompt) -> list[str]:
    found = {}
    for batch in plan_generation(prompts, 256):
        found |= dict(zip(batch.indices, generate(tiny.model, tiny.tokenizer, batch), strict=True))
    return [found[index] for index in range(len(prompts))]


def test_a_draw_is_the_same_for_a_seed_in_whatever_company(tiny):
    one, other = asked(tiny, temperature=1.0, seed=1), asked(tiny, temperature=1.0, seed=2)
    greedy, longer = asked(tiny), asked(tiny, "The grandfather and the grandson met", temperature=1.0, seed=1)
    alone = [written(tiny, prompt)[0] for prompt in (one, other, greedy, longer)]
    assert written(tiny, one, other, greedy, longer) == alone
    assert len(set(alone[:3])) == 3


def test_a_low_temperature_is_greedy(tiny):
    assert written(tiny, asked(tiny, temperature=1e-6)) == written(tiny, asked(tiny))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_model_says(temperature):
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    expected = torch.softmax(logits / temperature, 0)
    count = 4000
    drawn = Drawn([EncodedPrompt((1,), (), new_tokens=1, sampled=(temperature, seed)) for seed in range(count)])
    tokens = drawn(torch.zeros(count, 1), logits.repeat(count, 1)).argmax(1)
    shares = torch.bincount(tokens, minlength=4) / count
    assert torch.allclose(shares, expected, atol=4 * (0.25 / count) ** 0.5)
    again = Drawn([EncodedPrompt((1,), (), new_tokens=1, sampled=(temperature, 0))])
    first, second = (int(again(torch.zeros(1, 1), logits[None].clone()).argmax()) for _ in range(2))
    assert first == int(tokens[0]) and 0 <= second < 4


def test_each_step_draws_anew():
    drawn = Drawn([EncodedPrompt((1,), (), new_tokens=1, sampled=(1.0, 0))])
    steps = Counter(int(drawn(torch.zeros(1, 1), torch.zeros(1, 5)).argmax()) for _ in range(60))
    assert len(steps) == 5


def test_a_drawn_text_is_another_question_to_the_store(tiny):
    from biasectomy.measuring.session import Session

    answerer = Session().answerer(tiny)
    questions = [
        Question("The grandfather", generation=Generation(6, temperature=heat, seed=seed), plain=True)
        for heat, seed in ((0.0, 0), (1.0, 0), (1.0, 1))
    ]
    texts = {index: answer.texts for batch in answerer(questions) for index, answer in batch}
    assert len(set(texts.values())) == 3
    assert dict(next(answerer([replace(questions[1])])))[0].texts == texts[1]
