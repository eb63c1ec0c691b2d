"""The metadata of a model card: what the original's says, and the figures of a run, in the hub's classes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from biasectomy.measuring.results import MetricRow, Results
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.models.originals import Original
from biasectomy.report.figures import DECIMALS, USUAL, format_figure
from biasectomy.report.finished import FinishedRun
from biasectomy.tasks import TASKS

if TYPE_CHECKING:  # slow to import
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

Form = Literal["checkpoint", "adapter"]
RELATION: dict[Form, str] = {"checkpoint": "finetune", "adapter": "adapter"}
LIBRARY: dict[Form, str] = {"checkpoint": "transformers", "adapter": "peft"}
TAG = "biasectomy"
# Of the original alone: its figures, what it was made of, how it is loaded, and what has taken its place.
NOT_KEPT = {"base_model", "base_model_relation", "library_name", "model-index", "model_name", "new_version"}
NOT_KEPT |= {"eval_results", "metrics"}


@dataclass(frozen=True)
class Subject:
    """What a card is about: what a method of a run made of a model."""

    run: FinishedRun
    method: str  # its name
    original: Original
    form: Form

    @property
    def results(self) -> Results:
        """The figures of the run."""
        return self.run.results

    @property
    def encoder_decoder(self) -> bool:
        """Whether the model reads questions with an encoder: then no token stands in front of whole texts."""
        prompt = self.run.record.get("prompt") or {}
        return "prefix" in prompt and prompt["prefix"] is None

    @property
    def rows(self) -> list[MetricRow]:
        """The method's figures that say how it did: those with a role, and goals, of whole tasks."""
        goals, whole = self.results.goals, self.results.tasks or [row.task for row in self.results.metrics]
        own = [row for row in self.results.metrics if row.method == self.method and row.task in whole]
        return [row for row in own if self.results.description(row.metric).role or goals.get(row.task) == row.metric]


def card_data(subject: Subject, own: Mapping[str, Any]) -> "ModelCardData":
    """The metadata.

    Args:
        subject: what the card is about.
        own: the metadata of the original's card; licence, language, tags, data sets and whatever else is kept.
    """
    from huggingface_hub import ModelCardData

    original, form = subject.original, subject.form
    kept: dict[str, Any] = {name: value for name, value in own.items() if name not in NOT_KEPT and value is not None}
    tags = kept.pop("tags", None)
    tags = [tags] if isinstance(tags, str) else tags if isinstance(tags, list) else []
    if original.licence and "license" not in kept:
        kept["license"] = original.licence.lower()
    if original.hub_id:
        kept["base_model_relation"] = RELATION[form]
    usual = "text2text-generation" if subject.encoder_decoder else "text-generation"
    named = kept.pop("pipeline_tag", None)
    task = named if isinstance(named, str) else usual
    name = original.name.rpartition("/")[2]
    return ModelCardData(
        base_model=original.hub_id,
        library_name=LIBRARY[form],
        tags=[*map(str, tags), TAG],
        pipeline_tag=task,
        model_name=f"{name}-{subject.method}",
        eval_results=[_result(subject, row, task) for row in subject.rows if math.isfinite(row.value)] or None,
        **kept,
    )


def _result(subject: Subject, row: MetricRow, task: str) -> "EvalResult":
    """A figure as the hub has it: its value with the interval as text, and all numbers among the arguments."""
    from huggingface_hub import EvalResult

    results, described = subject.results, subject.results.description(row.metric)
    family, _, member = row.task.partition(":")
    title = TASKS[family].title.partition(":")[0].partition(",")[0] if family in TASKS else family
    cell = format_figure(row, decimals=DECIMALS.get(described.unit, USUAL))
    before = results.find(ORIGINAL, row.metric, task=row.task, split=row.split)
    numbers = {"value": row.value, "low": row.low, "high": row.high, "coverage": row.coverage}
    numbers |= {ORIGINAL: before.value} if before is not None and before.method != row.method else {}
    known = {name: value for name, value in numbers.items() if math.isfinite(value)}
    level = {"level": results.interval["level"]} if "low" in known and "level" in results.interval else {}
    about: dict[str, Any] = next(
        (one for one in subject.run.record.get("tasks") or () if one.get("name") == row.task), {}
    )
    return EvalResult(
        task_type=task,
        dataset_type=family,
        dataset_name=f"{title} ({member})" if member else title,
        dataset_config=member or None,
        dataset_split=row.split,
        dataset_args={name: about[name] for name in ("version", "answer_rule", "checksum") if about.get(name)} or None,
        metric_type=row.metric,
        metric_name=described.title,
        metric_value=f"{cell.value} {cell.interval}".strip() if cell.interval else row.value,
        metric_args=known | level | {"items": row.items, "clusters": row.clusters},
    )


def read_card(text: str | None) -> tuple[dict[str, Any], str, str]:
    """Metadata and text of a model's own card, and why the metadata cannot be used; all empty without one."""
    if text is None:
        return {}, "", ""
    text = text.replace("\r\n", "\n")
    try:
        card = parsed(text)
        found: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever people write there
        return {}, text, " ".join(str(error).split())[:200] or type(error).__name__
    return found, card.text.strip("\n"), ""


def parsed(text: str) -> "ModelCard":
    """A card as the hub's class reads it; figures that it cannot read are passed over."""
    from huggingface_hub import ModelCard
    from huggingface_hub.utils import logging

    # Without a block of metadata the class warns; an empty one is the same.
    text = text if text.lstrip().startswith("---") else f"---\n{{}}\n---\n{text}"
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        return ModelCard(text, ignore_metadata_errors=True)
    finally:
        logging.set_verbosity(before)
