"""Settings of the commands that measure: `mitigate`, `compare` and `evaluate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from biasectomy.commands.presets import AUTHORS
from biasectomy.commands.settings_runs import PushSettings
from biasectomy.commands.settings_shared import (
    NONE,
    PUBLIC,
    RUNNING,
    SAVE_AS,
    SAVE_FORMAT,
    YES,
    EvaluationSettings,
    FittingSettings,
    Names,
    SaveForm,
    SaveFormat,
    check_form,
)
from biasectomy.errors import SettingsError
from biasectomy.methods import METHODS
from biasectomy.methods.cc import NAME as CC
from biasectomy.methods.crispr import NAME as CRISPR
from biasectomy.methods.dc import NAME as DC
from biasectomy.methods.learned_factors import NAME as LEARNED
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.methods.random_neurons import NAME as CONTROL

ALL = "all"  # methods


class EvaluateSettings(EvaluationSettings):
    """Settings of `evaluate`."""

    panel: ClassVar[str] = "Evaluation"
    basic: ClassVar[tuple[str, ...]] = ("task", "neurons_file", "preset", "out", "plan", *RUNNING)
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy evaluate smollm2 --task bbq:all --out before", "A model as it is, on every category of BBQ."),
        (
            "biasectomy evaluate smollm2 --neurons run/neurons.json --task crows_pairs",
            "What a saved edit does to another benchmark.",
        ),
        (
            "biasectomy evaluate smollm2 --task bbq:age --plan --change 0.03",
            "How many items a change of 3 points takes.",
        ),
    )
    presets: ClassVar[Mapping[str, Any]] = {"quick": {"max_items": 200}}

    neurons_file: Path | None = Field(None, description="Evaluate the model with this neuron set applied.")
    all_rules: bool = Field(
        False, description="Show the answers by the other rule of likelihoods, sum or mean, beside those by the first."
    )
    plan: bool = Field(
        False, description="Say what so many items can show, and how many --change takes; measure only a few of them."
    )
    change: float = Field(
        0.05, gt=0, allow_inf_nan=False, description="With --plan: the change that should be found, in a figure's unit."
    )
    card: Literal["a100", "h100", "h200"] = Field(
        "h100", description="With --plan: the card of which it says what 1, 8 and 64 take."
    )
    price: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="With --plan: US dollars an hour of a card. [default: by card]"
    )
    out: Path | None = Field(None, description="Folder for the results. [default: none is written]")
    resume: bool = Field(False, description="Go on with an interrupted run in the folder.")
    overwrite: bool = Field(False, description="Replace what is in the folder.")

    def _check(self) -> None:
        super()._check()
        if self.all_rules and self.answer_rule == "generation":
            raise SettingsError("--all-rules shows rules of likelihoods; leave --answer-rule generation out.")
        if self.plan and (self.out is not None or self.harness or self.neurons_file is not None):
            raise SettingsError("--plan asks a few items and keeps nothing; leave --out, --harness and --neurons out.")


class MitigateSettings(FittingSettings):
    """Settings of `mitigate`."""

    panel: ClassVar[str] = "Method"
    basic: ClassVar[tuple[str, ...]] = ("task", "method", "preset", "out", "beside", "neurons", "save_as", *RUNNING)
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy mitigate smollm2 --preset quick", "A small model on BBQ Age, in minutes; everything in ./run."),
        (
            "biasectomy mitigate Qwen/Qwen2.5-0.5B-Instruct --task bbq:age,ses --out fairer",
            "A model of the hub, fitted to two categories of BBQ.",
        ),
        (
            "biasectomy mitigate ./my-model --method crispr --also perplexity,drift,crows_pairs",
            "A model of your own, by the published method.",
        ),
    )
    presets: ClassVar[Mapping[str, Any]] = {AUTHORS: {"method": CRISPR, "beside": NONE}}

    method: str = Field(LEARNED, min_length=1, description="What is done to the model; 'ls methods' lists the ways.")
    beside: Names = Field(
        (CRISPR,), description="Methods that are shown beside it, joined by commas; 'none': no others."
    )
    out: Path = Field(Path("run"), description="Run folder.")
    save_as: SaveForm = SAVE_AS
    save_dtype: SaveFormat = SAVE_FORMAT
    push: str | None = Field(None, description="Repository of the hub, ORG/NAME, that what was made goes to.")
    public: bool = PUBLIC
    yes: bool = YES

    def in_use(self) -> Sequence[str]:
        """The original, the method and its control, and what is shown beside them."""
        return tuple(dict.fromkeys((ORIGINAL, self.method, CONTROL, *self.others)))

    @property
    def others(self) -> tuple[str, ...]:
        """The methods that are shown beside."""
        return tuple(name for name in self.beside if name not in (NONE, ORIGINAL, self.method, CONTROL))

    def pushing(self) -> "PushSettings | None":
        """How what was made is sent; None where it is not to be."""
        if self.push is None:
            return None
        handling = {"quiet": self.quiet, "json_output": self.json_output}
        return PushSettings.of(run=self.out, repository=self.push, public=self.public, yes=self.yes, **handling)

    def _check(self) -> None:
        super()._check()
        check_form(self.save_as, self.save_dtype)
        if self.push is None and (self.yes or self.public):
            raise SettingsError("--yes and --public say how something is sent; --push ORG/NAME says where to.")
        if self.pushing() is not None and not METHODS[self.method].profile.checkpoint:
            raise SettingsError(
                f"'{self.method}' changes no weights, so that no checkpoint comes out and nothing can be pushed; leave "
                "--push out, or choose a method that makes one ('ls methods' says which do)."
            )


class CompareSettings(FittingSettings):
    """Settings of `compare`."""

    panel: ClassVar[str] = "Method"
    basic: ClassVar[tuple[str, ...]] = ("task", "methods", "preset", "out", "neurons", *RUNNING)
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "biasectomy compare smollm2 --methods learned-factors,crispr,fair-prompt --preset quick",
            "Three ways on the same items; a row each.",
        ),
        (
            "biasectomy compare --preset paper --task bbq:ses",
            "CRISPR beside calibration and random neurons, as published.",
        ),
        (
            "biasectomy compare smollm2 --methods all --store answers",
            "All that can be had; answers are kept for other runs.",
        ),
    )
    presets: ClassVar[Mapping[str, Any]] = {AUTHORS: {"methods": (CC, DC, CRISPR, CONTROL)}}

    methods: Names = Field(
        min_length=1, description="Methods, joined by commas; 'ls methods' lists them. 'all': all that can be had."
    )
    out: Path = Field(Path("comparison"), description="Run folder.")

    def in_use(self) -> Sequence[str]:
        """The original and the methods, in the order of the table; random neurons are like those before them."""
        if ALL not in self.methods:
            return tuple(dict.fromkeys((ORIGINAL, *self.methods)))
        return (ORIGINAL, *(name for name in METHODS if name not in (ORIGINAL, CONTROL)), CONTROL)

    def optional(self) -> Sequence[str]:
        """Methods that are left out, with the reason, where they cannot be had."""
        return self.in_use() if ALL in self.methods or self.is_by_preset("methods") else ()
