"""Settings of the commands about sets of neurons: `find`, `apply` and `describe`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.attribution.crispr import NAME as CRISPR_ATTRIBUTION
from biasectomy.commands.settings_shared import (
    ASKING,
    SAVE_AS,
    SAVE_FORMAT,
    ModelSettings,
    Names,
    SaveForm,
    SaveFormat,
    SplitSettings,
    check_form,
)
from biasectomy.registry import Registry


class FindSettings(SplitSettings):
    """Settings of `find`."""

    panel: ClassVar[str] = "Finding neurons"
    basic: ClassVar[tuple[str, ...]] = ("task", "attribution", "definition", "count", "out", "overwrite", *ASKING)
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy find smollm2 --task bbq:ses --out ses.json", "The 500 neurons that CRISPR puts first."),
        ("biasectomy find smollm2 --attribution gradient --count 100", "100 by another score ('ls attributions')."),
        ("biasectomy find ./my-model --definition ffn-hidden --max-items 200", "Hidden units instead; fewer items."),
    )
    sections: ClassVar[Registry[Any] | None] = ATTRIBUTIONS

    attribution: str = Field(
        CRISPR_ATTRIBUTION, min_length=1, description="How neurons are scored; 'ls attributions' lists the ways."
    )
    definition: Literal["linear-output", "ffn-hidden"] = Field(
        "linear-output",
        description="What a neuron is: an output of a linear map, or a hidden unit of a feed-forward block.",
    )
    count: int = Field(500, ge=1, description="How many top neurons are saved.")
    out: Path = Field(Path("neurons.json"), description="File for the neuron set.")
    overwrite: bool = Field(False, description="Replace the file if there is one.")

    def in_use(self) -> Sequence[str]:
        """The attribution."""
        return (self.attribution,)


class ApplySettings(ModelSettings):
    """Settings of `apply`."""

    panel: ClassVar[str] = "Applying"
    basic: ClassVar[tuple[str, ...]] = (
        *("out", "save_as", "save_dtype", "count", "strength", "overwrite", "device", "json_output", "quiet"),
    )
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy apply run/neurons.json smollm2 --out edited", "A checkpoint that plain transformers loads."),
        ("biasectomy apply run/neurons.json smollm2 --as adapter", "An adapter for peft beside the model."),
        ("biasectomy apply run/neurons.json smollm2 --strength 0.5", "Half of the edit."),
    )
    positional: ClassVar[tuple[str, ...]] = ("neurons_file", "model")

    neurons_file: Path = Field(description="Neuron set: a neurons.json written by find or mitigate.")
    out: Path = Field(Path("edited-model"), description="Folder for the checkpoint or the adapter.")
    save_as: SaveForm = SAVE_AS
    save_dtype: SaveFormat = SAVE_FORMAT
    count: int | None = Field(None, ge=0, description="Apply only the first so many neurons. [default: all]")
    strength: float = Field(
        1.0,
        ge=-10,
        le=10,
        allow_inf_nan=False,
        description="How far factors are moved from 1: 0.5 is half their way, 0 leaves the model.",
    )
    overwrite: bool = Field(False, description="Replace the folder if there is one.")

    def _check(self) -> None:
        super()._check()
        check_form(self.save_as, self.save_dtype)


class DescribeSettings(SplitSettings):
    """Settings of `describe`."""

    panel: ClassVar[str] = "Describing"
    basic: ClassVar[tuple[str, ...]] = (
        *("task", "with_sets", "items_of", "prompts", "tokens", "shown", "out", "overwrite"),
        *("data", "device", "dtype", "json_output", "quiet"),
    )
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy describe run/neurons.json smollm2", "Where the neurons lie, and what they write towards."),
        ("biasectomy describe a.json smollm2 --with b.json,c.json", "What three sets have in common, against chance."),
        ("biasectomy describe run/neurons.json smollm2 --prompts 0 --shown 50", "Fifty neurons, without asking items."),
    )
    positional: ClassVar[tuple[str, ...]] = ("neurons_file", "model")

    neurons_file: Path = Field(description="Neuron set: a neurons.json written by find or mitigate.")
    with_sets: Names = Field((), description="Files with further sets, joined by commas, whose overlap is told.")
    items_of: Literal["development", "test"] = Field(
        "development", description="Items at which neurons may be most active: those of development, or of the test."
    )
    prompts: int = Field(60, ge=0, description="At most so many of these items, one instruction; 0: none.")
    tokens: int = Field(10, ge=1, le=1000, description="Tokens on either side that a neuron writes towards.")
    shown: int = Field(10, ge=0, description="How many neurons are shown; the file holds all.")
    out: Path = Field(Path("description.json"), description="File for what was found.")
    overwrite: bool = Field(False, description="Replace the file if there is one.")
