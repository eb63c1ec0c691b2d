"""Which tokens of a text are harmful, and how likely they are given what stands left of them.

What unlearning makes unlikely (Lu et al. 2024, arXiv 2407.16951): log P(x_i | x_<i) of the harmful tokens alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from biasectomy.errors import DataError
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.distributions import next_token_log_probabilities
from biasectomy.reading.prompts import EncodedPrompt, common_prefix_length
from biasectomy.reading.questions import Question
from biasectomy.tasks.harmful_texts import HarmfulText

HELD_OUT = 5  # about one text of so many


@dataclass(frozen=True)
class MarkedPrompt:
    """A prompt with the text's judged tokens as its only option, and which of these are harmful."""

    encoded: EncodedPrompt
    harmful: tuple[bool, ...]


def marked(model: LanguageModel, text: HarmfulText, *, whole: bool = False) -> MarkedPrompt | None:
    """A text in tokens, as the model reads whole texts; None where no harmful word is judged, or it is too long.

    A token is harmful if any of it belongs to a harmful word. A decoder-only model reads the text behind the prefix
    token. The encoder of an encoder-decoder reads the words before the first harmful one, at least the first word, and
    the rest are labels.

    Args:
        whole: every word that is judged counts as harmful; an encoder then reads half of them, as of all whole texts.
    """
    words = text.words
    harmful = (True,) * len(words) if whole else text.harmful
    if not any(harmful) or len(words) < 2:
        return None
    given = 0
    if model.model.config.is_encoder_decoder:
        given = len(words) // 2 if whole else max(1, harmful.index(True))
    rest = " ".join(words[given:])
    question = Question(" ".join(words[:given]), (rest,), plain=True) if given else Question(None, (rest,))
    try:
        encoded = model.encode(question)
    except DataError:
        return None
    mask = _mask(model, words[given:], harmful[given:], encoded.options[0], behind_encoder=bool(given))
    return MarkedPrompt(encoded, mask) if any(mask) else None


def learned_and_held_out(
    model: LanguageModel, texts: Sequence[HarmfulText], *, whole: bool = False
) -> tuple[dict[str, MarkedPrompt], dict[str, MarkedPrompt]]:
    """Texts in tokens by identifier: those that are learned from, and those that tell how it went.

    Held out are the texts that their authors keep for testing, and of the others about one in five, always the same.

    Raises:
        DataError: too few can be put into tokens for both.
    """
    prompts = {text.identifier: (text, marked(model, text, whole=whole)) for text in texts}
    learned, held_out = dict[str, MarkedPrompt](), dict[str, MarkedPrompt]()
    for name, (text, prompt) in sorted(prompts.items()):
        if prompt is not None:
            drawn = int(hashlib.sha256(name.encode()).hexdigest(), 16) % HELD_OUT == 0
            (held_out if text.test or drawn else learned)[name] = prompt
    if not held_out and len(learned) > 1:
        name, prompt = learned.popitem()
        held_out[name] = prompt
    if not learned or not held_out:
        raise DataError(f"Of {len(texts)} texts too few can be read whole by the model; shorter ones would be right.")
    return learned, held_out


def _mask(
    model: LanguageModel, words: Sequence[str], harmful: Sequence[bool], option: Sequence[int], *, behind_encoder: bool
) -> tuple[bool, ...]:
    """Which tokens of an option that are some words hold anything of a harmful word."""

    def tokens(text: str) -> list[int]:
        return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])

    whole = tokens(" ".join(words))
    # A label may have a special token in front; of a text without a prefix the first token is not judged.
    shift = int(list(option[:1]) != whole[:1]) if behind_encoder else len(option) - len(whole)
    changes = [place for place, (left, right) in enumerate(pairwise(harmful), 1) if left != right]
    mask = [False] * len(option)
    for start, end in pairwise([0, *changes, len(words)]):
        if not harmful[start]:
            continue
        before, behind = " ".join(words[:start]), tokens(" ".join(words[:end]))
        # The space in front may belong to the word before, or to this one.
        first = max(common_prefix_length(tokens(one), whole) for one in (before, before + " " * bool(before)))
        last = common_prefix_length(behind, whole)
        last += last < len(behind)  # the last token goes on beyond the word
        for place in range(max(0, first + shift), min(len(option), last + shift)):
            mask[place] = True
    return tuple(mask)


def log_probabilities(model: LanguageModel, prompts: Sequence[MarkedPrompt]) -> Tensor:
    """Mean log P(token | what stands left of it) of each prompt's harmful tokens, nats; [prompts]. Gradients flow."""
    found = []
    distributions = next_token_log_probabilities(model.model, [one.encoded for one in prompts])
    for prompt, values in zip(prompts, distributions, strict=True):
        places = torch.tensor([place for place, harmful in enumerate(prompt.harmful) if harmful], device=values.device)
        targets = torch.tensor(prompt.encoded.options[0], device=values.device)[places]
        found.append(values[places, targets].mean())
    return torch.stack(found)
