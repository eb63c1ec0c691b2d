"""The library's training of factors as a contestant: some steps, over and over."""

from collections.abc import Sequence

import torch
from torch import Tensor

from biasectomy.learning.factors import Factors
from biasectomy.learning.path import path_to
from biasectomy.learning.pruned import PrunedFactors
from biasectomy.learning.setting_up import training_of
from biasectomy.learning.settings import LAST_RATE, TrainingSettings
from biasectomy.learning.training import Progress
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import LanguageModel
from biasectomy.tasks import Task

RATE = 0.02
DEFINITION = "ffn-hidden"


class Learner:
    """Factors of all hidden units of the feed-forward blocks, learned from a task as `mitigate` learns them."""

    def __init__(self, model: LanguageModel, task: Task, items: int, seed: int = 0) -> None:
        self.model, self.session = model, Session(seed=seed)
        self.factors = Factors(model.model, model.neurons(DEFINITION))
        settings = TrainingSettings(items_a_step=items)
        change, parameters = self.factors.in_force, [self.factors.values]
        self.training = training_of(settings, model, task, self.session, change, parameters)

    def keep_above(self, share: float, count: int) -> int:
        """Holds all factors at 1 but those of so many neurons, or fewer, of the layers above a share of them."""
        neurons = list(self.factors.neurons)
        first = share * len({group.layer for group in neurons})
        above = torch.cat([torch.full((group.units,), group.layer >= first) for group in neurons])
        places = above.nonzero().flatten()
        drawn = torch.randperm(len(places), generator=torch.Generator().manual_seed(0))
        chosen = torch.zeros_like(above)
        chosen[places[drawn[:count]]] = True
        self.factors.keep(chosen.to(self.factors.device))
        return len(self.factors)

    def gradient(self, number: int, drift_weight: float) -> Tensor:
        """The gradient of a step's loss, [neurons]; nothing moves."""
        weight, self.training.drift_weight = self.training.drift_weight, drift_weight
        self.training._gradients(number)
        self.training.drift_weight = weight
        (found,) = taken([self.factors.values])
        return found

    def remember(self) -> None:
        """Computes what the original says of all texts that are learned from, as it is known after some training."""
        self.training.neutral.mean_drift()

    def run(self, steps: int) -> Sequence[Progress]:
        """The first steps. Of one text what the original says is computed anew: in training it is of each, once."""
        self.training.neutral._kept.pop(0, None)
        return [self.training.step(number, RATE, self.factors.free) for number in range(steps)]

    def pruned(self, budget: int, steps: int) -> tuple[Tensor, Progress]:
        """So many steps with all factors, as many with fewer and fewer; which of them are left, and the last loss."""
        path = path_to(
            [budget], len(self.factors), first=steps, each=steps, held=0.5, rate=RATE, last_rate=LAST_RATE * RATE
        )
        *_, (_, values, shown) = PrunedFactors(self.training, self.factors, path, "change", self.session).candidates()
        return values != 1, shown


def taken(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of some parameters, which lose them."""
    found = []
    for parameter in parameters:
        assert parameter.grad is not None
        found.append(parameter.grad)
        parameter.grad = None
    return found
