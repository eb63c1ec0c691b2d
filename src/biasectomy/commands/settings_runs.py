"""Settings of the commands that go on with a finished run: `judge`, `push`, `ask` and `replay`."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from biasectomy.commands.settings_shared import PUBLIC, YES, ModelSettings, Names, OutputSettings, ResultSettings


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
