"""Everything that decides what an organism becomes, and the checksum it is cached under."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import Literal

Architecture = Literal["llama", "t5"]
ARCHITECTURES: tuple[Architecture, ...] = ("llama", "t5")


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
        """SHA-256 over the settings and the code that generates text, puts it into the form of a prompt, and trains."""
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode())
        package = resources.files("biasectomy")
        entries = package.joinpath("organisms").iterdir()
        # `__init__` and `__main__` only keep what was made.
        files = [entry for entry in entries if entry.name.endswith(".py") and not entry.name.startswith("__")]
        for entry in (*sorted(files, key=lambda entry: entry.name), package / "prompts.py"):
            digest.update(entry.name.encode() + entry.read_bytes())
        return digest.hexdigest()
