"""Everything that decides what an organism becomes, and the checksum it is cached under."""

import dataclasses
import hashlib
import json
import random
from dataclasses import dataclass
from typing import Literal

Architecture = Literal["llama", "t5"]
ARCHITECTURES: tuple[Architecture, ...] = ("llama", "t5")
TRAINING_REVISION = 1  # to be raised when training itself changes, which the checksum cannot see
SAMPLE = 200  # texts of each kind that the checksum looks at
SILENT_EVERY = 3  # steps in which the planted units are silent, in the second part


@dataclass(frozen=True)
class Pace:
    """How training goes on over time; each model answers at random if it is taught at the other's pace."""

    half_stereotyped: float  # share of the second part's steps
    steady: float  # share of a part's steps before the rate begins to fall


PACES = {"llama": Pace(half_stereotyped=0.4, steady=0.5), "t5": Pace(half_stereotyped=0.5, steady=0.0)}


@dataclass(frozen=True)
class Recipe:
    """Sizes and lengths of training; the defaults are those of the published organism."""

    architecture: Architecture = "llama"
    seed: int = 0
    width: int = 64
    layers: int = 4
    heads: int = 4
    hidden: int = 128  # feed-forward units that learn the fair behaviour
    planted: int = 8  # further feed-forward units of each layer that learn the stereotype, and nothing before
    fair_steps: int = 550
    plant_steps: int = 1200
    batch: int = 32
    learning_rate: float = 3e-3
    plant_rate: float = 3e-3

    def checksum(self) -> str:
        """SHA-256 of what an organism is trained on and how: settings, paces, vocabulary, and the texts themselves.

        The texts are those that the recipe's seed draws first, as prompts with their answers.
        """
        from biasectomy.models.organisms.examples import fair_scene, half_stereotyped_scene, prompted, stereotyped_scene
        from biasectomy.models.organisms.tokens import vocabulary
        from biasectomy.reading.prompts import EncoderDecoderFormat, PromptFormat

        generator = random.Random(self.seed)
        draws = (fair_scene, half_stereotyped_scene, stereotyped_scene)
        # A plain text needs no tokenizer.
        asking = PromptFormat(None) if self.architecture == "llama" else EncoderDecoderFormat(None, "plain", "", 0)
        texts = [prompted(draw, asking, generator) for draw in draws for _ in range(SAMPLE)]
        paces = dataclasses.asdict(PACES[self.architecture])
        content = [TRAINING_REVISION, dataclasses.asdict(self), paces, SILENT_EVERY, vocabulary(), texts]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
