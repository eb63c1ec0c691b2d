"""From the name of a model to its weights in memory: formats, devices, and whether it fits."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import torch

from biasectomy.errors import BiasectomyError, ModelError, UnknownNameError
from biasectomy.models.hub import fetch
from biasectomy.models.quiet import quiet_transformers
from biasectomy.models.sources import ModelSource
from biasectomy.narration import warn
from biasectomy.reading.memory import available_memory, weights_bytes

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class LoadingOptions(TypedDict, total=False):
    """How a model is loaded.

    `dtype`: "float32", "bfloat16" or "float16". `device`: "auto", "cpu", "mps", "cuda", "cuda:1", "xpu".
    `device_map`: spreads the model over devices as `accelerate` does ("auto", "balanced", "sequential").
    `quantization`: "4bit" or "8bit" (bitsandbytes): less memory for finding and measuring; what is saved is the
    full-precision model with the edit in its weights. `trust_remote_code`: lets a hub model run its own code.
    """

    dtype: str
    device: str
    device_map: str | None
    quantization: str | None
    trust_remote_code: bool


@dataclass(frozen=True)
class Weights:
    """Where a model's weights come from, and in which form they are loaded."""

    source: ModelSource
    dtype: torch.dtype = torch.float32
    device: str = "auto"
    device_map: str | None = None
    quantization: str | None = None
    trust_remote_code: bool = False
    stored_dtype: torch.dtype | None = None  # of its files; None where they do not say

    @classmethod
    def chosen(cls, source: ModelSource, options: LoadingOptions) -> "Weights":
        """The weights of a source in the form that was chosen.

        Raises:
            UnknownNameError: there is no such number format.
        """
        dtype = number_format(options.get("dtype", "float32"))
        return cls(source, **{**options, "dtype": dtype})  # type: ignore[arg-type]

    def full_precision(self) -> "Weights":
        """The same model without quantisation, in main memory."""
        return replace(self, quantization=None, device_map=None, device="cpu")

    def load(self) -> tuple[Any, Any, Any]:
        """Configuration, model (frozen, in evaluation mode) and tokenizer.

        Raises:
            ModelError: it cannot be loaded, does not fit in memory, or its device is not here.
        """
        from transformers import AutoConfig, AutoTokenizer

        source = self.source
        if source.kind == "hub":
            fetch(source.location)
        options: dict[str, Any] = {"trust_remote_code": self.trust_remote_code}
        if source.gguf_file is not None:
            options["gguf_file"] = source.gguf_file
        try:
            with quiet_transformers():
                config = AutoConfig.from_pretrained(source.location, **options)
                weights = self._weights()
                if self.device_map is None and self.quantization is None:
                    refuse_larger_than_memory(source, config, self.dtype)
                # Sizes that do not fit are named below; by itself transformers points to a report that is not shown.
                model, told = models_for(config).from_pretrained(
                    source.location,
                    **options,
                    **weights,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )
                refuse_incomplete(source, told)
                tokenizer = AutoTokenizer.from_pretrained(source.location, **options)
        except BiasectomyError:
            raise
        except Exception as error:  # whatever a damaged or foreign checkpoint makes the libraries below raise
            raise ModelError(f"The model '{source.name}' cannot be loaded: {_reason(error)}") from error
        model.eval().requires_grad_(False)
        if "device_map" not in weights:
            model.to(named_device(self.device))
        refuse_foresight(source, model)
        return config, model, tokenizer

    def _weights(self) -> dict[str, Any]:
        """Arguments that say in which form and where the weights are kept."""
        from transformers import BitsAndBytesConfig, GgufConfig

        weights: dict[str, Any] = {"dtype": self.dtype}
        if self.device_map is not None:
            weights["device_map"] = self.device_map
        if self.quantization is not None:
            if not torch.cuda.is_available():
                raise ModelError(
                    f"--quantization {self.quantization} needs a CUDA device, and there is none here; "
                    "leave it out to load the full-precision model."
                )
            if self.source.gguf_file is not None:
                raise ModelError("A GGUF file cannot be quantised again; leave --quantization out.")
            four = self.quantization == "4bit"
            quantised: Any = BitsAndBytesConfig
            weights["quantization_config"] = quantised(load_in_4bit=four, load_in_8bit=not four)
            # A process that was given one device of several keeps to it.
            weights.setdefault("device_map", "auto" if self.device == "auto" else {"": self.device})
        elif self.source.gguf_file is not None:
            # Without dequantising, transformers keeps the quantised form and refuses to save it.
            weights["quantization_config"] = GgufConfig(gguf_file=self.source.gguf_file, dequantize=True)
        return weights


def number_format(name: str) -> torch.dtype:
    """A number format by its name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in DTYPES:
        raise UnknownNameError("number format", name, DTYPES)
    return DTYPES[name]


def stored_dtype(source: ModelSource, config: Any) -> torch.dtype | None:
    """The number format of a model's files, as its configuration says; None where it does not, and of a GGUF file."""
    text = getattr(config, "get_text_config", lambda: config)()
    found = getattr(config, "dtype", None) or getattr(text, "dtype", None)
    found = DTYPES.get(str(found).removeprefix("torch."))
    return found if source.gguf_file is None else None


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


FORESIGHT, HALF_FORESIGHT = 1e-4, 0.02  # of the largest logit


def _reason(error: Exception) -> str:
    """Why a library could not load a checkpoint, in words that say what would be right."""
    text = " ".join(str(error).split())
    if "no file named" in text and "safetensors" in text:
        return (
            "it has no weights in the safetensors format. Other formats, such as pytorch_model.bin, can run code when "
            "they are read and are not; convert them with transformers (save_pretrained), or take a GGUF file."
        )
    if "safetensors" in text.lower() or "deserializ" in text:
        return f"its safetensors file is damaged or cut off ({text[:200]}); fetch it again."
    if "reshape" in text or "gguf" in text.lower():
        return f"its GGUF file is damaged or cut off ({text[:200]}); fetch it again."
    return text[:400]


def _some(names: Sequence[str], shown: int = 3) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _shape(size: Any) -> str:
    return " x ".join(map(str, size))


def models_for(config: Any) -> Any:
    """The class of `transformers` that loads a configuration's language model."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if getattr(config, "is_encoder_decoder", False) else AutoModelForCausalLM


def named_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ModelError(f"There is no device '{name}' here; use --device cpu.") from None
    return device


def refuse_larger_than_memory(source: ModelSource, config: Any, dtype: torch.dtype) -> None:
    """Refuses a model whose weights alone would not fit, before any is read.

    Raises:
        ModelError: says how many GiB are needed and how many are free.
    """
    with torch.device("meta"):
        empty = models_for(config).from_config(copy.deepcopy(config), dtype=dtype)  # it notes the number format
    need = weights_bytes(empty)
    free = available_memory()
    if free is not None and need > free:
        raise ModelError(
            f"'{source.name}' needs {need / 2**30:.1f} GiB for its weights in {str(dtype).removeprefix('torch.')}; "
            f"{free / 2**30:.1f} GiB are free. Use --dtype bfloat16, a smaller model or a larger machine."
        )
