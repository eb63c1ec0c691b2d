"""Settings that several commands share: output, model, task, evaluation, split and fitting; descriptions are help.

Those of methods and attributions are written beside their code; a command takes them in sections, such as
`--crispr.variant` or a table `[crispr]`. Where values come from: see `settings_loading`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from biasectomy.commands.presets import AUTHORS
from biasectomy.commands.settings_base import Settings
from biasectomy.errors import SettingsError
from biasectomy.methods import METHODS
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
    shard: bool = Field(
        False, description="Spread the model's weights over the processes of a launcher: for one that no card holds."
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


class SplitSettings(TaskSettings):
    """Which items may be learned from."""

    panel: ClassVar[str] = "Task"

    split: Literal["template", "random"] = Field(
        "template", description="Split into development and test items by template, or by item as the paper does."
    )
    development_share: Fraction = Field(0.5, description="Share of development items.")


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


def check_form(save_as: str, save_dtype: str) -> None:
    if save_as == "adapter" and save_dtype != "auto":
        raise SettingsError(
            f"--save-dtype {save_dtype} is for checkpoints; an adapter holds factors in float32: leave it out, or give "
            "--as checkpoint."
        )
