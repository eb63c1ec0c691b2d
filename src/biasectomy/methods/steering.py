"""Steering: a vector from biased to right answers is added to the residual stream of one layer.

Turner et al. 2023, "Activation Addition" (arXiv 2308.10248), add the difference of one pair of prompts; Panickssery et
al. 2024, "Steering Llama 2 via Contrastive Activation Addition" (ACL, arXiv 2312.06681, section 3), the mean of many:

    v_L = 1/|D| sum over (question, right, biased) of h_L(question, right) - h_L(question, biased)

where h_L is what comes out of layer L at the answer's last token, and add a multiple of it at every token behind the
question (`--steering.preset paper`). Their answers are letters and a multiple is taken by hand; here they are whole
options, and layer and multiple are chosen on validation items, among those that keep within a drift: how long such a
vector is beside the stream differs between models and layers, so each layer is tried with about the largest multiple
that keeps within, and with its half. By default the vector is added at every token, which any way of reading can do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.errors import SettingsError
from biasectomy.learning.settings import JUDGED_BY
from biasectomy.methods.base import METHODS, Profile
from biasectomy.methods.chosen_change import (
    TRIES,
    ChoosingSettings,
    Drifts,
    FittedChange,
    expected,
    fit_chosen,
)
from biasectomy.methods.contrast import Tokens, differences, with_pairs
from biasectomy.methods.layer_choice import Layers, layers_of, numbers_in
from biasectomy.options import with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "steering"
FILE = "vectors.safetensors"
PAPER: dict[str, Any] = {"positions": "answer", "tokens": "last", "strengths": (1.0,)}
Positions = Literal["all", "answer"]
Strengths = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...], numbers_in(float, "0.5,1,2"), Field(min_length=1)
]


@METHODS.register(NAME)
class Steering:
    """Adds the mean difference between right and biased answers to a layer's output (Panickssery et al. 2024)."""

    title: ClassVar[str] = "Steering"
    profile: ClassVar[Profile] = Profile(
        "activations", "two readings of some items, then many answers to validation items", ("weights", "pairs")
    )

    class Settings(ChoosingSettings):
        """Options of the method."""

        preset: Literal["default", "paper"] = Field(
            "default",
            description="The authors' settings as a whole: the last token, added once, behind the question only.",
        )
        layers: Layers | None = Field(
            None, description="Layers to try, joined by commas. [default: at a quarter, half, three quarters]"
        )
        strengths: Strengths | None = Field(
            None,
            description="Multiples of the vector to try, joined by commas. [default: what the drift allows, and half]",
        )
        positions: Positions = Field(
            "all", description="Where it is added: at every token, or from the question's end on."
        )
        tokens: Tokens = Field(
            "last", description="Where answers are compared: at their last token, or the mean over all of theirs."
        )

    def __init__(self, settings: "Steering.Settings") -> None:
        self.settings = with_preset(settings, {"paper": PAPER})

    def expected_questions(self, development: "Task") -> float:
        """Every pair is read, every candidate answers the validation items.

        Raises:
            SettingsError: no item has a right and another, biased answer.
        """
        with_pairs(development, "answers", self.title)
        layers = len(self.settings.layers or (0, 0, 0))
        if self.settings.strengths is None:
            return expected(self.settings, 2 * layers, development) + TRIES * layers * JUDGED_BY
        return expected(self.settings, layers * len(self.settings.strengths), development)

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedChange:
        """Takes the mean differences, then chooses layer and strength; all vectors are kept in the session's folder.

        Raises:
            SettingsError: no item has a pair, there is no such layer, or it is not known where questions end.
            DataError: there are too few templates to learn from some and choose by others.
        """
        from biasectomy.kept_tensors import keep_tensors
        from biasectomy.neurons.stream import stream_blocks

        settings = self.settings
        blocks = stream_blocks(model.neurons())
        layers = layers_of(settings.layers, len(blocks), f"--{NAME}.layers")
        _refuse_unknown_ends(model, settings.positions)

        def made(learning: "Task", drifts: Drifts) -> "list[Steered]":
            found = differences(
                model,
                learning,
                session,
                pairs="answers",
                tokens=settings.tokens,
                limit=settings.items,
                title=self.title,
            )
            vectors = {layer: found[blocks[layer]].double().mean(dim=0).float() for layer in layers}
            file = session.path(FILE)
            if file is not None and session.processes.main:
                keep_tensors(file, {blocks[layer]: vector for layer, vector in vectors.items()})
            return [one for layer in layers for one in self._tried(blocks[layer], layer, vectors[layer], drifts)]

        several = len(layers) * (len(set(settings.strengths)) if settings.strengths else 2) > 1
        settled = f"one layer and one strength (--{NAME}.layers 8 --{NAME}.strengths 1)"
        return fit_chosen(NAME, model, development, session, settings, made, settled=settled if several else None)

    def _tried(self, block: str, layer: int, vector: "Tensor", drifts: Drifts) -> "list[Steered]":
        """A layer's candidates: of the strengths that are set, or of the largest that the drift allows and its half."""

        def steered(strength: float) -> Steered:
            return Steered(block, layer, vector, strength, self.settings.positions)

        strengths = self.settings.strengths
        if strengths is None:
            strongest = drifts.strongest(steered)
            strengths = (strongest, strongest / 2) if strongest else ()
        return [steered(strength) for strength in dict.fromkeys(strengths)]


