"""What everything that is trained on development items has in common: the same items, drift term and optimizer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.options import Options

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.tasks.base import Task

QUESTIONS_A_LEARNED_ITEM = 3.0  # a forward pass, a backward pass, and a share of a neutral text's
VALIDATION_WORDINGS = 2  # instructions under which items are asked that only choose
VALIDATION_TEMPLATES = 5  # of fewer, even a gain on every one of them says nothing at a level of 95 %: 0.5 ** 5 < 0.05
DRIFT = 0.05  # nats: how far from the original a method may go where --drift says nothing else
JUDGED_BY = 12  # neutral texts that tell how far a candidate has gone
LAST_RATE = 0.2  # of the first: where rates fall to


def validation_share(development: "Task", share: float) -> float:
    """Of the templates, those that only choose: more than asked for where they would be too few, up to half."""
    templates = len({item.cluster for item in development.items})
    return max(share, min(0.5, VALIDATION_TEMPLATES / max(1, templates)))


def validated_questions(development: "Task", share: float, items: int) -> int:
    """About how many questions one candidate is asked that a share of the templates chooses, by at most so many items.

    Args:
        development: all items.
        share: of the templates that is asked for.
        items: at most so many choose.
    """
    chosen_by = min(items, round(validation_share(development, share) * len(development.items)))
    return chosen_by * min(VALIDATION_WORDINGS, len(development.instructions))


class TrainingSettings(Options):
    """Options of training."""

    items: int | None = Field(None, ge=1, description="Learn from at most so many items. [default: all]")
    items_a_step: int = Field(8, ge=1, description="Development items in a step, conditions in balance.")
    drift_weight: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="Weight in the loss of the drift from the original on neutral texts.",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Number format of the frozen weights while learning; answers are given in the model's own, which "
        "is what auto takes.",
    )
    variants: bool = Field(
        True, description="Learn from variants of items too, where the task has rules that make some."
    )


class AdapterSettings(TrainingSettings):
    """Options of training an adapter."""

    presets: ClassVar[Mapping[str, Any]] = {"quick": {"steps": 90}}

    rate: float
    rank: int
    steps: int = Field(260, ge=1, description="Steps of training.")


class BudgetedSettings(TrainingSettings):
    """Options of training an adapter or the weights themselves within a budget of capability."""

    preset: Literal["default", "paper"] = Field(
        "default", description="The authors' settings as a whole; what is set beside it is taken as it is set."
    )
    kind: Literal["peft", "full", "frozen-layers"] = Field(
        "peft",
        description="What is trained: LoRA on the down projections, all weights, or those of the last blocks.",
    )
    rank: int = Field(8, ge=1, description="Rank of LoRA.")
    blocks: int = Field(2, ge=1, description="Last blocks of each stack that frozen-layers trains.")
    rate: float | None = Field(
        None, gt=0, le=1, description="Rate of the first step (Adam). [default: by kind: 0.001, 0.00002, 0.00005]"
    )
    perplexity: float = Field(
        1.05,
        ge=1,
        allow_inf_nan=False,
        description="How many times the original's perplexity is allowed on neutral texts.",
    )
    judged_every: int = Field(10, ge=1, description="Steps after which drift and perplexity are judged.")
    validation_items: int = Field(
        48, ge=0, description="At most so many items, and a fifth of all, only choose the best step."
    )
