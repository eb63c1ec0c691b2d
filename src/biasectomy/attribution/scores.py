"""Scores of all neurons by an attribution, and the ranking they make."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasectomy.attribution.base import Attribution
from biasectomy.errors import ScoreError
from biasectomy.files import write_atomically
from biasectomy.narration import warn

if TYPE_CHECKING:  # slow to import; every file of this folder is read for `--help`
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.neurons.neuron_set import NeuronSet
    from biasectomy.tasks.base import Task

NEGLIGIBLE = 1e-15  # where answers depend on neurons at all, the best scores are many orders of magnitude larger


@dataclass(frozen=True)
class Scores:
    """A score for every neuron of a model; float64, by module [units], those that are no neurons among them."""

    neurons: "Neurons"
    by_module: "dict[str, Tensor]"
    model: dict[str, Any] = field(default_factory=dict)
    found_with: dict[str, Any] = field(default_factory=dict)

    def top(self, count: int, *, lowest: bool = False) -> "NeuronSet":
        """The neurons with the highest scores over all modules and layers; ties go to the earlier module and unit.

        Args:
            lowest: those with the lowest scores instead, the lowest first.
        """
        import numpy as np

        from biasectomy.neurons.neuron_set import Neuron, NeuronSet

        groups = list(self.neurons)
        units = [np.flatnonzero(group.mask.numpy()) for group in groups]
        scores = np.concatenate(
            [self.by_module[group.module].numpy()[own] for group, own in zip(groups, units, strict=True)]
        )
        starts = np.cumsum([0, *map(len, units)])
        best = np.argsort(scores if lowest else -scores, kind="stable")[:count]
        chosen = []
        for index in best:
            position = int(np.searchsorted(starts, index, side="right")) - 1
            unit = int(units[position][index - starts[position]])
            chosen.append(Neuron(groups[position].module, unit, float(scores[index])))
        return NeuronSet(tuple(chosen), self.neurons.definition, self.model, self.found_with)

    def save(self, path: Path) -> None:
        """Writes all scores as safetensors, atomically."""
        from safetensors.torch import save

        write_atomically(path, save(self.by_module))


def doubtful(by_module: "dict[str, Tensor]") -> str | None:
    """What speaks against ranking neurons by these scores; None where nothing does."""
    import torch

    scores = torch.cat(list(by_module.values())) if by_module else torch.zeros(0)
    if scores.numel() < 2:
        return None
    lowest, highest = float(scores.min()), float(scores.max())
    if lowest == highest:
        return f"All {scores.numel():,} neurons have the same score, {highest:.3g}."
    if max(abs(lowest), abs(highest)) < NEGLIGIBLE:
        return f"No neuron has a score farther from 0 than {max(abs(lowest), abs(highest)):.1g}: none seems to matter."
    return None


def attribute(
    model: "LanguageModel",
    development: "Task",
    attribution: Attribution,
    *,
    definition: str = "linear-output",
    session: "Session | None" = None,
    name: str = "",
) -> Scores:
    """Scores every neuron of a model.

    Args:
        development: the items that may be used; all of them.
        attribution: made by `ATTRIBUTIONS[name](settings)`.
        definition: what a neuron is, one of `DEFINITIONS`.
        session: seed, processes, and where scores are kept; None keeps nothing.
        name: the attribution's, for the record.

    Raises:
        UnknownNameError: there is no such definition.
        SettingsError: the attribution cannot work on these items.
        ScoreError: a log-likelihood or a score is not finite.
        ModelError: the memory is too small even for one item.
    """
    import torch

    from biasectomy.measuring.session import Session

    session = session or Session()
    neurons = model.neurons(definition)
    attribution.check(development)
    by_module = attribution.scores(model, neurons, development, session)
    for module, values in by_module.items():
        if not bool(torch.isfinite(values).all()):
            raise ScoreError(
                f"The scores of '{module}' are not finite; the model's gradients overflow. Try --dtype float32."
            )
    if (doubt := doubtful(by_module)) is not None:
        warn(f"{doubt} Their order may say nothing: judge what follows by the comparison with random neurons.")
    settings: Any = getattr(attribution, "settings", None)
    found_with = {
        "attribution": name or type(attribution).__name__,
        **(settings.model_dump(mode="json") if settings is not None else {}),
        "definition": definition,
        "task": development.name,
        "instructions": list(development.instructions),
        "prompt": model.prompt_format.name,
        "whole_texts": model.prompt_format.conditioning,
        "seed": session.seed,
        **attribution.record(development, session.seed),
    }
    return Scores(neurons, by_module, model.description(), found_with)
