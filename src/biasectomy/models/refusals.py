"""Checkpoints that are not loaded: what is missing, made up, damaged or no language model, in words that help."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from biasectomy.errors import BiasectomyError, ModelError
from biasectomy.models.sources import ModelSource
from biasectomy.narration import warn

FORESIGHT, HALF_FORESIGHT = 1e-4, 0.02  # of the largest logit


@contextlib.contextmanager
def loading(source: ModelSource, part: str) -> Iterator[None]:
    """Turns whatever a damaged or foreign checkpoint makes the libraries below raise into one sentence."""
    try:
        yield
    except BiasectomyError:
        raise
    except Exception as error:
        raise ModelError(f"The model '{source.name}' cannot be loaded: {_reason(part, error)}") from error


def _reason(part: str, error: Exception) -> str:
    """Why a library could not load a part of a checkpoint, in words that say what would be right."""
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return "it comes with Python code of its own; read that code, and if you trust it, add --trust-remote-code."
    if "Unrecognized configuration class" in text:
        return f"it is no language model that could score texts, but a {_kind(text)}."
    if "does not recognize this architecture" in text:
        return f"{text.split(' but ')[0][:120]}, which the installed transformers does not know; a newer one may."
    if "no file named" in text and "safetensors" in text:
        return (
            "it has no weights in the safetensors format. Other formats, such as pytorch_model.bin, can run code when "
            "they are read and are not; convert them with transformers (save_pretrained), or take a GGUF file."
        )
    if isinstance(error, FileNotFoundError) or "No such file" in text:
        return f"a file that it names is not there ({text[:200]}); fetch it again."
    if "weights_only" in text or "unpickl" in text:
        return "its weights are pickled, which can run code when they are read; convert them to safetensors."
    if "safetensors" in text.lower() or "deserializ" in text:
        return f"its safetensors file is damaged or cut off ({text[:200]}); fetch it again."
    if "reshape" in text or "gguf" in text.lower():
        return f"its GGUF file is damaged or cut off ({text[:200]}); fetch it again."
    if "connect" in text and "http" in text:
        return f"{part} is not on this machine, and the hub cannot be reached."
    return f"{part} cannot be used ({text[:300]})."


def refuse_incomplete(source: ModelSource, told: Mapping[str, Any]) -> None:
    """Refuses a checkpoint some of whose weights would be made up; says which of its weights are not used.

    Args:
        source: for messages.
        told: what `from_pretrained` says of the weights it found.

    Raises:
        ModelError: weights are missing or of another size than the configuration says; names some.
    """
    missing = sorted(told.get("missing_keys", ()))
    sizes = sorted(
        f"{name} ({_shape(there)}, where the configuration says {_shape(wanted)})"
        for name, there, wanted in told.get("mismatched_keys", ())
    )
    if missing or sizes:
        what = f"{len(missing)} of its weights are missing" if missing else f"{len(sizes)} weights have other sizes"
        raise ModelError(
            f"The model '{source.name}' is not whole: {what}: {_some(missing or sizes)}. With made-up weights in their "
            "place nothing that is measured would mean anything; its files and its config.json must be of one model."
        )
    if unexpected := sorted(told.get("unexpected_keys", ())):
        warn(f"{len(unexpected)} weights of '{source.name}' are not part of this model: {_some(unexpected)}.")


@torch.inference_mode()
def refuse_foresight(source: ModelSource, model: Any) -> None:
    """Refuses a decoder whose output at a token depends on tokens behind it, as that of an encoder does.

    Raises:
        ModelError: it does.
    """
    if getattr(model.config, "is_encoder_decoder", False):
        return
    vocabulary = model.get_input_embeddings().weight.shape[0]
    first = [(7 * place + 3) % vocabulary for place in range(8)]
    other = first[:4] + [(place + 1) % vocabulary for place in first[4:]]
    tokens = torch.tensor([first, other], device=model.get_input_embeddings().weight.device)
    before, after = model(input_ids=tokens, use_cache=False).logits[:, :4].float()
    # Both rows are computed in one batch; what little they may differ by is far below what another token changes.
    tolerance = FORESIGHT if model.dtype == torch.float32 else HALF_FORESIGHT
    if (before - after).abs().max() > tolerance * before.abs().max():
        raise ModelError(
            f"'{source.name}' looks ahead: its output at a token changes with later tokens, so it is no causal "
            "language model and its likelihoods mean nothing. An encoder such as BERT cannot be used here."
        )


def _some(names: Sequence[str], shown: int = 3) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _shape(size: Any) -> str:
    return " x ".join(map(str, size))


def _kind(text: str) -> str:
    found = re.search(r"(\w+)Config'", text)
    return found[1] if found else "model of another kind"
