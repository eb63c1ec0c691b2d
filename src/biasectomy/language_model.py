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

from safetensors import SafetensorError
from torch import nn

from biasectomy import likelihood
from biasectomy.console import Console
from biasectomy.edits import baked, edited
from biasectomy.errors import RunError
from biasectomy.files import writing
from biasectomy.layouts import Batch, Layout, PackedLayout
from biasectomy.layouts.base import placement
from biasectomy.loading import DTYPES, Request
from biasectomy.memory import in_parts
from biasectomy.neuron_set import NeuronSet, model_shape
from biasectomy.neurons import Neurons, discover_neurons
from biasectomy.prompts import EncodedPrompt, PromptFormat, PromptKind, prompt_format
from biasectomy.sources import ModelSource, quiet_transformers, resolve_model
from biasectomy.tasks.base import Item

# Enough for matrix products to run at their full rate; more only takes memory.
CPU_BATCH_TOKENS = 1024
ACCELERATOR_BATCH_TOKENS = 4096
RELOAD_TOLERANCE = 1e-4  # largest difference of an option log-likelihood between the edited model and its checkpoint


@dataclass
class LanguageModel:
    """What every other part works with: computes scores, can be edited, can be saved."""

    model: Any
    tokenizer: Any
    prompt_format: PromptFormat
    name: str
    source: ModelSource | None = None
    batch_tokens: int = CPU_BATCH_TOKENS
    layout: Layout = field(default_factory=PackedLayout)
    request: Request | None = None  # how it was loaded, so that its full-precision form can be
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
        """Option log-likelihoods of a batch, in the order of `batch.indices`; halved as often as memory needs it."""
        return in_parts(lambda part: likelihood.score(self.model, part, self.layout), batch)

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
            model = self._full_precision()
            with writing(folder), baked(model, neuron_set or NeuronSet(())), quiet_transformers():
                model.save_pretrained(unfinished)
                self.tokenizer.save_pretrained(unfinished)
            difference = self._difference_from(model, unfinished, neuron_set)
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

    def _full_precision(self) -> Any:
        """The model whose weights an edit can be written to: itself, unless it is quantised."""
        if self.request is None or self.request.quantization is None:
            return self.model
        return self.request.full_precision().load()[1]

    def _difference_from(self, model: Any, folder: Path, neuron_set: NeuronSet | None) -> float:
        """Largest difference of a probe's log-likelihoods between the edited model and a saved checkpoint."""
        batch = Batch((0,), (self._probe(),))
        with edited(model, neuron_set or NeuronSet(())):
            here = likelihood.score(model, batch, self.layout)[0].log_likelihoods
        with quiet_transformers():
            reloaded: Any = type(model).from_pretrained(folder, dtype=model.dtype)
        reloaded.to(placement(model)[0]).eval()
        there = likelihood.score(reloaded, batch, self.layout)[0].log_likelihoods
        return max(abs(left - right) for left, right in zip(here, there, strict=True))

    def _probe(self) -> EncodedPrompt:
        item = Item("probe", "", "Which of the two was it?", ("The first one", "The second", "Not known"), 0, "", "")
        return self.prompt_format.encode("Answer the question.", item)


def load(
    name: str | ModelSource = "smollm2",
    *,
    prompt: PromptKind = "auto",
    dtype: str = "float32",
    device: str = "auto",
    device_map: str | None = None,
    quantization: str | None = None,
    batch_tokens: int | None = None,
    trust_remote_code: bool = False,
    console: Console | None = None,
) -> LanguageModel:
    """Loads a model: `smollm2`, a local folder, a GGUF file or a hub id.

    Args:
        name: of the model, or its files as `resolve_model` finds them.
        device_map: spreads the model over devices as `accelerate` does ("auto", "balanced", "sequential").
        quantization: "4bit" or "8bit" (bitsandbytes): less memory for finding and measuring; what is saved is
            the full-precision model with the edit in its weights.

    Raises:
        UnknownNameError, SourceError: there is no such model.
        ModelError: it cannot be loaded, is too large for the memory at hand, or has no usable tokenizer.
    """
    source = name if isinstance(name, ModelSource) else resolve_model(name, console)
    request = Request(source, DTYPES[dtype], device, device_map, quantization, trust_remote_code)
    config, model, tokenizer = request.load()
    language_model = LanguageModel(
        model=model,
        tokenizer=tokenizer,
        prompt_format=prompt_format(tokenizer, config, prompt, f"'{source.name}'"),
        name=source.name,
        source=source,
        batch_tokens=batch_tokens or (CPU_BATCH_TOKENS if model.device.type == "cpu" else ACCELERATOR_BATCH_TOKENS),
        request=request,
    )
    language_model.layout = likelihood.layout_for(model, model.get_input_embeddings().weight.shape[0])
    return language_model


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
