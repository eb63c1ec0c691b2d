"""Random neurons to compare with: what does an edit of this size and place do by itself?"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from biasectomy.errors import SettingsError
from biasectomy.methods.base import METHODS, Cost, Profile
from biasectomy.options import Options

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.neurons.neuron_set import NeuronSet
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task

NAME = "random-neurons"


@METHODS.register(NAME)
class RandomNeurons:
    """As many random neurons as another method edits, of the same kinds and layers and with the same factors."""

    title: ClassVar[str] = "Random neurons"
    profile: ClassVar[Profile] = Profile(
        "weights", "nothing to fit; as many answers as draws", ("weights",), checkpoint=True, sharded=True
    )

    class Settings(Options):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"draws": 3}, "full": {"draws": 10}}

        draws: int = Field(5, ge=0, le=1000, description="Draws of random neurons to compare with; 0: none.")
        like: str | None = Field(
            None, description="Method whose neurons are matched. [default: the last one before it that edits neurons]"
        )
        count: int = Field(100, ge=1, description="How many neurons, where there is no method to match.")

    def __init__(self, settings: "RandomNeurons.Settings") -> None:
        self.settings = settings

    @property
    def draws(self) -> int:
        """How many times as many questions are answered afterwards, for the forecast."""
        return int(self.settings.draws)

    def expected_questions(self, development: "Task") -> float:
        """None: drawing asks nothing.

        Raises:
            SettingsError: nothing is to be drawn.
        """
        if not self.settings.draws:
            raise SettingsError(f"--{NAME}.draws 0 leaves nothing to measure; 1 or more would be right.")
        return 0

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> "FittedRandomNeurons":
        """Draws the neurons.

        Raises:
            SettingsError: the method to be matched was not fitted before, or edits no neurons.
        """
        sets = {name: one.neuron_set for name, one in session.fitted.items() if one.neuron_set is not None}
        wanted = self.settings.like
        if wanted is not None and wanted not in sets:
            raise SettingsError(f"--{NAME}.like names '{wanted}', which edits no neurons or is not among those before.")
        like = sets[wanted] if wanted is not None else next(reversed(sets.values()), None)
        draws = range(self.settings.draws)
        if like is None:
            neurons = model.neurons()
            drawn = [any_neurons(neurons, self.settings.count, draw=draw, seed=session.seed) for draw in draws]
        else:
            neurons = model.neurons(like.definition)
            drawn = [random_neurons(neurons, like, draw=draw, seed=session.seed) for draw in draws]
        return FittedRandomNeurons(tuple(drawn))


@dataclass(frozen=True)
class FittedRandomNeurons:
    """Neuron sets that were drawn; one is one draw."""

    drawn: "tuple[NeuronSet, ...]"
    record: dict[str, Any] = field(default_factory=dict)
    neuron_set = None  # none of them is the method's own

    @property
    def draws(self) -> int:
        """How many were drawn."""
        return len(self.drawn)

    @property
    def cost(self) -> Cost:
        """As many factors as each has neurons."""
        return Cost(numbers=len(self.drawn[0]) if self.drawn else 0)

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        with model.edited(self.drawn[draw]):
            yield session.answerer(model)

    def save(self, model: "LanguageModel", folder: Path, dtype: str = "auto") -> float | None:
        """Writes the checkpoint of the first draw."""
        return model.save(folder, self.drawn[0], dtype=dtype)


def random_neurons(neurons: "Neurons", like: "NeuronSet", *, draw: int = 0, seed: int = 0) -> "NeuronSet":
    """As many random neurons as in `like`, of the same modules (hence kinds and layers), with the same factors.

    Units of `like` itself are not drawn, unless a module has too few others.
    """
    import numpy as np

    generator = np.random.default_rng([seed, draw])
    drawn = {}
    for module, chosen in like.by_module().items():
        group = neurons.group(module)
        units = np.flatnonzero(group.mask.numpy()) if group is not None else np.arange(0)
        others = np.setdiff1d(units, [neuron.unit for neuron in chosen])
        pool = others if len(others) >= len(chosen) else units
        drawn[module] = iter(generator.choice(pool, len(chosen), replace=False).tolist())
    replaced = (
        dataclasses.replace(neuron, unit=int(next(drawn[neuron.module])), score=float("nan")) for neuron in like
    )
    return dataclasses.replace(like, neurons=tuple(replaced), found_with={"control": draw, "seed": seed})


def any_neurons(neurons: "Neurons", count: int, *, draw: int = 0, seed: int = 0) -> "NeuronSet":
    """So many random neurons out of all, to be removed."""
    import numpy as np

    from biasectomy.neurons.neuron_set import Neuron, NeuronSet

    groups = list(neurons)
    ends = np.cumsum([len(group) for group in groups])
    chosen = np.random.default_rng([seed, draw]).choice(len(neurons), min(count, len(neurons)), replace=False)
    found = []
    for index in chosen.tolist():
        place = int(np.searchsorted(ends, index, side="right"))
        unit = int(np.flatnonzero(groups[place].mask.numpy())[index - int(ends[place])])
        found.append(Neuron(groups[place].module, unit, float("nan")))
    return NeuronSet(tuple(found), neurons.definition, found_with={"control": draw, "seed": seed})
