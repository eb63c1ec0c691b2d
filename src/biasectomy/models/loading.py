"""From the name of a model to its weights in memory: formats, devices, and whether it fits."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import torch

from biasectomy.errors import ModelError, UnknownNameError
from biasectomy.models.conversions import converted, models_for, unpacked, write_checkpoint
from biasectomy.models.hub import fetch
from biasectomy.models.quiet import quiet_transformers
from biasectomy.models.refusals import loading, refuse_foresight, refuse_incomplete
from biasectomy.models.sources import ModelSource
from biasectomy.reading.memory import available_memory, weights_bytes

MOST_LAYERS = 10_000
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
        from transformers import AutoConfig, AutoTokenizer, GgufConfig

        source = self.source
        if source.kind == "hub":
            fetch(source.location)
        weights = self._weights()
        location, options = source.location, dict[str, Any](trust_remote_code=self.trust_remote_code)
        with quiet_transformers():
            if source.gguf_file is not None:
                kept = converted(Path(location) / source.gguf_file, self._convert)
                if kept is not None:
                    location = str(kept)
                else:
                    options["gguf_file"] = source.gguf_file
                    # Without dequantising, transformers keeps the quantised form and refuses to save it.
                    weights["quantization_config"] = GgufConfig(gguf_file=source.gguf_file, dequantize=True)
            with loading(source, "its configuration"):
                config = AutoConfig.from_pretrained(location, **options)
            with loading(source, "its weights"):
                if self.device_map is None and self.quantization is None:
                    refuse_larger_than_memory(source, config, self.dtype)
                # Sizes that do not fit are named below; by itself transformers points to a report that is not shown.
                model, told = models_for(config).from_pretrained(
                    location,
                    **options,
                    **weights,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )
                refuse_incomplete(source, told)
            with loading(source, "its tokenizer"):
                tokenizer = AutoTokenizer.from_pretrained(location, **options)
        model.eval().requires_grad_(False)
        if "device_map" not in weights:
            model.to(named_device(self.device))
        refuse_foresight(source, model)
        return config, model, tokenizer

    def _weights(self) -> dict[str, Any]:
        """Arguments that say in which form and where the weights are kept."""
        from transformers import BitsAndBytesConfig

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
        return weights

    def _convert(self, folder: Path) -> None:
        """Writes the checkpoint that a GGUF file becomes, unless some of its weights would be made up."""
        assert self.source.gguf_file is not None
        with loading(self.source, "its weights"):
            model, tokenizer, told = unpacked(Path(self.source.location), self.source.gguf_file)
            refuse_incomplete(self.source, told)
        write_checkpoint(model, tokenizer, folder)


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
    layers = getattr(config.get_text_config(), "num_hidden_layers", 0)
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise ModelError(f"The configuration of '{source.name}' says {layers:,} layers; no model has so many.")
    with torch.device("meta"):
        empty = models_for(config).from_config(copy.deepcopy(config), dtype=dtype)  # it notes the number format
    need = weights_bytes(empty)
    free = available_memory()
    if free is not None and need > free:
        raise ModelError(
            f"'{source.name}' needs {need / 2**30:.1f} GiB for its weights in {str(dtype).removeprefix('torch.')}; "
            f"{free / 2**30:.1f} GiB are free. Use --dtype bfloat16, a smaller model or a larger machine."
        )
