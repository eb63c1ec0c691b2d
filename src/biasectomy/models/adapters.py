"""A neuron set as an adapter of `peft`: factors beside a model whose weights stay as they are.

Adapters of the kind (IA)^3 (Liu et al. 2022, arXiv 2205.05638, section 3.3) multiply what comes out of a linear map,
or what goes into a feed-forward one, by a vector: this is what a neuron set does to a module, with 1 for every unit
that it does not name. The files are written without `peft`; where it is installed, it is asked what it makes of them.

    adapter_model.safetensors   `base_model.model.MODULE.ia3_l` for each module with a factor other than 1: float32
                                [1, inputs] where inputs are scaled, [outputs, 1] where outputs are
    adapter_config.json         an `IA3Config`; modules by their whole paths, for `peft` goes by how paths end, and
                                `c_proj` is in GPT-2's attention too
    biasectomy.json             checksums of both
"""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from biasectomy.errors import NeuronSetError, RunError
from biasectomy.files import read_json, write_json, writing
from biasectomy.models.saving import (
    PROBE,
    appearing,
    complaints,
    largest_difference,
    probed,
    refuse_existing,
    weights_in_words,
)
from biasectomy.neurons.discovery import Neurons
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.reading.memory import is_sharded

if TYPE_CHECKING:
    from biasectomy.models.language_model import LanguageModel

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
TOLERANCE = 1e-3  # of a log-likelihood in float32: activations are scaled where an edit scales weights


def save_adapter(
    model: "LanguageModel", folder: str | Path, neuron_set: NeuronSet, *, overwrite: bool = False
) -> float | None:
    """Writes a set as an (IA)^3 adapter, which `PeftModel.from_pretrained(model, folder)` loads, and reads it back.

    The folder appears only when it is whole. Returns the largest difference of a probe's log-likelihoods between the
    model under the adapter, as `peft` loads it, and under the edit; None where that is not tried: without `peft`, or
    with a model that is quantised or spread over devices. The model is as before afterwards.

    Raises:
        NeuronSetError: the set does not fit the model, has factors of fused experts, or no factor other than 1.
        RunError: the folder exists, cannot be written, or the adapter is not what was to be written.
    """
    folder = Path(folder)
    refuse_existing(folder, overwrite=overwrite)
    vectors = adapter_vectors(model.model, neuron_set, model.neurons(neuron_set.definition))
    tensors = {f"base_model.model.{module}.ia3_l": vector for module, vector in vectors.items()}
    config = _config(model, vectors)
    with appearing(folder) as unfinished:
        with writing(folder), complaints(folder):
            save_file(tensors, unfinished / WEIGHTS, {"format": "pt"})
            write_json(unfinished / CONFIG, config)
            there = load_file(unfinished / WEIGHTS)
        same = there.keys() == tensors.keys() and all(torch.equal(there[name], tensors[name]) for name in tensors)
        if not same or read_json(unfinished / CONFIG) != config:
            raise RunError(f"The adapter for '{folder}' is not what was to be written; it was not kept.")
        difference = _tried(model, unfinished, neuron_set, vectors)
        # Written so that a NaN is refused too; in half precision both ways have an error of their own.
        limit = TOLERANCE if model.model.dtype == torch.float32 else float("inf")
        if difference is not None and not difference <= limit:
            raise RunError(
                f"The adapter for '{folder}' differs from the edited model: as peft loads it, its log-likelihoods are "
                f"{difference:.2g} off; it was not kept. --as checkpoint writes the factors into the weights."
            )
    return difference


def told_adapter(folder: Path, difference: float | None) -> str:
    """What a user is told of an adapter that was written, and of what `save_adapter` found."""
    tried = f"as peft loads it, log-likelihoods differ from the edit's by at most {difference or 0:.1g}"
    untried = "not tried: there is no peft, or the model is quantised or spread over devices"
    modules = len(read_json(folder / CONFIG)["target_modules"])
    size = weights_in_words(folder)
    return f"Wrote the adapter {folder} ({modules} modules, {size}); {untried if difference is None else tried}"


def adapter_vectors(model: nn.Module, neuron_set: NeuronSet, known: Neurons | None = None) -> dict[str, Tensor]:
    """What each module with a factor other than 1 is multiplied by: float32 [1, inputs], or [outputs, 1].

    Args:
        known: the model's neurons under the set's definition, where they have been discovered before.

    Raises:
        NeuronSetError: the set does not fit the model, has factors of fused experts, or no factor other than 1.
    """
    known = neuron_set.check(model, known)
    changed = NeuronSet(tuple(one for one in neuron_set if one.factor != 1), neuron_set.definition)
    vectors: dict[str, Tensor] = {}
    for module, neurons in changed.by_module().items():
        group = known.group(module)
        assert group is not None  # or the check had refused the set
        if group.expert is not None:
            raise NeuronSetError(
                f"This neuron set has factors of fused experts, such as '{module}', which an (IA)^3 adapter cannot "
                "hold; --as checkpoint writes them into the weights ('biasectomy apply' does so for a saved set)."
            )
        vector = torch.ones(group.units)
        vector[[one.unit for one in neurons]] = torch.tensor([one.factor for one in neurons])
        vectors[module] = vector[None] if group.side == "input" else vector[:, None]
    if not vectors:
        raise NeuronSetError(
            "No factor of this neuron set differs from 1, so an adapter would hold nothing; --as checkpoint writes the "
            "model as it is."
        )
    return vectors


def _config(model: "LanguageModel", vectors: dict[str, Tensor]) -> dict[str, Any]:
    """The fields of `peft.IA3Config` that say how the vectors are to be read."""
    source = model.source
    base = str(Path(source.location) / source.gguf_file) if source and source.gguf_file else None
    maps = [model.model.get_submodule(module) for module in vectors]
    return {
        "auto_mapping": None,
        "base_model_name_or_path": base or (source.location if source else model.name),
        "exclude_modules": None,
        "fan_in_fan_out": any(not isinstance(one, nn.Linear) for one in maps),  # a Conv1D holds its matrix transposed
        "feedforward_modules": [module for module, vector in vectors.items() if len(vector) == 1],
        "inference_mode": True,
        "init_ia3_weights": True,
        "modules_to_save": None,
        "peft_type": "IA3",
        "revision": None,
        "target_modules": list(vectors),
        "task_type": "SEQ_2_SEQ_LM" if model.model.config.is_encoder_decoder else "CAUSAL_LM",
    }


def _tried(model: "LanguageModel", folder: Path, neuron_set: NeuronSet, vectors: dict[str, Tensor]) -> float | None:
    """See `save_adapter`."""
    quantised = model.weights is not None and model.weights.quantization is not None
    if quantised or is_sharded(model.model) or getattr(model.model, "hf_device_map", None):
        return None
    try:
        from peft import PeftModel
    except ImportError:
        return None
    probe = model.prompt_format.encode(PROBE)
    with model.edited(neuron_set):
        in_force = probed(model.model, probe, model.layout)
    with as_before(model.model, vectors), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of what transformers will change under peft
        PeftModel.from_pretrained(model.model, folder, torch_device=str(model.model.device))
        adapted = probed(model.model, probe, model.layout)
    return largest_difference(in_force, adapted)


@contextlib.contextmanager
def as_before(model: Any, modules: Iterable[str]) -> Iterator[None]:
    """Afterwards the modules that `peft` wraps are themselves again, wherever it got to."""
    own = {module: model.get_submodule(module) for module in modules}
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        for module, before in own.items():
            model.set_submodule(module, before)
        vars(model).pop("peft_config", None)
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)
