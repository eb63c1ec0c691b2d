"""What experts and anti-experts are made of: items to learn from, or models of their own."""

from dataclasses import replace
from typing import TYPE_CHECKING

from biasectomy.errors import SettingsError

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

EXPERT, ANTI_EXPERT = "expert", "anti_expert"


def items_of(part: str, development: "Task") -> "Task":
    """Items whose gold option is what an expert, or an anti-expert, is to say.

    Raises:
        SettingsError: no item has a biased answer other than the right one.
    """
    if part == EXPERT:
        return development
    items = [
        replace(item, gold=item.target)
        for item in development.items
        if item.target is not None and item.target != item.gold
    ]
    if not items:
        raise SettingsError(
            f"No item of '{development.name}' has a biased answer other than the right one to learn an anti-expert "
            "from; --experts.anti-expert names a model, and --experts.variant expert-only needs none."
        )
    return replace(development, items=tuple(items))


def opened(name: str, model: "LanguageModel", part: str) -> "LanguageModel":
    """A model that can be read beside another, in its number format and on its device.

    Raises:
        SettingsError: it has other tokens, or one of the two is an encoder-decoder and the other is not.
        UnknownNameError, SourceError, ModelError: see `load`.
    """
    from biasectomy.models.language_model import load

    trusted = model.weights is not None and model.weights.trust_remote_code
    other = load(
        name,
        dtype=str(model.model.dtype).removeprefix("torch."),
        device=str(model.model.device),
        trust_remote_code=trusted,
    )
    same = other.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    if not same or other.model.config.is_encoder_decoder != model.model.config.is_encoder_decoder:
        raise SettingsError(
            f"The {in_words(part)} '{name}' has {'another architecture' if same else 'other tokens'} than the model; "
            "one of the same family would be right."
        )
    return other


def in_words(part: str) -> str:
    """What a part is called."""
    return part.replace("_", "-")


def as_wide(other: "Tensor", own: "Tensor") -> "Tensor":
    """Values over as many tokens as the model has: those filled up beyond the tokenizer's differ among sizes."""
    import torch

    width = own.shape[-1]
    if other.shape[-1] == width:
        return other
    return torch.cat([other[..., :width], own[..., other.shape[-1] :]], dim=-1)
