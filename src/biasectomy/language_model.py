"""A loaded model with its tokenizer and its prompt format, as one object."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from biasectomy import likelihood
from biasectomy.console import Console
from biasectomy.edits import baked, edited
from biasectomy.errors import BiasectomyError, ModelError, RunError
from biasectomy.files import writing
from biasectomy.layouts import Batch, Layout, PackedLayout
from biasectomy.neuron_set import NeuronSet, model_shape
from biasectomy.neurons import Neurons, discover_neurons
from biasectomy.prompts import EncodedPrompt, PromptFormat, PromptKind, prompt_format
from biasectomy.sources import ModelSource, quiet_transformers, resolve_model
from biasectomy.tasks.base import Item

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
DEFAULT_BATCH_TOKENS = 512
RELOAD_TOLERANCE = 1e-4  # largest difference of an option log-likelihood between the edited model and its checkpoint


@dataclass
class LanguageModel:
    """What every other part works with: computes scores, can be edited, can be saved."""

    model: Any
    tokenizer: Any
    prompt_format: PromptFormat
    name: str
    source: ModelSource | None = None
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    layout: Layout = field(default_factory=PackedLayout)
    _discovered: dict[str, Neurons] = field(default_factory=dict, repr=False)

    def neurons(self, definition: str = "linear-output") -> Neurons:
        """All neurons of the model under a definition."""
        if definition not in self._discovered:
            self._discovered[definition] = discover_neurons(self.model, definition)
        return self._discovered[definition]

    def edited(self, neuron_set: NeuronSet | None) -> AbstractContextManager[None]:
        """A block in which the model computes with the set's factors; None edits nothing."""
        return contextlib.nullcontext() if neuron_set is None else edited(self.model, neuron_set)

    def plan(self, prompts: Sequence[EncodedPrompt]) -> Iterator[Batch]:
        """Batches of prompts within the token budget."""
        return self.layout.plan(prompts, self.batch_tokens)

    def score(self, batch: Batch) -> list[likelihood.OptionScores]:
        """Option log-likelihoods of a batch, in the order of `batch.indices`."""
        return likelihood.score(self.model, batch, self.layout)

    def description(self) -> dict[str, Any]:
        """What identifies the model in records and neuron sets."""
        return {"name": self.name, "shape": model_shape(self.model), "fingerprint": fingerprint(self.model)}

    def save(self, folder: str | Path, neuron_set: NeuronSet | None = None, *, overwrite: bool = False) -> float:
        """Writes a plain `transformers` checkpoint with the set's factors in its weights, and reads it back.

        The folder appears only when it is whole and its option log-likelihoods, computed by a freshly
        loaded copy, equal those of the edited model in memory within 1e-4. Returns the largest difference.

        Raises:
            RunError: the folder exists, cannot be written, or the reloaded checkpoint differs.
        """
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()) and not overwrite:
            raise RunError(f"'{folder}' exists and is not empty; choose another folder or allow overwriting.")
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            with writing(folder), baked(self.model, neuron_set or NeuronSet(())), quiet_transformers():
                self.model.save_pretrained(unfinished)
                self.tokenizer.save_pretrained(unfinished)
            difference = self._difference_from(unfinished, neuron_set)
            # Written so that a NaN is refused too.
            if not difference <= RELOAD_TOLERANCE:
                raise RunError(
                    f"The checkpoint written for '{folder}' gives log-likelihoods that differ by {difference:.2g} from "
                    f"the edited model in memory (allowed: {RELOAD_TOLERANCE:g}); it was not kept."
                )
            with writing(folder):
                unfinished.chmod(0o755)
                if folder.exists():
                    shutil.rmtree(folder)
                unfinished.rename(folder)
        except SafetensorError as error:
            reason = " ".join(str(error).split())
            raise RunError(f"The checkpoint '{folder}' could not be written: {reason} Is the disk full?") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return difference

    def _difference_from(self, folder: Path, neuron_set: NeuronSet | None) -> float:
        """Largest difference of a probe's log-likelihoods between the edited model and a saved checkpoint."""
        batch = Batch((0,), (self._probe(),))
        with self.edited(neuron_set):
            here = self.score(batch)[0].log_likelihoods
        with quiet_transformers():
            reloaded: Any = type(self.model).from_pretrained(folder, dtype=self.model.dtype)
        reloaded.to(self.model.device).eval()
        there = likelihood.score(reloaded, batch, self.layout)[0].log_likelihoods
        return max(abs(left - right) for left, right in zip(here, there, strict=True))

    def _probe(self) -> EncodedPrompt:
        item = Item("probe", "", "Which of the two was it?", ("The first one", "The second", "Not known"), 0, "", "")
        return self.prompt_format.encode("Answer the question.", item)


