"""Texts about nothing in particular, on which a model should stay what it was while it learns.

They are packaged, and others than those that perplexity and drift are measured on. Some are learned from, the rest tell
how far a candidate has gone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import torch
from torch import Tensor

from biasectomy.errors import DataError
from biasectomy.learning.settings import JUDGED_BY
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.distributions import Remembered, divergences, next_token_log_probabilities
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.reading.questions import Question

FILE = "neutral_training.txt"
LEARNED_FROM = 32  # texts
SHORTEST = 8  # words


def packaged(file: str = FILE) -> list[str]:
    """The paragraphs of a packaged file."""
    text = (resources.files("biasectomy") / "data" / file).read_text(encoding="utf-8")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


@dataclass(frozen=True)
class Capability:
    """How far a model is from the original: mean drift, nats, and its perplexity a token as a multiple of theirs."""

    drift: float
    perplexity: float


class NeutralTexts:
    """Texts with what the original says of them, which is computed once."""

    def __init__(self, model: LanguageModel, texts: Sequence[str]) -> None:
        self.model = model
        self.texts = _encoded(model, texts)
        self._kept: dict[int, Remembered] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def drift(self, places: Sequence[int]) -> Tensor:
        """Sum of KL(original || model as it is now) over the positions of some texts, and their number; [2], nats.

        Gradients flow. What the original says is computed the first time a text is asked for; whatever the model is
        changed by must be in force by `LanguageModel.changed`.
        """
        places = [place % len(self.texts) for place in places]
        before = [self._original(place) for place in places]
        now = next_token_log_probabilities(self.model.model, [self.texts[place] for place in places])
        apart = torch.cat(divergences([one.to(now[0]) for one in before], now))
        return torch.stack([apart.sum(), apart.new_tensor(len(apart))])

    def mean_drift(self) -> float:
        """Mean over all positions of all texts, nats; without gradients."""
        with torch.no_grad():
            total, positions = torch.stack([self.drift([place]).double() for place in range(len(self))]).sum(0)
        return float(total / positions)

    @torch.no_grad()
    def capability(self) -> Capability:
        """How far the model as it is now has gone, over all positions of all texts."""
        apart, worse, positions = 0.0, 0.0, 0
        for place, text in enumerate(self.texts):
            (now,) = next_token_log_probabilities(self.model.model, [text])
            before = self._original(place).to(now)
            tokens = torch.tensor(text.options[0], device=now.device)[:, None]
            apart += float(divergences([before], [now])[0].sum())
            worse += float((before - now).gather(1, tokens).sum())
            positions += len(tokens)
        rise = worse / positions
        return Capability(apart / positions, math.exp(rise) if rise < 700 else math.inf)

    def _original(self, place: int) -> Tensor:
        with self.model.unedited():
            if place not in self._kept:
                self._kept[place] = Remembered(self.model.model, self.texts[place])
            return self._kept[place].log_probabilities()


def learned_from(model: LanguageModel) -> NeutralTexts:
    """The texts that are learned from."""
    return NeutralTexts(model, packaged()[:LEARNED_FROM])


def judged_by(model: LanguageModel) -> NeutralTexts:
    """The texts that tell how far a candidate has gone; none of them is learned from."""
    return NeutralTexts(model, packaged()[-JUDGED_BY:])


def judging_questions(model: LanguageModel) -> list[Question]:
    """The same texts as questions for the divergence, for whoever answers in the place of the model itself."""
    return [Question(None, (_as_long_as_fits(model, text)[0],), divergence=True) for text in packaged()[-JUDGED_BY:]]


def _encoded(model: LanguageModel, texts: Sequence[str]) -> list[EncodedPrompt]:
    return [_as_long_as_fits(model, text)[1] for text in texts]


def _as_long_as_fits(model: LanguageModel, text: str) -> tuple[str, EncodedPrompt]:
    """A text with its tokens, or its first words where a model takes no more."""
    try:
        return text, model.encode(Question(None, (text,)))
    except DataError:
        words = text.split()
        if len(words) < SHORTEST:
            raise
        return _as_long_as_fits(model, " ".join(words[: len(words) // 2]))
