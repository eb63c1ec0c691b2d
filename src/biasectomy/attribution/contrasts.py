"""What attributions share that compare the biased answer of an item with another one."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.attribution.base import ATTRIBUTED
from biasectomy.errors import SettingsError
from biasectomy.options import Options
from biasectomy.tasks.ambiguity import POLARITY
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.opposites import other_side, right_other

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.attribution.products.rule import Rule
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.reading.prompts import EncodedPrompt


Against = Literal["right", "other"]
AGAINST = "What the biased answer is compared with: the right answer, or the other person (or text)."


class ContrastSettings(Options):
    """Options of every attribution that compares two answers."""

    instances: int = Field(40, ge=1, description="Development items that are read, at most.")


class SlopeSettings(ContrastSettings):
    """Options of those that read slopes of the two answers."""

    of: Literal["log-probability", "probability"] = Field(
        "log-probability", description="Slopes of log P, whose difference is that of the log odds, or of P."
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """An item whose biased answer is compared with another option, and what that counts."""

    item: Item
    biased: int
    other: int
    weight: float = 1.0


def against(kind: Against) -> Callable[[Item], Compared | None]:
    """How items are compared; None for an item that cannot be: its biased answer is not defined, or is right."""
    return _with_right if kind == "right" else with_other


def _with_right(item: Item) -> Compared | None:
    return _compared(item, right_other(item))


def with_other(item: Item) -> Compared | None:
    """With the right answer where that is another person or text than the biased one, else with the only such one."""
    return _compared(item, other_side(item))


def _compared(item: Item, other: int | None) -> Compared | None:
    return Compared(item, item.target, other) if item.target is not None and other is not None else None


def drawn(
    name: str,
    development: Task,
    compare: Callable[[Item], Compared | None],
    count: int,
    seed: int,
    needed: str = "a biased answer to compare",
) -> list[Compared]:
    """At most so many items that can be compared, spread evenly over templates and labels.

    Raises:
        SettingsError: there are none.
    """
    found = [one for item in development.items if (one := compare(item)) is not None]
    if not found:
        raise SettingsError(
            f"The attribution '{name}' compares the biased answer with another one, and no item of {development.name} "
            f"has {needed}."
        )
    some = replace(development, items=tuple(one.item for one in found)).limited(count, seed=seed)
    names = {item.identifier for item in some.items}
    return [one for one in found if one.item.identifier in names]


def balanced(compared: Sequence[Compared]) -> list[Compared]:
    """The same with weights under which both polarities count alike; their mean is 1."""
    numbers = Counter(one.item.labels.get(POLARITY) for one in compared)
    return [
        replace(one, weight=len(compared) / (len(numbers) * numbers[one.item.labels.get(POLARITY)])) for one in compared
    ]


class Contrasting:
    """What they have in common: which items are read, and how."""

    name: ClassVar[str]
    gradients: ClassVar[bool] = True  # whether a rule is given products; else activations
    passes: int = ATTRIBUTED  # questions' time that an item takes
    settings: Any

    def check(self, development: "Task") -> None:
        """Refuses a task without biased answers.

        Raises:
            SettingsError: no item can be compared.
        """
        self.compared(development, 0)

    def expected_questions(self, development: "Task") -> float:
        """About how many questions' time the scores take."""
        return float(self.passes * len(self.compared(development, 0)) * len(development.instructions))

    def record(self, development: "Task", seed: int) -> dict[str, Any]:
        """The items that were read."""
        return {"drawn": [one.item.identifier for one in self.compared(development, seed)]}

    def compared(self, development: "Task", seed: int) -> "list[Compared]":
        """The items that are read, with the options that are compared."""
        return drawn(self.name, development, against(self.settings.against), self.settings.instances, seed)

    def adapted(self, model: "LanguageModel", encoded: "EncodedPrompt") -> "EncodedPrompt":
        """What is read in place of an item's tokens."""
        return encoded

    def means(
        self,
        model: "LanguageModel",
        neurons: "Neurons",
        development: Task,
        session: "Session",
        make_rule: "Callable[[], Rule]",
        kept: str = "attribution",
    ) -> "dict[str, Tensor]":
        """Mean over items and instructions of what a rule gives, by module; kept in a folder of the session's.

        Raises:
            ScoreError: a log-likelihood is not finite; names the item.
            ModelError: the memory is too small even for one item.
        """
        from biasectomy.attribution.products.engine import Instance
        from biasectomy.attribution.products.trials import Trials

        compared = self.compared(development, session.seed)
        by_name = {one.item.identifier: one for one in compared}

        def instance(item: Item, encoded: "EncodedPrompt") -> "Instance":
            one = by_name[item.identifier]
            return Instance(item.identifier, self.adapted(model, encoded), one.other, one.biased, one.weight)

        task = replace(development, items=tuple(one.item for one in compared))
        trials = Trials(model, neurons, task, session, make_rule, instance, self.gradients, kept)
        return trials.scores([list(range(len(compared)))])