def load(
    name: str = "smollm2",
    *,
    prompt: PromptKind = "auto",
    dtype: str = "float32",
    device: str = "auto",
    batch_tokens: int | None = None,
    trust_remote_code: bool = False,
    console: Console | None = None,
) -> LanguageModel:
    """Loads a model: `smollm2`, a local folder, a GGUF file or a hub id.

    Raises:
        UnknownNameError, SourceError: there is no such model.
        ModelError: it cannot be loaded, is too large for the memory at hand, or has no usable tokenizer.
    """
    import transformers

    source = resolve_model(name, console)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    weights: dict[str, Any] = {"dtype": DTYPES[dtype]}
    if source.gguf_file is not None:
        options["gguf_file"] = source.gguf_file
        # Without dequantising, transformers keeps the quantised form and refuses to save it.
        weights["quantization_config"] = transformers.GgufConfig(gguf_file=source.gguf_file, dequantize=True)
    try:
        with quiet_transformers():
            config = transformers.AutoConfig.from_pretrained(source.location, **options)
            refuse_larger_than_memory(source, config, DTYPES[dtype])
            model: Any = models_for(config).from_pretrained(source.location, **options, **weights)
            tokenizer = transformers.AutoTokenizer.from_pretrained(source.location, **options)
    except BiasectomyError:
        raise
    except Exception as error:  # whatever a damaged or foreign checkpoint makes the libraries below raise
        reason = " ".join(str(error).split())
        raise ModelError(f"The model '{name}' cannot be loaded: {reason[:400]}") from error
    model.eval().requires_grad_(False)
    model.to(_device(device))
    language_model = LanguageModel(
        model=model,
        tokenizer=tokenizer,
        prompt_format=prompt_format(tokenizer, config, prompt, f"'{name}'"),
        name=source.name,
        source=source,
        batch_tokens=batch_tokens or DEFAULT_BATCH_TOKENS,
    )
    language_model.layout = likelihood.layout_for(model, model.get_input_embeddings().weight.shape[0])
    return language_model


def models_for(config: Any) -> Any:
    """The class of `transformers` that loads a configuration's language model."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if getattr(config, "is_encoder_decoder", False) else AutoModelForCausalLM


def _device(name: str) -> torch.device:
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
        empty = models_for(config).from_config(config, dtype=dtype)
    need = sum(parameter.numel() * parameter.element_size() for parameter in empty.parameters())
    free = available_memory()
    if free is not None and need > free:
        raise ModelError(
            f"'{source.name}' needs {need / 2**30:.1f} GiB for its weights in {str(dtype).removeprefix('torch.')}; "
            f"{free / 2**30:.1f} GiB are free. Use --dtype bfloat16, a smaller model or a larger machine."
        )


def available_memory() -> int | None:
    """Bytes of memory that can be taken without swapping; None where the system does not tell."""
    try:
        with Path("/proc/meminfo").open() as stream:
            for line in stream:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over a few values of every parameter: the same for the same weights in any file format."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        if not parameter.is_meta:
            flat = parameter.detach().reshape(-1)
            step = max(1, flat.numel() // 64)
            digest.update(flat[::step][:64].float().cpu().numpy().tobytes())
    return digest.hexdigest()
