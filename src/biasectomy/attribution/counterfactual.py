"""Counterfactual attribution: what a neuron adds to an answer because of who it is about.

CRISPR asks which neurons raise a wrong answer. Where a text does not say who it was, every neuron that makes the model
name somebody at all raises one, whoever it is about, and taking such neurons out teaches abstention. Here an item x
is compared with its twin x', in which the two people have changed places (`Task.twin`): everybody does what the other
did, and the stereotype points to the other. Let b and c be the places, in story and options, of the person whom the
stereotype names in x and of the other one, and let

    D_i(x)  =  sum over tokens of  h_i * d[log P(b) - log P(c)] / dh_i

be the slope of the log odds of the two people in neuron i's factor (see `gradient`). In the twin the same places belong
to the others. The score is half the difference of the two, averaged over items and instructions, and integrated on the
way from the model without these neurons to the model as it is (see `integrated_gradients`):

    score of i  =  mean of  1/2 [ D_i(x) - D_i(x') ],  at m = a * (1, ..., 1),  integrated over a from 0 to 1

All scores add up to how much more the model leans to people because the stereotype names them than it does without
these neurons. What the difference cancels:

- naming somebody at all, against "unknown": both answers are people;
- the place in the text, in the options and in the story, and what the text says of it, evidence included: that is the
  same in x and x', so D_i is, and the difference is 0;
- how likely or long the words for a person are. These go with the person, and a question of the other polarity has the
  other person for its target: items are drawn as stories, with both polarities where they are there, and both
  polarities count alike.

What is left is the interaction of who somebody is with what is asked, which is what BBQ's bias scores count. As c is
the target of x', -D_i(x') is that slope for the person whom the stereotype names in x': the score is the mean of the
two items' slopes of target against other. Where an item is a pair of texts about two groups, each is the other's
twin, and one reading is enough (CrowS-Pairs, StereoSet). Where the model is sure of its answer, slopes at the model
itself say little of what removing a neuron does, hence the integral.

The definition is this project's own. Its parts are known: swapped groups (Zhao et al. 2018; Maudslay et al. 2019), and
effects of units on a difference of answers between a text and its counterfactual (Vig et al. 2020, "Investigating
Gender Bias in Language Models Using Causal Mediation Analysis"), here by gradients for all neurons at once.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from biasectomy.attribution.base import ATTRIBUTIONS
from biasectomy.attribution.contrasts import Compared, balanced, drawn, with_other
from biasectomy.attribution.integrated_gradients import IntegratedGradients, PathSettings
from biasectomy.errors import SettingsError

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.tasks.base import Item, Task

NAME = "counterfactual"
STORY = "story"  # in the `extra` of items that are drawn: those of one name tell one story


@ATTRIBUTIONS.register(NAME)
class Counterfactual(IntegratedGradients):
    """What a neuron adds to an answer because of who it is about: items against themselves with the groups swapped."""

    name: ClassVar[str] = NAME

    class Settings(PathSettings):
        """Options of the attribution."""

        steps: int = Field(4, ge=1, le=256, description="Points between no neuron and all at which slopes are read.")

    def record(self, development: "Task", seed: int) -> dict[str, Any]:
        """The items that were read, and how many of the development items have a twin."""
        twins = sum(with_twin(development, item) is not None for item in development.items)
        return super().record(development, seed) | {"with_twin": twins, "of_items": len(development.items)}

    def compared(self, development: "Task", seed: int) -> list[Compared]:
        """Drawn items, each with its twin behind it where it is not its own.

        Raises:
            SettingsError: the task has no rule for twins, or no item has one.
        """
        if development.twin is None:
            raise SettingsError(
                f"The attribution '{NAME}' compares items with themselves with the groups swapped, and "
                f"{development.name} has no rule for that; bbq, organism, crows_pairs and stereoset have."
            )
        chosen = drawn(
            NAME,
            as_stories(development),
            lambda item: with_other(item) if with_twin(development, item) is not None else None,
            self.settings.instances,
            seed,
            "a twin with a biased answer",
        )
        read: list[Compared] = []
        for one in chosen:
            twin = development.twin(one.item)
            of_twin = with_other(twin) if twin is not None and twin is not one.item else None
            read += [one] if of_twin is None else [one, of_twin]
        return balanced(read)


def with_twin(development: "Task", item: "Item") -> "Item | None":
    """The twin of an item that can be compared; None where there is none."""
    if development.twin is None or with_other(item) is None:
        return None
    twin = development.twin(item)
    return twin if twin is not None and with_other(twin) is not None else None


def as_stories(development: "Task") -> "Task":
    """The task with items of one story to be drawn together: one cluster and context, and the same people."""
    if development.together:
        return development  # what belongs together is said already

    def named(item: "Item") -> "Item":
        people = sorted(option for place, option in enumerate(item.options) if place != item.unknown)
        return replace(item, extra={**item.extra, STORY: "/".join((item.cluster, item.context, *people))})

    return replace(development, items=tuple(named(item) for item in development.items), together=STORY)
