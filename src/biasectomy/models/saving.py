"""Writing a model with an edit in its weights as a plain checkpoint, and proving that it is what was meant."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from biasectomy.errors import RunError
from biasectomy.files import read_json, unfinished_prefix, write_json, writing
from biasectomy.models.manifest import write_manifest
from biasectomy.models.quiet import quiet_transformers
from biasectomy.neurons.edits import baked, edited
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.reading import likelihood
from biasectomy.reading.layouts import Batch, Layout
from biasectomy.reading.layouts.base import placement
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.reading.questions import Question

TOLERANCE = 1e-4  # largest difference of an option's log-likelihood between an edit in force and one in the weights
PROBE = Question("Answer the question.\n\nWhich of the two was it?", ("The first one", "The second", "Not known"))


@dataclass(frozen=True)
class Checkpoint:
    """A model, in full precision, that is to be written with its tokenizer in a number format.

    A `probe` is asked, as `layout` has it, before and after.
    """

    model: Any
    tokenizer: Any
    layout: Layout
    probe: EncodedPrompt
    stored: torch.dtype

    def write(self, folder: Path, neuron_set: NeuronSet) -> float:
        """See `LanguageModel.save`; what is in the folder is replaced."""
        with appearing(folder) as unfinished:
            with edited(self.model, neuron_set):
                in_force = self._ask(self.model)
            with writing(folder), complaints(folder), baked(self.model, neuron_set), quiet_transformers():
                baking = largest_difference(in_force, self._ask(self.model))
                _write(self.model, unfinished, self.stored)
                self.tokenizer.save_pretrained(unfinished)
                reloaded: Any = type(self.model).from_pretrained(unfinished, dtype=self.model.dtype)
                strange = _changed(self.model, reloaded, self.stored)
            # Written so that a NaN is refused too.
            if strange or not baking <= TOLERANCE:
                off = f"its log-likelihoods are {baking:.2g} off"
                what = f"its '{strange}' is not what was to be written" if strange else off
                raise RunError(f"The checkpoint for '{folder}' differs from the edited model: {what}; it was not kept.")
            stored = self._ask(reloaded.to(placement(self.model)[0]).eval())
        return largest_difference(in_force, stored)

    def _ask(self, model: Any) -> tuple[float, ...]:
        return probed(model, self.probe, self.layout)


def probed(model: Any, probe: EncodedPrompt, layout: Layout) -> tuple[float, ...]:
    """The log-likelihoods of a probe's options."""
    return likelihood.score(model, Batch((0,), (probe,)), layout)[0].log_likelihoods


@contextlib.contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` that gets a manifest and takes its place when the block ends without an error.

    Raises:
        RunError: it cannot be written.
    """
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = unfinished_prefix(folder.parent, f".{folder.name}.")
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix))
    try:
        yield unfinished
        with writing(folder):
            write_manifest(unfinished)
            unfinished.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def refuse_existing(folder: Path, *, overwrite: bool) -> None:
    """Refuses to write where something is.

    Raises:
        RunError: the folder is not empty, and not to be replaced.
    """
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise RunError(f"'{folder}' exists and is not empty; choose another folder or allow overwriting.")


def size_in_words(folder: Path) -> str:
    """How large the weights of a checkpoint are, and in which number format."""
    config = read_json(folder / "config.json")
    return f"{config.get('dtype') or config.get('torch_dtype')}, {weights_in_words(folder)}"


def weights_in_words(folder: Path) -> str:
    """How large the weights in a folder are."""
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"


@contextlib.contextmanager
def complaints(folder: Path) -> Iterator[None]:
    """Turns what the libraries below say of a disk that refuses into our own words."""
    try:
        yield
    except (RunError, OSError):
        raise
    except SafetensorError as error:
        reason = " ".join(str(error).split())
        raise RunError(f"'{folder}' could not be written: {reason} Is the disk full?") from error
    except Exception as error:  # tokenizers raises nothing more special
        if "os error" not in str(error):
            raise
        raise RunError(f"'{folder}' could not be written: {error}. Is the disk full?") from error


def _write(model: Any, folder: Path, stored: torch.dtype) -> None:
    """Weights in a number format, and the configuration that says so."""
    if stored == model.dtype:
        model.save_pretrained(folder)
        return
    made: dict[tuple[int, torch.Size], Tensor] = {}  # weights that are tied stay one

    def converted(value: Tensor) -> Tensor:
        if not value.is_floating_point():
            return value
        key = (value.data_ptr(), value.shape)
        if key not in made:
            made[key] = value.to(stored)
        return made[key]

    model.save_pretrained(folder, state_dict={name: converted(value) for name, value in model.state_dict().items()})
    config = read_json(folder / "config.json")
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name in ("dtype", "torch_dtype"):
            if part.get(name) is not None:
                part[name] = str(stored).removeprefix("torch.")
    write_json(folder / "config.json", config)


def _changed(model: Any, reloaded: Any, stored: torch.dtype) -> str | None:
    """The first weight that a reloaded model has otherwise than rounded to its number format; None where all agree."""
    there = reloaded.state_dict()
    for name, value in model.state_dict().items():
        rounded = value.to(stored) if value.is_floating_point() else value
        if name not in there or not torch.equal(rounded.to(there[name].dtype).to(there[name].device), there[name]):
            return str(name)
    return None


def largest_difference(here: tuple[float, ...], there: tuple[float, ...]) -> float:
    """How far two models' log-likelihoods of the same options are apart at most."""
    return max(abs(left - right) for left, right in zip(here, there, strict=True))
