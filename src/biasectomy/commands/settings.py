"""The settings of every command: one model a command, whose descriptions are the help text.

Those of methods and attributions are written beside their code; a command takes them in sections, such as
`--crispr.variant` or a table `[crispr]`. Where values come from: see `settings_loading`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.attribution.crispr import NAME as CRISPR_ATTRIBUTION
from biasectomy.commands.presets import AUTHORS
from biasectomy.commands.settings_base import Settings
from biasectomy.errors import SettingsError
from biasectomy.methods import METHODS
from biasectomy.methods.cc import NAME as CC
from biasectomy.methods.crispr import NAME as CRISPR
from biasectomy.methods.dc import NAME as DC
from biasectomy.methods.learned_factors import NAME as LEARNED
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.methods.random_neurons import NAME as CONTROL
from biasectomy.registry import Registry
from biasectomy.tasks.ambiguity import POOLED


def _parse_names(value: object) -> object:
    pieces = value.split(",") if isinstance(value, str) else value
    if not isinstance(pieces, list | tuple) or not all(isinstance(piece, str) for piece in pieces):
        raise ValueError("names joined by commas")
    return tuple(dict.fromkeys(piece.strip() for piece in pieces if piece.strip()))


SaveFormat = Literal["auto", "float32", "bfloat16", "float16"]
SAVE_FORMAT: Any = Field(
    "auto", description="Number format of the checkpoint; auto: that of the files the model is loaded from."
)
SaveForm = Literal["checkpoint", "adapter"]
SAVE_AS: Any = Field(
    "checkpoint",
    description="What is written: a plain checkpoint, or factors beside the model, as an (IA)^3 adapter of peft.",
)
NONE = "none"
AUTO = "auto"  # as a number format
# Fields that --help shows, in its order: of every command that asks a model something, and of all that make a run.
ASKING = ("max_items", "data", "device", "seed", "json_output", "quiet")
RUNNING = ("also", "resume", "overwrite", "full", *ASKING)
YES: Any = Field(False, description="Really send it; without, what would go is shown.")
PUBLIC: Any = Field(
    False, description="Make a new repository public; one that is there stays as it is. [default: private]"
)
Names = Annotated[tuple[str, ...], BeforeValidator(_parse_names)]
Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
ALL = "all"  # methods


class OutputSettings(Settings):
    """What appears on the terminal."""

    panel: ClassVar[str] = "Output"

    quiet: bool = Field(False, description="Print nothing but warnings and errors.")
    json_output: bool = Field(False, description="Print the result as JSON, and nothing else.")


class ResultSettings(OutputSettings):
    """How much of the result appears on the terminal."""

    panel: ClassVar[str] = "Output"

    full: bool = Field(False, description="Print all figures, not the first ones only.")


class ModelSettings(OutputSettings):
    """Which model, and how it is run."""

    panel: ClassVar[str] = "Model and machine"

    model: str = Field(
        "smollm2", min_length=1, description="Model: a hub id, a folder, a GGUF file, or a name listed by 'ls models'."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything drawn at random.")
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "float32",
        description="Number format the model computes in; auto: the fastest here of which measuring shows, on some of "
        "the items, that it changes fewer than 1 % of this model's answers, else float32.",
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$", description="Device: auto, cpu, mps, cuda, cuda:1, xpu."
    )
    device_map: Literal["auto", "balanced", "sequential"] | None = Field(
        None, description="Spread the model over several devices. [default: one device]"
    )
    quantization: Literal["4bit", "8bit"] | None = Field(
        None, description="Find and measure with a quantised model (CUDA); the full-precision one is edited and saved."
    )
    batch_tokens: int | None = Field(
        None, ge=1, le=2**24, description="Tokens in one batch. [default: found by trying]"
    )
    prompt: Literal["auto", "chat", "plain"] = Field(
        "auto",
        description="Prompt format: the model's chat template, plain text, or the template where there is one (auto).",
    )
    prefix: Literal["auto", "bos", "eos", "none"] = Field(
        "auto",
        description="Token in front of whole texts (perplexity, crows_pairs): the beginning-of-sequence token, or "
        "the end-of-text one where chats use that between turns (auto); bos, as lm-evaluation-harness; eos; none.",
    )
    trust_remote_code: bool = Field(False, description="Let a hub model run its own Python code.")
    plugin: Names = Field(
        (), description="Plugins, joined by commas: a Python file, or a name installed packages give."
    )
    threads: int | None = Field(None, ge=1, le=1024, description="Processor threads. [default: all]")


class TaskSettings(ModelSettings):
    """What the model is asked."""

    panel: ClassVar[str] = "Task"

    task: str = Field(
        "bbq:age",
        min_length=1,
        description="Task, or several joined by commas ('ls tasks' lists them); all; or a TOML file of your own.",
    )
    data: Path | None = Field(None, description="Folder of data files. [default: packages]")
    instructions: Path | None = Field(None, description="File with instructions of your own, one a line.")
    option_order: Literal["rotate", "file"] = Field(
        "rotate",
        description="Order of the options: turned so that the right one stands in each place equally often, or that of "
        "the data, as in the papers.",
    )
    max_items: int | None = Field(None, ge=1, description="At most so many items. [default: all]")
    max_instructions: int | None = Field(None, ge=1, description="At most so many instructions. [default: all]")


class EvaluationSettings(TaskSettings, ResultSettings):
    """How answers are judged."""

    panel: ClassVar[str] = "Evaluation"
    presets: ClassVar[Mapping[str, Any]] = {
        "quick": {"max_items": 800, "max_instructions": 1, "also": "perplexity,drift"},
        "full": {"max_items": None, "max_instructions": None, "also": "perplexity,drift", "replicates": 10_000},
        AUTHORS: {"option_order": "file", "max_instructions": None},
    }

    preset: Literal["quick", "full", "paper"] | None = Field(
        None, description="A purpose, told below; what is set beside wins."
    )
    also: str = Field("perplexity", description="Tasks, or TOML files, that are measured besides; 'none': no others.")
    answer_rule: str | None = Field(
        None,
        description="How an answer is read: sum or mean of each option's log-likelihood, or generation, where the "
        "task has it. [default: the task's own]",
    )
    judge: str | None = Field(
        None,
        min_length=1,
        description="Who judges generated texts, or QUALITY=JUDGE joined by commas; 'ls judges' lists them. [default: "
        "the task's own]",
    )
    samples: int | None = Field(
        None, ge=1, description="Draw so many continuations of each text that is gone on from. [default: one, greedy]"
    )
    temperature: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Temperature at which they are drawn. [default: 1]"
    )
    new_tokens: int | None = Field(
        None, ge=1, le=2**16, description="Tokens of each continuation. [default: the task's own]"
    )
    replicates: int = Field(2000, ge=2, le=1_000_000, description="Bootstrap replicates behind each interval.")
    level: Fraction = Field(0.95, description="Level of the intervals.")
    harness: Names = Field(
        (),
        description="Tasks of lm-evaluation-harness that are measured besides, joined by commas ('lm-eval ls tasks').",
    )
    harness_limit: int | None = Field(
        None, ge=1, description="At most so many documents of each of them, the first ones. [default: all]"
    )
    harness_path: Path | None = Field(None, description="Folder with further tasks of that kind (YAML).")
    store: Path | None = Field(
        None, description="Folder that keeps answers for several runs, which may share it. [default: inside the run]"
    )

    def _check(self) -> None:
        super()._check()
        for name in ("harness_limit", "harness_path"):
            if getattr(self, name) is not None and not self.harness:
                raise SettingsError(f"--{name.replace('_', '-')} says something of --harness NAMES, which is missing.")


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
    out: Path | None = Field(None, description="Folder for the results. [default: none is written]")
    resume: bool = Field(False, description="Go on with an interrupted run in the folder.")
    overwrite: bool = Field(False, description="Replace what is in the folder.")

    def _check(self) -> None:
        super()._check()
        if self.all_rules and self.answer_rule == "generation":
            raise SettingsError("--all-rules shows rules of likelihoods; leave --answer-rule generation out.")
        if self.plan and (self.out is not None or self.harness or self.neurons_file is not None):
            raise SettingsError("--plan asks a few items and keeps nothing; leave --out, --harness and --neurons out.")


class SplitSettings(TaskSettings):
    """Which items may be learned from."""

    panel: ClassVar[str] = "Task"

    split: Literal["template", "random"] = Field(
        "template", description="Split into development and test items by template, or by item as the paper does."
    )
    development_share: Fraction = Field(0.5, description="Share of development items.")


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


class FittingSettings(SplitSettings, EvaluationSettings):
    """How methods are fitted."""

    panel: ClassVar[str] = "Method"
    sections: ClassVar[Registry[Any] | None] = METHODS
    presets: ClassVar[Mapping[str, Any]] = {
        "quick": {"test_items": 100},
        "full": {"test_items": None},
        AUTHORS: {"split": "random", "development_share": 0.1, "objective": POOLED},
    }

    test_items: int | None = Field(
        None, ge=1, description="Report on at most so many test items, spread evenly. [default: all]"
    )
    objective: str | None = Field(
        None, description="Goal that methods are fitted to, by the task's name for it. [default: the task's first]"
    )
    margin: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="How much worse a guard of the goal may get. [default: the task's]"
    )
    neurons: int | None = Field(
        None,
        ge=1,
        description="Change exactly so many neurons; methods beside choose by themselves. [default: as many as pay]",
    )
    drift: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="How far from the original a model may go on neutral texts, nats a token. [default: the method's]",
    )
    resume: bool = Field(False, description="Go on with the interrupted run in the folder.")
    overwrite: bool = Field(False, description="Replace the run in the folder.")


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
        _check_form(self.save_as, self.save_dtype)
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
        _check_form(self.save_as, self.save_dtype)


class JudgeSettings(ResultSettings):
    """Settings of `judge`."""

    panel: ClassVar[str] = "Judging"
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy judge run --judge lexicon", "Texts of a finished run judged by a list of words."),
        ("biasectomy judge run --judge toxicity=classifier", "One quality of several, by another judge."),
        ("biasectomy ls judges", "The judges there are."),
    )
    positional: ClassVar[tuple[str, ...]] = ("run",)

    run: Path = Field(description="Folder of a finished run.")
    judge: str = Field(
        min_length=1, description="Who judges its texts, or QUALITY=JUDGE joined by commas; 'ls judges' lists them."
    )
    data: Path | None = Field(None, description="Folder with data files, of tasks and judges.")
    plugin: Names = Field(
        (), description="Plugins, joined by commas: a Python file, or a name installed packages give."
    )


class PushSettings(OutputSettings):
    """Settings of `push`."""

    panel: ClassVar[str] = "Sending"
    positional: ClassVar[tuple[str, ...]] = ("run", "repository")
    basic: ClassVar[tuple[str, ...]] = ("yes", "public", "base_model", "json_output", "quiet")
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy push run ORG/NAME", "What would go: files, sizes, the model card. Nothing is sent."),
        ("biasectomy push run ORG/NAME --yes", "Sends it; a new repository is private."),
        ("biasectomy push run ORG/NAME --yes --public", "The same, for everybody to see."),
    )

    run: Path = Field(description="Folder of a finished run of mitigate.")
    repository: str = Field(description="Repository of the hub: ORG/NAME.")
    base_model: str | None = Field(
        None, description="Hub id of the original, ORG/NAME. [default: what the model card says]"
    )
    public: bool = PUBLIC
    yes: bool = YES

    def _check(self) -> None:
        super()._check()
        from biasectomy.models.uploading import check_repository

        check_repository(self.repository)
        if self.base_model is not None:
            check_repository(self.base_model)


class AskSettings(ModelSettings):
    """Settings of `ask`; one word is the run, and the model is that of its record."""

    panel: ClassVar[str] = "Asking"
    positional: ClassVar[tuple[str, ...]] = ("model", "run")
    basic: ClassVar[tuple[str, ...]] = (
        *("method", "instruction", "new_tokens"),
        *("device", "dtype", "json_output", "quiet"),
    )
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy ask run", "Type questions; the model is that of the run."),
        ("biasectomy ask smollm2 run < questions.txt", "One question a line: question? | option | option."),
        (
            "biasectomy ask run --json < questions.jsonl",
            "Objects with question, context and options.",
        ),
    )

    model: str = Field("", description="Model: as for other commands; may be left out. [default: that of the run]")
    run: Path = Field(description="Folder of a finished run.")
    method: str | None = Field(
        None, min_length=1, description="Which of the run's methods answers. [default: the one that edits]"
    )
    instruction: str = Field(
        "Answer the question with one of the options.", description="What stands in front of a question with options."
    )
    new_tokens: int = Field(60, ge=1, le=2**16, description="Tokens that are written at most.")

    @model_validator(mode="before")
    @classmethod
    def _one_word_is_the_run(cls, values: Any) -> Any:
        if isinstance(values, dict) and "run" not in values and values.get("model"):
            return {name: one for name, one in values.items() if name != "model"} | {"run": values["model"]}
        return values


class ReplaySettings(OutputSettings):
    """Settings of `replay`."""

    panel: ClassVar[str] = "Making it again"
    positional: ClassVar[tuple[str, ...]] = ("run",)
    basic: ClassVar[tuple[str, ...]] = (
        *("out", "model", "data", "device", "threads", "plugin", "trust_remote_code"),
        *("resume", "overwrite", "json_output", "quiet"),
    )
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        ("biasectomy replay run", "Makes it again in run-replay, and compares every figure."),
        ("biasectomy replay run --data elsewhere", "Where the data have moved since."),
        ("biasectomy replay run --out again --resume", "Goes on with a replay that was interrupted."),
    )

    run: Path = Field(description="Folder of a finished run.")
    out: Path | None = Field(None, description="Folder for the new run. [default: RUN-replay beside it]")
    model: str | None = Field(None, min_length=1, description="Where the model is now. [default: as the record says]")
    data: Path | None = Field(None, description="Where data files are now. [default: as the record says]")
    device: str | None = Field(None, description="Device: auto, cpu, cuda, ... [default: as the record says]")
    threads: int | None = Field(None, ge=1, le=1024, description="Processor threads. [default: as the record says]")
    plugin: Names = Field((), description="The plugins of the run, named again: they are code.")
    trust_remote_code: bool = Field(False, description="Let the hub model run its own code, as it did in the run.")
    resume: bool = Field(False, description="Go on with an interrupted replay in the folder.")
    overwrite: bool = Field(False, description="Replace an earlier replay in the folder.")


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


def _check_form(save_as: str, save_dtype: str) -> None:
    if save_as == "adapter" and save_dtype != "auto":
        raise SettingsError(
            f"--save-dtype {save_dtype} is for checkpoints; an adapter holds factors in float32: leave it out, or give "
            "--as checkpoint."
        )


COMMANDS: dict[str, type[Settings]] = {
    "mitigate": MitigateSettings,
    "compare": CompareSettings,
    "evaluate": EvaluateSettings,
    "find": FindSettings,
    "apply": ApplySettings,
    "describe": DescribeSettings,
    "judge": JudgeSettings,
    "push": PushSettings,
    "ask": AskSettings,
    "replay": ReplaySettings,
}
