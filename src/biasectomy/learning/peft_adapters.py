"""Adapters of `peft` as something that can be learned and then answers, out of weights that are put back afterwards.

While it learns, an adapter stands beside the weights; while it answers, it is merged into them, as it is in the
checkpoint that is saved.
"""

import contextlib
import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.errors import SettingsError
from biasectomy.models.adapters import as_before
from biasectomy.models.language_model import LanguageModel

MakeConfig = Callable[[list[str], str], Any]  # of target modules and a task type: a configuration of peft


def down_projections(model: LanguageModel, title: str, *, transposed: bool) -> list[str]:
    """Paths of the modules that lead out of the feed-forward blocks, which adapters are put on.

    Args:
        model: whose blocks.
        title: of the method, for messages.
        transposed: whether the adapter takes matrices that are kept transposed.

    Raises:
        SettingsError: there are fused experts among them, or transposed matrices that the adapter does not take.
    """
    groups = list(model.neurons("ffn-hidden"))
    if any(group.expert is not None for group in groups):
        raise SettingsError(f"{title} needs a matrix of its own for each expert, and this model's experts are fused.")
    paths = [group.module for group in groups]
    if not transposed and any(not isinstance(model.model.get_submodule(path), nn.Linear) for path in paths):
        raise SettingsError(f"{title} takes no transposed matrices (Conv1D), as this model has; --method lora does.")
    return paths


def configured(make: MakeConfig, model: LanguageModel, title: str, *, transposed: bool) -> Any:
    """The configuration of an adapter on a model's down projections; see `down_projections`.

    Raises:
        SettingsError: `peft` is not installed, or cannot put the adapter on these.
    """
    try:
        import peft  # noqa: F401 - only to see that it is there
    except ImportError:
        raise SettingsError(f"{title} needs the package peft: pip install 'biasectomy[peft]'.") from None
    kind = "SEQ_2_SEQ_LM" if model.model.config.is_encoder_decoder else "CAUSAL_LM"
    return make(down_projections(model, title, transposed=transposed), kind)


def low_rank(rank: int) -> MakeConfig:
    """The configuration of LoRA (Hu et al. 2022) of a rank, scaled by 2."""

    def make(targets: list[str], task_type: str) -> Any:
        from peft import LoraConfig

        return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type=task_type)

    return make


@contextlib.contextmanager
def attached(model: LanguageModel, config: Any, tensors: dict[str, Tensor] | None = None) -> Iterator[Any]:
    """A block in which an adapter stands beside the weights, enabled; afterwards the modules are themselves again.

    Args:
        model: of the adapter.
        config: of the adapter.
        tensors: what it has learned; None for a fresh one.
    """
    from peft import get_peft_model, set_peft_model_state_dict

    with as_before(model.model, config.target_modules):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what later versions of the libraries below will change
            # peft writes shorter names of many modules into the configuration it is given.
            adapted = get_peft_model(model.model, copy.deepcopy(config))
            if tensors is not None:
                set_peft_model_state_dict(adapted, tensors)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse invariant checks", UserWarning)  # of SHiRA's own computation
            yield adapted


@contextlib.contextmanager
def learnable(model: LanguageModel, config: Any, seed: int) -> Iterator[tuple[Any, Sequence[Tensor]]]:
    """A block in which a fresh adapter stands beside the weights, disabled until `enabled`, and its parameters.

    It begins as a seed says.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with attached(model, config) as adapted:
            parameters = trained(adapted)  # what is disabled does not say what it would learn
            adapted.base_model.disable_adapter_layers()
            yield adapted, parameters


@contextlib.contextmanager
def enabled(adapted: Any) -> Iterator[None]:
    """A block in which an adapter that is disabled otherwise is in force."""
    adapted.base_model.enable_adapter_layers()
    try:
        yield
    finally:
        adapted.base_model.disable_adapter_layers()


@dataclass(frozen=True)
class Adapter:
    """What an adapter has learned, and how `peft` makes one of it."""

    config: Any
    tensors: dict[str, Tensor]

    def __len__(self) -> int:
        """How many numbers were learned; where they stand, which SHiRA keeps too, is not counted."""
        return sum(one.numel() for one in self.tensors.values() if one.is_floating_point())

    @property
    def key(self) -> list[str]:
        """What answers under it are kept by."""
        described = json.dumps(self.config.to_dict(), sort_keys=True, default=_in_order)
        digest = hashlib.sha256(described.encode())
        for name, values in sorted(self.tensors.items()):
            digest.update(name.encode() + values.cpu().contiguous().numpy().tobytes())
        return ["peft", digest.hexdigest()]

    @contextlib.contextmanager
    def merged(self, model: LanguageModel) -> Iterator[None]:
        """A block in which the adapter is in the weights; afterwards the old weights are back, bit for bit."""
        weights = [model.model.get_submodule(path).weight for path in self.config.target_modules]
        before = [weight.detach().clone() for weight in weights]
        try:
            with attached(model, self.config, self.tensors) as adapted, torch.no_grad():
                adapted.merge_adapter()
            torch.autograd.graph.increment_version(weights)  # peft goes behind torch's back
            yield
        finally:
            with torch.no_grad():
                for weight, values in zip(weights, before, strict=True):
                    weight.copy_(values)

    def save(self, model: LanguageModel, folder: Path) -> None:
        """Writes the adapter as `PeftModel.from_pretrained` loads it."""
        with attached(model, self.config, self.tensors) as adapted:
            adapted.save_pretrained(folder)


def _in_order(value: Any) -> Any:
    """Sets in an order that is the same in every process; whatever else JSON has nothing for, as it is written."""
    return sorted(value) if isinstance(value, set) else str(value)


def learned_tensors(adapted: Any) -> dict[str, Tensor]:
    """A copy of what an attached adapter has learned."""
    from peft import get_peft_model_state_dict

    return {name: value.detach().clone() for name, value in get_peft_model_state_dict(adapted).items()}


def trained(adapted: Any) -> Sequence[Tensor]:
    """The parameters of an attached adapter that are learned."""
    return [parameter for parameter in adapted.parameters() if parameter.requires_grad]
