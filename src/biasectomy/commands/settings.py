"""The settings of every command: one model a command, whose descriptions are the help text.

A value comes from the command line, else from the environment (`BIASECTOMY_SEED=1`), else from a TOML
file (`seed = 1`), else from the default written here.
"""

import difflib
import os
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from biasectomy.errors import SettingsError, UnknownNameError

ENVIRONMENT_PREFIX = "BIASECTOMY_"
DEFAULT_GRID = (0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500)

# How a run is handled, not what it computes: the command that makes a run again leaves these out.
HANDLING = frozenset({"quiet", "json_output", "resume", "overwrite", "score_cache"})


def _parse_grid(value: object) -> object:
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("whole numbers joined by commas, such as 0,1,5,20")
    try:
        counts = {int(part) if isinstance(part, str) else part for part in parts}
    except (ValueError, TypeError):
        counts = {-1}
    if any(not isinstance(count, int) or isinstance(count, bool) or count < 0 for count in counts):
        raise ValueError("whole numbers of 0 or more joined by commas, such as 0,1,5,20")
    return tuple(sorted(counts | {0}))  # 0 is always a candidate: the tool may say that nothing helps


Grid = Annotated[tuple[int, ...], BeforeValidator(_parse_grid)]
Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown names, and every complaint is one `SettingsError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)
    positional: ClassVar[tuple[str, ...]] = ("model",)
    panel: ClassVar[str] = ""  # heading under which the fields a class declares are listed by --help

    @model_validator(mode="wrap")
    @classmethod
    def _complain_in_one_sentence(
        cls, values: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        try:
            settings = handler(values)
        except ValidationError as error:
            raise _explain(cls, error, (info.context or {}).get("origins", {})) from None
        settings._check()
        return settings

    def _check(self) -> None:
        """Contradictions between fields; a subclass adds its own. Raises `SettingsError`."""
        values = self.__dict__
        if values.get("resume") and values.get("overwrite"):
            raise SettingsError("--resume and --overwrite exclude each other; give one of them.")
        if values.get("clamp_group", 1) > 1 and values.get("variant") != "authors":
            raise SettingsError(
                f"--clamp-group {values['clamp_group']} needs --variant authors; the paper clamps each instance."
            )


class OutputSettings(Settings):
    """What appears on the terminal."""

    panel: ClassVar[str] = "Output"

    quiet: bool = Field(False, description="Print nothing but warnings and errors.")
    json_output: bool = Field(False, description="Print the result as JSON on standard output, and nothing else there.")


class ModelSettings(OutputSettings):
    """Which model, and how it is run."""

    panel: ClassVar[str] = "Model and machine"

    model: str = Field(
        "smollm2", min_length=1, description="Model: a hub id, a folder, a GGUF file, or a name listed by 'ls models'."
    )
    data: Path | None = Field(
        None, description="Folder with data files, instead of the pinned packages they come from."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything drawn at random.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Number format the model computes in; bfloat16 is faster and changes some answers."
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
    batch_tokens: int | None = Field(None, ge=1, description="Tokens in one batch. [default: found by trying]")
    prompt: Literal["auto", "chat", "plain"] = Field(
        "auto",
        description="Prompt format: the model's chat template, plain text, or the template where there is one (auto).",
    )
    trust_remote_code: bool = Field(False, description="Let a hub model run its own Python code.")
    threads: int | None = Field(None, ge=1, description="Processor threads. [default: all]")


class EvaluationSettings(ModelSettings):
    """What the model is asked and how its answers are judged."""

    panel: ClassVar[str] = "Evaluation"

    task: str = Field("bbq:age", min_length=1, description="Task, or several joined by commas; 'ls tasks' lists them.")
    instructions: Path | None = Field(None, description="File with instructions of your own, one a line.")
    max_items: int | None = Field(None, ge=1, description="At most so many items, spread evenly. [default: all]")
    max_instructions: int | None = Field(None, ge=1, description="At most so many instructions. [default: all]")
    answer_rule: Literal["sum", "mean", "generation"] = Field(
        "sum", description="How an answer is read: summed or mean log-likelihood of each option, or generated text."
    )
    replicates: int = Field(2000, ge=2, description="Bootstrap replicates behind each interval.")
    level: Fraction = Field(0.95, description="Level of the intervals.")
    perplexity_paragraphs: int = Field(60, ge=0, description="Paragraphs of neutral text for perplexity; 0: none.")
    score_cache: Path | None = Field(
        None, description="Folder that keeps answers across runs; the same weights are not asked the same again."
    )


class EvaluateSettings(EvaluationSettings):
    """Settings of `evaluate`."""

    panel: ClassVar[str] = "Evaluation"

    neurons_file: Path | None = Field(None, description="Evaluate the model with this neuron set applied.")
    out: Path | None = Field(None, description="Folder for the results. [default: none is written]")
    resume: bool = Field(False, description="Go on with an interrupted run in the folder.")
    overwrite: bool = Field(False, description="Replace what is in the folder.")


class AttributionSettings(EvaluationSettings):
    """How neurons are found."""

    panel: ClassVar[str] = "Finding neurons"

    attribution: str = Field(
        "crispr", min_length=1, description="How neurons are scored; 'ls attributions' lists the ways."
    )
    variant: Literal["paper", "authors"] = Field(
        "paper", description="The formula of the paper or of its authors' code."
    )
    definition: Literal["linear-output", "ffn-hidden"] = Field(
        "linear-output",
        description="What a neuron is: an output of a linear map, or a hidden unit of a feed-forward block.",
    )
    instances: int = Field(20, ge=1, description="Development items scored in one trial.")
    trials: int = Field(3, ge=1, description="Trials, each with its own draw of items.")
    clamp_group: int = Field(1, ge=1, description="Instances clamped together (variant authors; their code has 4).")
    checkpointing: bool = Field(
        False, description="Less memory for finding neurons: blocks are computed again instead of kept (slower)."
    )
    split: Literal["template", "random"] = Field(
        "template", description="Split into development and test items by template, or by item as the paper does."
    )
    development_share: Fraction = Field(0.3, description="Share of development items.")


class FindSettings(AttributionSettings):
    """Settings of `find`."""

    panel: ClassVar[str] = "Finding neurons"

    count: int = Field(500, ge=1, description="How many top neurons are saved.")
    out: Path = Field(Path("neurons.json"), description="File for the neuron set.")
    overwrite: bool = Field(False, description="Replace the file if there is one.")


class MitigateSettings(AttributionSettings):
    """Settings of `mitigate`."""

    panel: ClassVar[str] = "Choosing n and saving"

    grid: Grid = Field(DEFAULT_GRID, description="Numbers of neurons to try, joined by commas; 0 is always among them.")
    objective: Literal["balanced", "accuracy"] = Field(
        "balanced", description="What is made best: mean of ambiguous and disambiguated accuracy, or pooled accuracy."
    )
    margin: float = Field(
        0.02, ge=0, le=1, description="How far disambiguated accuracy may fall, as a share (balanced)."
    )
    racing: bool = Field(True, description="Drop clearly worse numbers of neurons early.")
    controls: int = Field(3, ge=0, description="Draws of random neurons to compare with; 0: none.")
    out: Path = Field(Path("run"), description="Run folder.")
    resume: bool = Field(False, description="Go on with the interrupted run in the folder.")
    overwrite: bool = Field(False, description="Replace the run in the folder.")


class ApplySettings(ModelSettings):
    """Settings of `apply`."""

    panel: ClassVar[str] = "Applying"
    positional: ClassVar[tuple[str, ...]] = ("neurons_file", "model")

    neurons_file: Path = Field(description="Neuron set: a neurons.json written by find or mitigate.")
    out: Path = Field(Path("edited-model"), description="Folder for the checkpoint.")
    count: int | None = Field(None, ge=0, description="Apply only the first so many neurons. [default: all]")
    overwrite: bool = Field(False, description="Replace the folder if there is one.")


COMMANDS: dict[str, type[Settings]] = {
    "mitigate": MitigateSettings,
    "evaluate": EvaluateSettings,
    "find": FindSettings,
    "apply": ApplySettings,
}
AnySettings = TypeVar("AnySettings", bound=Settings)


def option_name(field: str) -> str:
    """The command-line option of a field, such as `--max-items`."""
    return {"json_output": "--json", "neurons_file": "--neurons"}.get(field, "--" + field.replace("_", "-"))


def load_settings(kind: type[AnySettings], given: Mapping[str, Any], config: Path | None = None) -> AnySettings:
    """Settings from what the command line gave, the environment, a TOML file and the defaults, in that order.

    One TOML file may serve all commands: a name that only another command knows is passed over.

    Raises:
        SettingsError: a value is not usable or the file cannot be read.
        UnknownNameError: the file has a name that no command knows.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, value in (_read_config(config) if config else {}).items():
        if name in kind.model_fields:
            values[name], origins[name] = value, f"'{name}' in {config}"
    for name in kind.model_fields:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if text := os.environ.get(variable):
            values[name], origins[name] = text, f"the environment variable {variable}"
    for name, value in given.items():
        values[name], origins[name] = value, _label(kind, name)
    return kind.model_validate(values, context={"origins": origins})


def explicit_command(settings: Settings) -> str:
    """The shell command line that makes a run again: every setting that is not the default, spelled out."""
    kind = type(settings)
    command = next(name for name, known in COMMANDS.items() if known is kind)
    words = ["biasectomy", command]
    for name in kind.positional:
        words.append(str(getattr(settings, name)))
    for name, field in kind.model_fields.items():
        value = getattr(settings, name)
        if name in kind.positional or name in HANDLING or value is None or value == field.default:
            continue
        option = option_name(name)
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"There is no configuration file '{path}'; give --config a TOML file that exists."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The configuration file '{path}' cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The configuration file '{path}' is not valid TOML: {error}.") from None
    known = {name for kind in COMMANDS.values() for name in kind.model_fields}
    for name in values:
        if name not in known:
            raise UnknownNameError(f"setting (in {path})", name, known)
    return values


def _label(kind: type[Settings], name: str) -> str:
    return name.removesuffix("_file").upper() if name in kind.positional else option_name(name)


def _explain(kind: type[Settings], error: ValidationError, origins: Mapping[str, str]) -> SettingsError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return UnknownNameError("setting", name, kind.model_fields)
    label = origins.get(name, _label(kind, name))
    if first["type"] == "missing":
        return SettingsError(f"{label} is missing; {_lower(kind.model_fields[name].description or 'give it')}")
    shown = first["input"] if isinstance(first["input"], str) else str(first["input"])
    return SettingsError(f"{label} is '{shown}'; it must be {_what_would_be_right(kind, name, first)}.")


def _what_would_be_right(kind: type[Settings], name: str, problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx", {})
    known = choices(kind.model_fields[name].annotation)
    if known:
        near = difflib.get_close_matches(str(problem["input"]).lower(), known, n=1, cutoff=0.5)
        return f"one of {', '.join(known)}" + (f" (did you mean '{near[0]}'?)" if near else "")
    match problem["type"]:
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return "one of auto, cpu, mps, cuda, cuda:1, xpu"
        case "string_too_short":
            return "a name"
        case "greater_than_equal":
            return f"at least {context['ge']:g}"
        case "greater_than":
            return f"more than {context['gt']:g}"
        case "less_than_equal":
            return f"at most {context['le']:g}"
        case "less_than":
            return f"less than {context['lt']:g}"
        case kind_of_problem:
            kinds = {"int": "a whole number", "float": "a number", "finite": "a number", "bool": "true or false"}
            kinds |= {"path": "a path", "string": "text"}
            return kinds.get(kind_of_problem.split("_")[0], _lower(problem["msg"]))


def choices(annotation: Any) -> list[str]:
    """The values a field may have, where its type lists them; None besides them does not count."""
    kinds = [annotation, *get_args(annotation)]
    return [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
