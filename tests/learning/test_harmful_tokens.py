"""From harmful words to harmful tokens, and the loss that unlearning has of them."""

from dataclasses import dataclass

import pytest
import torch

from biasectomy.learning.batches import Batches
from biasectomy.learning.full_weights import FullWeights
from biasectomy.learning.harmful_tokens import learned_and_held_out, log_probabilities, marked
from biasectomy.learning.text_training import TextTraining, no_loss, texts_as_task
from biasectomy.processes import ALONE
from biasectomy.tasks.harmful_texts import HarmfulText
from tests.methods.test_families import opened

WORDS = ("those", "women", "are", "silly", "geese", "today")


def text(*harmful: int, words: tuple[str, ...] = WORDS, name: str = "p", test: bool = False) -> HarmfulText:
    return HarmfulText(name, words, tuple(place in harmful for place in range(len(words))), test)


@dataclass
class Letters:
    """A tokenizer of pairs of letters, spaces included: tokens that hold the end of one word and a space."""

    inner: object

    def __call__(self, text: str | list[str], **options):
        if not isinstance(text, str):
            return {"input_ids": [self(one)["input_ids"] for one in text]}
        pairs = [text[start : start + 2] for start in range(0, len(text), 2)]
        return {"input_ids": [3 + sum(map(ord, pair)) % 380 for pair in pairs]}

    def __getattr__(self, name):
        return getattr(self.inner, name)


def said(model, prompt) -> list[str]:
    """The harmful tokens, in letters."""
    option = prompt.encoded.options[0]
    return [model.tokenizer.decode([token]) for token, harmful in zip(option, prompt.harmful, strict=True) if harmful]


@pytest.mark.parametrize("harmful", [(3, 4), (0,), (5,), (1, 3), (0, 1, 2, 3, 4, 5)])
def test_tokens_of_harmful_words_are_harmful_and_no_others(tiny, harmful):
    prompt = marked(tiny, text(*harmful))
    spelled = "".join(said(tiny, prompt)).replace(" ", "")
    assert spelled == "".join(WORDS[place] for place in harmful)
    assert len(prompt.harmful) == len(prompt.encoded.options[0])


def test_a_token_that_holds_part_of_a_harmful_word_is_harmful(tiny):
    # "abc def" is ab, c_, de, f.
    tiny.tokenizer = tiny.prompt_format.tokenizer = Letters(tiny.tokenizer)
    assert marked(tiny, text(1, words=("abc", "def"))).harmful == (False, False, True, True)
    assert marked(tiny, text(0, words=("abc", "def"))).harmful == (True, True, False, False)
    assert marked(tiny, text(1, words=("ab", "cde"))).harmful == (False, True, True)  # ab, _c, de


def test_a_text_without_a_harmful_word_is_none_and_whole_texts_are_all_harmful(tiny):
    assert marked(tiny, text()) is None and marked(tiny, text(0, words=("alone",))) is None
    assert all(marked(tiny, text(3), whole=True).harmful)
    assert marked(tiny, text(3, words=("word",) * 600)) is None  # longer than the model takes


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_reads_what_stands_before_the_first_harmful_word(name):
    model = opened(name)
    prompt = marked(model, text(3, 4))
    assert list(prompt.encoded.prompt) == model.tokenizer("those women are")["input_ids"]
    label = list(prompt.encoded.options[0])
    own = model.tokenizer("silly geese", add_special_tokens=False)["input_ids"]
    assert [token for token, harmful in zip(label, prompt.harmful, strict=True) if harmful] == own
    assert not prompt.harmful[-1]  # "today", and the end of sequence
    first = marked(model, text(0, 2))
    assert list(first.encoded.prompt) == model.tokenizer("those")["input_ids"] and sum(first.harmful) > 0
    whole = marked(model, text(), whole=True)
    assert list(whole.encoded.prompt) == model.tokenizer("those women are")["input_ids"]


def by_transformers(model, prompt) -> torch.Tensor:
    """Mean log P of the harmful tokens in a plain pass over the whole text."""
    tokens = [*prompt.encoded.prompt, *prompt.encoded.options[0]]
    logits = model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
    shift = len(prompt.encoded.prompt)
    places = [place for place, harmful in enumerate(prompt.harmful, shift) if harmful]
    return torch.stack([logits[place - 1, tokens[place]] for place in places]).mean()


PROMPTS = (text(3, 4), text(1, words=("no", "woman", "can", "park")), text(0, 5))


def training(model, parameters, change, prompts, ascending=True, weight=0.0, size=None) -> TextTraining:
    batches = Batches(texts_as_task("made", prompts), size or len(prompts))
    return TextTraining(
        model, batches, no_loss, change, parameters, ALONE, weight, prompts=prompts, ascending=ascending
    )


@pytest.mark.parametrize("ascending", [True, False])
def test_the_gradient_is_that_of_a_plain_loop(tiny, ascending):
    prompts = {str(place): marked(tiny, one) for place, one in enumerate(PROMPTS)}
    weights = FullWeights(tiny)
    found = training(tiny, weights.values, weights.in_force, prompts, ascending)
    loss, _ = found._gradients(0)
    tiny.model.requires_grad_(True)
    expected = torch.stack([by_transformers(tiny.model, one) for one in prompts.values()]).mean()
    expected = expected if ascending else -expected
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), abs=1e-5)
    for name, value in zip(weights.names, weights.values, strict=True):
        torch.testing.assert_close(value.grad, dict(tiny.model.named_parameters())[name].grad, rtol=1e-3, atol=1e-5)


def log_p(model, prompt, harmful: bool) -> float:
    """Mean log P of the harmful tokens, or of the others."""
    mask = tuple(one == harmful for one in prompt.harmful)
    return float(log_probabilities(model, [type(prompt)(prompt.encoded, mask)]).detach())


def test_ascent_makes_harmful_tokens_unlikely_and_leaves_the_others(tiny):
    prompts = {str(place): marked(tiny, one) for place, one in enumerate(PROMPTS[:1])}
    (prompt,) = prompts.values()
    before = [log_p(tiny, prompt, harmful) for harmful in (True, False)]
    weights = FullWeights(tiny)
    found = training(tiny, weights.values, weights.in_force, prompts, weight=5.0)
    for step in range(12):
        found.step(step, 3e-3)
    with weights.in_force():
        after = [log_p(tiny, prompt, harmful) for harmful in (True, False)]
    assert after[0] < before[0] - 1
    assert abs(after[1] - before[1]) < 0.5 * (before[0] - after[0])


def test_some_texts_are_held_out_always_the_same_and_those_for_testing_among_them(tiny):
    texts = [text(3, name=f"post {place}", test=place == 7) for place in range(40)]
    learned, held_out = learned_and_held_out(tiny, texts)
    assert "post 7" in held_out and not learned.keys() & held_out.keys() and len(learned) + len(held_out) == 40
    assert 3 <= len(held_out) <= 16
    assert learned_and_held_out(tiny, texts[::-1])[1].keys() == held_out.keys()
    assert learned_and_held_out(tiny, texts[:20])[1].keys() <= held_out.keys()