@dataclass(frozen=True)
class Steered:
    """A vector times a strength, added to what comes out of a block."""

    block: str
    layer: int
    vector: "Tensor"  # [width], float32
    strength: float
    positions: Positions = "all"

    @property
    def key(self) -> Any:
        """See `Change`."""
        from biasectomy.kept_tensors import checksum_of

        return [NAME, self.positions, self.strength, checksum_of({self.block: self.vector})]

    @property
    def described(self) -> dict[str, Any]:
        """See `Change`."""
        return {"layer": self.layer, "strength": self.strength}

    @property
    def numbers(self) -> int:
        """See `Change`."""
        return self.vector.numel()

    @property
    def by_itself(self) -> bool:
        """See `Change`: where questions end, only this library's own readings say."""
        return self.positions == "all"

    @contextmanager
    def made(self, model: "LanguageModel") -> Iterator[None]:
        """See `Change`."""
        from biasectomy.neurons.steered import added

        moved = self.strength * self.vector
        with added(model.model, self.block, moved, everywhere=self.positions == "all"):
            yield

    def save(self, model: "LanguageModel", folder: Path, dtype: str) -> float | None:
        """Writes the vector into the bias of the block's down projection, where that is the same.

        Raises:
            SettingsError: the block has no such bias.
        """
        from biasectomy.models.saving import PROBE, TOLERANCE, largest_difference, probed
        from biasectomy.neurons.steered import added_to_bias, bias_behind

        bias = bias_behind(model.model, model.neurons("ffn-hidden"), self.block) if self.positions == "all" else None
        quantised = model.weights is not None and model.weights.quantization is not None
        if bias is not None and not quantised:
            probe = model.prompt_format.encode(PROBE)
            with model.changed(lambda: self.made(model), self.key):
                steered = probed(model.model, probe, model.layout)
            moved = self.strength * self.vector
            with model.changed(lambda: added_to_bias(bias, moved), [*self.key, "bias"]):
                if largest_difference(steered, probed(model.model, probe, model.layout)) <= TOLERANCE:
                    return model.save(folder, dtype=dtype)
        raise SettingsError(
            f"{Steering.title} adds a vector to what '{self.block}' puts out, and this architecture has no weight that "
            f"does so: there is no checkpoint to write. The vector is in methods/{NAME}/{FILE} of the run."
        )


def _refuse_unknown_ends(model: "LanguageModel", positions: Positions) -> None:
    from biasectomy.reading.layouts import PackedLayout

    known = model.model.config.is_encoder_decoder or isinstance(model.layout, PackedLayout)
    if positions == "answer" and not known:
        raise SettingsError(
            f"--{NAME}.positions answer needs a model that reads prompts in one row, to know where questions end, and "
            f"this one's layout is {model.layout.name}; --{NAME}.positions all would be right."
        )
