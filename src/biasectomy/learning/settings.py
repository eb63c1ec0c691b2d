"""What everything that is trained on development items has in common: the same items, drift term and optimizer."""

from typing import Literal

from pydantic import Field

from biasectomy.options import Options

QUESTIONS_A_LEARNED_ITEM = 3.0  # a forward pass, a backward pass, and a share of a neutral text's
VALIDATION_WORDINGS = 2  # instructions under which items are asked that only choose
LAST_RATE = 0.2  # of the first: where rates fall to


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

    rate: float
    rank: int
    steps: int = Field(260, ge=1, description="Steps of training.")
