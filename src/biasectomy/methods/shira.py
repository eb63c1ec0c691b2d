"""SHiRA on the down projections: a random few of their weights are learned, from the same items as learned factors.

Bhardwaj et al. 2024, "Sparse High Rank Adapters" (NeurIPS), as `peft` has it: r (inputs + outputs) weights of each
matrix, drawn at random.
"""

from typing import Any, ClassVar

from pydantic import Field

from biasectomy.learning.settings import AdapterSettings
from biasectomy.methods.base import METHODS
from biasectomy.methods.learned_adapter import LearnedAdapter

NAME = "shira"


@METHODS.register(NAME)
class Shira(LearnedAdapter):
    """Learns a random few weights of the down projections, as peft's SHiRA has them (Bhardwaj et al. 2024)."""

    title: ClassVar[str] = "SHiRA"
    transposed: ClassVar[bool] = False

    class Settings(AdapterSettings):
        """Options of the method."""

        rate: float = Field(3e-3, gt=0, le=1, description="Rate of the first step (Adam); it falls to a fifth.")
        rank: int = Field(4, ge=1, description="As many weights are learned as LoRA of this rank has numbers.")

    def config(self, targets: list[str], task_type: str, seed: int) -> Any:
        """See `LearnedAdapter`."""
        from peft import ShiraConfig

        return ShiraConfig(
            r=self.settings.rank, target_modules=targets, task_type=task_type, mask_type="random", random_seed=seed
        )
