"""Projection: the directions in which two answers differ are taken out of the residual stream.

Bolukbasi et al. 2016 (NeurIPS, "Man is to Computer Programmer as Woman is to Homemaker?", section 5) find the subspace
of a bias by the principal components of paired differences of embeddings and subtract the part of a vector in it;
Liang et al. 2020 ("Towards Debiasing Sentence Representations", ACL, SentenceDebias) do so with what a model makes of
sentences: with orthonormal V [width, k],

    h - V V^T h

Here h is the stream of a decoder. `--projection.where residual` takes the part out of what some blocks put out. By
default it is never written: the maps that write into the stream are projected, W <- (I - V V^T) W, as Arditi et al.
2024 ("Refusal in Language Models Is Mediated by a Single Direction", section 2.4, arXiv 2406.11717) ablate a direction.
That is the same in the weights as in activations, so a plain checkpoint comes out.

To take out all of a direction moves a decoder far where the direction has a part in the large values that its stream
has at the first tokens, so a share of it is, `h - s V V^T h`, by default as much as the drift allows.

Their pairs are words or sentences that differ in a group; so are pairs of texts (`crows_pairs`, `stereoset`). Of
questions they are here the two answers that name somebody, or, with `--projection.pairs answers`, the right and the
biased one. From which layer on, and how many directions, is chosen on validation items, within a drift. SentenceDebias
as Meade et al. 2022 compare it (ACL, "An Empirical Survey of the Effectiveness of Debiasing Techniques") is all of one
direction, of means over tokens, at the end (`--projection.preset paper`; theirs are scaled to length one first, and are
taken behind the last norm, which a decoder's answers go through).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from biasectomy.methods.contrast import Pairs, Tokens, differences, with_pairs
from biasectomy.methods.layer_choice import LAST, Layers, layers_of, numbers_in
from biasectomy.options import with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "projection"
FILE = "directions.safetensors"
PAPER: dict[str, Any] = {
    "where": "residual", "layers": (LAST,), "components": (1,), "share": 1.0, "embeddings": "no", "tokens": "mean",
}  # fmt: skip
Where = Literal["weights", "residual"]
Components = Annotated[tuple[Annotated[int, Field(ge=1)], ...], numbers_in(int, "1,2,4"), Field(min_length=1)]


@METHODS.register(NAME)
class Projection:
    """Takes the main directions in which answers differ out of the residual stream (Bolukbasi 2016, Liang 2020)."""

    title: ClassVar[str] = "Projection"
    profile: ClassVar[Profile] = Profile(
        "weights", "two readings of some items, then many answers to validation items", ("weights", "pairs"), True
    )

    class Settings(ChoosingSettings):
        """Options of the method."""

        preset: Literal["default", "paper"] = Field(
            "default",
            description="SentenceDebias' settings as a whole: all of one direction, out of the last layer's output.",
        )
        where: Where = Field(
            "weights", description="Out of the weights that write into the residual stream, or out of the stream."
        )
        layers: Layers | None = Field(
            None, description="First layers to try, joined by commas. [default: at a quarter, half, three quarters]"
        )
        components: Components = Field((1, 2), description="Numbers of directions to try, joined by commas.")
        share: float | None = Field(
            None,
            gt=0,
            le=1,
            description="How much of the part along them is taken out. [default: what the drift allows, at most 1]",
        )
        directions: Literal["own", "shared"] = Field(
            "own",
            description="From the first layer on, each layer's own directions; or those of that layer, out of all.",
        )
        embeddings: Literal["auto", "yes", "no"] = Field(
            "auto", description="Out of the token embeddings too; auto: of an encoder-decoder's, with where residual."
        )
        pairs: Pairs = Field(
            "groups", description="What differs: the two answers that name somebody, or the right and the biased one."
        )
        tokens: Tokens = Field(
            "mean", description="Where answers are compared: at their last token, or the mean over all of theirs."
        )

    def __init__(self, settings: "Projection.Settings") -> None:
        self.settings = with_preset(settings, {"paper": PAPER})

    def expected_questions(self, development: "Task") -> float:
        """Every pair is read, every candidate answers the validation items.

        Raises:
            SettingsError: no item has a pair.
        """
        with_pairs(development, self.settings.pairs, self.title)
        candidates = len(self.settings.layers or (0, 0, 0)) * len(self.settings.components)
        if self.settings.share is None:
            return expected(self.settings, candidates + 1, development) + TRIES * candidates * JUDGED_BY
        return expected(self.settings, candidates, development)

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedChange:
        """Takes the principal directions, then chooses; those chosen are kept in the session's folder.

        Raises:
            SettingsError: no item has a pair, there is no such layer, or the weights cannot be changed.
            DataError: there are too few templates to learn from some and choose by others.
        """
        from biasectomy.neurons.stream import stream_blocks

        settings = self.settings
        blocks = stream_blocks(model.neurons())
        layers = layers_of(settings.layers, len(blocks), f"--{NAME}.layers")
        residual = settings.where == "residual"
        auto = residual and bool(model.model.config.is_encoder_decoder)
        embeddings = {"auto": auto, "yes": True, "no": False}[settings.embeddings]
        self._refuse_unchangeable(model, blocks, embeddings)

        def made(learning: "Task", drifts: Drifts) -> "list[Projected]":
            found = differences(
                model,
                learning,
                session,
                pairs=settings.pairs,
                tokens=settings.tokens,
                limit=settings.items,
                title=self.title,
            )
            # One process decomposes: the last digits of another's might differ.
            whole = session.processes.once(lambda: self._candidates(found, blocks, layers, embeddings=embeddings))
            return [one for one in (self._within(drifts, candidate) for candidate in whole) if one.share]

        several = len(layers) * len(set(settings.components)) > 1 or settings.share is None
        settled = f"one layer, number and share (--{NAME}.layers 8 --{NAME}.components 1 --{NAME}.share 1)"
        fitted = fit_chosen(NAME, model, development, session, settings, made, settled=settled if several else None)
        self._keep(fitted, session)
        return fitted

    def _refuse_unchangeable(self, model: "LanguageModel", blocks: list[str], embeddings: bool) -> None:
        from biasectomy.neurons.projections import not_projectable, writers

        if self.settings.where == "residual":
            return
        maps = writers(model.model, model.neurons())
        if lacking := [block for block in blocks if block not in maps]:
            raise SettingsError(
                f"'{lacking[0]}' has no map that is known to write into the residual stream; "
                f"--{NAME}.where residual would be right."
            )
        if reason := not_projectable(model.model, [one for block in blocks for one in maps[block]], embeddings):
            raise SettingsError(f"{reason} --{NAME}.where residual would be right.")

    def _within(self, drifts: Drifts, whole: "Projected") -> "Projected":
        """A candidate with the share that is set, or with what the drift allows."""
        if self.settings.share is not None:
            return replace(whole, share=self.settings.share)
        return replace(whole, share=drifts.strongest(lambda share: replace(whole, share=share), 1.0))

    def _candidates(
        self, found: "dict[str, Tensor]", blocks: list[str], layers: list[int], *, embeddings: bool
    ) -> "list[Projected]":
        from biasectomy.neurons.projections import main_directions
        from biasectomy.neurons.stream import EMBEDDINGS

        settings = self.settings
        shared = settings.directions == "shared"
        if shared and embeddings and found[EMBEDDINGS].shape[1] != found[blocks[0]].shape[1]:
            raise SettingsError(
                "The token embeddings are not as wide as the residual stream, so they cannot share its directions; "
                f"--{NAME}.embeddings no would be right."
            )
        sizes = dict.fromkeys(settings.components)
        candidates = []
        for layer in layers:
            for size in sizes:
                places = [*([EMBEDDINGS] if embeddings else []), *(blocks if shared else blocks[layer:])]
                taken = {
                    place: main_directions(found[blocks[layer] if shared else place], size)
                    for place in ([blocks[layer]] if shared else places)
                }
                directions = {place: taken[blocks[layer] if shared else place] for place in places}
                candidates.append(Projected(directions, settings.where, layer, size))
        return candidates

    def _keep(self, fitted: FittedChange, session: "Session") -> None:
        from biasectomy.kept_tensors import keep_tensors

        file = session.path(FILE)
        if file is not None and session.processes.main and isinstance(fitted.change, Projected):
            keep_tensors(file, fitted.change.directions)


@dataclass(frozen=True)
class Projected:
    """Orthonormal directions [width, components] by the block, or the embeddings, that they are taken out of."""

    directions: "dict[str, Tensor]"
    where: Where
    layer: int = 0
    components: int = 1
    share: float = 1.0
    by_itself = True

    @property
    def key(self) -> Any:
        """See `Change`."""
        from biasectomy.kept_tensors import checksum_of

        return [NAME, self.where, self.share, checksum_of(self.directions)]

    @property
    def described(self) -> dict[str, Any]:
        """See `Change`."""
        return {"layer": self.layer, "components": self.components, "share": self.share}

    @property
    def numbers(self) -> int:
        """See `Change`."""
        return sum(own.numel() for own in {id(one): one for one in self.directions.values()}.values())

    @contextmanager
    def made(self, model: "LanguageModel") -> Iterator[None]:
        """See `Change`."""
        from biasectomy.neurons.projections import projected_weights, without, writers
        from biasectomy.neurons.stream import EMBEDDINGS, embedding_modules, stream_changed

        inner = model.model
        blocks = {place: own for place, own in self.directions.items() if place != EMBEDDINGS}
        of_tokens = self.directions.get(EMBEDDINGS)
        if self.where == "weights":
            with projected_weights(inner, writers(inner, model.neurons()), blocks, of_tokens, self.share):
                yield
            return
        changes = {place: without(own, self.share) for place, own in blocks.items()}
        if of_tokens is not None:
            changes |= dict.fromkeys(embedding_modules(inner), without(of_tokens, self.share))
        with stream_changed(inner, changes):
            yield

    def save(self, model: "LanguageModel", folder: Path, dtype: str) -> float | None:
        """Writes a plain checkpoint with the directions out of its weights.

        Raises:
            SettingsError: they are taken out of the stream.
        """
        if self.where == "residual":
            raise SettingsError(
                f"{Projection.title} changes the residual stream, and no weight does so: there is no checkpoint to "
                f"write; --{NAME}.where weights gives one. The directions are in methods/{NAME}/{FILE} of the run."
            )
        with model.changed(lambda: self.made(model), self.key):
            return model.save(folder, dtype=dtype)
