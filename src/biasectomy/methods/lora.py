"""LoRA on the down projections, learned from the same items with the same drift term as learned factors.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR), as `peft` has it. It is the rival that few
neurons must be compared with: more numbers are learned, and none of them is a neuron's.
"""

from typing import Any, ClassVar

from pydantic import Field

from biasectomy.learning.settings import AdapterSettings
from biasectomy.methods.base import METHODS
from biasectomy.methods.learned_adapter import LearnedAdapter

NAME = "lora"


@METHODS.register(NAME)
class Lora(LearnedAdapter):
    """Learns low-rank changes of the down projections, as peft's LoRA has them (Hu et al. 2022)."""

    title: ClassVar[str] = "LoRA"

    class Settings(AdapterSettings):
        """Options of the method."""

        rate: float = Field(3e-3, gt=0, le=1, description="Rate of the first step (Adam); it falls to a fifth.")
        rank: int = Field(4, ge=1, description="Rank of what is added to each matrix.")

    def config(self, targets: list[str], task_type: str, seed: int) -> Any:
        """See `LearnedAdapter`."""
        from biasectomy.learning.peft_adapters import low_rank

        return low_rank(self.settings.rank)(targets, task_type)
