"""Tasks of lm-evaluation-harness (Gao et al., zenodo.12608602), asked by its own classes of a model as it is now.

Nothing of the harness is made again here: its task objects make the prompts, its `HFLM` asks the model in memory, its
`evaluate` judges the answers. What it found of every document is kept in the session's store, by checksum of who
answered and of what was asked, and becomes figures in `harness_figures`.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from biasectomy.errors import DataError, ModelError, SettingsError, SourceError, UnknownNameError
from biasectomy.measuring.harness_calls import NAME, complaints, harness_model, undisturbed
from biasectomy.measuring.session import Session
from biasectomy.measuring.store import Stored
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.questions import Answer, Answerer

CPU_DOCUMENTS, ACCELERATOR_DOCUMENTS = 8, 32  # requests in a batch, halved where the memory is too small
PLAIN = "none"  # the harness's name for a metric of answers that were not filtered

Found = dict[str, Any]  # what the harness found of one model: see `HarnessTask.ask`


@dataclass(frozen=True)
class HarnessTask:
    """A task of the harness, or a group that it sums up in figures of its own.

    `members` are its task objects by name, `groups` its objects for the group and those within, if it is one; of each
    member the first `limit` documents are asked.
    """

    name: str
    members: Mapping[str, Any]
    groups: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None

    @cached_property
    def documents(self) -> dict[str, int]:
        """How many documents of each member are asked."""
        return {name: len(_documents(task, self.limit)) for name, task in self.members.items()}

    @cached_property
    def description(self) -> dict[str, Any]:
        """What identifies it in a record; the checksum is over configurations, documents and examples."""
        digest = hashlib.sha256()
        for name, task in self.members.items():
            config = task.dump_config()
            config["metadata"] = {**(config.get("metadata") or {}), "config_source": None}  # a place on one machine
            shots = list(task.fewshot_docs() or ()) if _shots(task) else []
            digest.update(_as_text([name, config, _documents(task, self.limit), shots]).encode())
        return {
            "name": self.name,
            "version": metadata.version("lm_eval"),
            "documents": self.documents,
            "examples": {name: _shots(task) for name, task in self.members.items()},
            "limit": self.limit,
            "data": {name: [task.DATASET_PATH, task.DATASET_NAME] for name, task in self.members.items()},
            "checksum": digest.hexdigest(),
        }

    def ask(self, model: LanguageModel, session: Session) -> Found:
        """What the harness finds of the model as it is now, from the store where it has been found before.

        `members` holds by name `values`, a number or None for each document by figure ("acc,none": the metric and the
        filter), and `answers`; `figures` holds by figure the harness's own `value`, whether it is the `mean` of the
        documents' values, whether members weigh `by_size`, whether `higher` is better, and the `aggregation`'s name.

        Raises:
            DataError: the harness fails; says at what.
            ModelError: the memory is too small even for one document.
        """
        key = self._key(model, session.seed)

        def found() -> str:
            if key in (known := session.store.find([key])):
                return known[key].texts[0]
            text = json.dumps(self._asked(model, session.seed))
            session.store.add({key: Answer(texts=(text,))})
            return text

        result: Found = json.loads(session.processes.once(found))
        return result

    def _key(self, model: LanguageModel, seed: int) -> bytes:
        """Checksum of who answers and of all that decides what is asked."""
        tokenizer, template = model.tokenizer, model.prompt_format.template
        backend = getattr(tokenizer, "backend_tokenizer", None)
        tokens = json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()
        tokens |= dict.fromkeys(("padding", "truncation"))  # whatever they were set to last
        asking = [template.source if template is not None else None, tokenizer.bos_token, tokenizer.eos_token, seed]
        return hashlib.sha256(_as_text([NAME, model.key, self.description, tokens, asking]).encode()).digest()

    def _asked(self, model: LanguageModel, seed: int) -> Found:
        """What the harness finds, with batches as small as the memory needs them."""
        size = CPU_DOCUMENTS if model.model.device.type == "cpu" else ACCELERATOR_DOCUMENTS
        while True:
            try:
                with undisturbed(seed), complaints(f"{NAME} fails at '{self.name}'", DataError):
                    return self._found(_results(self, model, size, seed))
            except (RuntimeError, MemoryError) as error:
                if size == 1:
                    raise ModelError(
                        f"The memory is too small even for one document of '{self.name}'; a smaller --dtype, a smaller "
                        "model or a larger machine would be right."
                    ) from error
            size //= 2

    def _found(self, results: Mapping[str, Any]) -> Found:
        """See `ask`."""
        from lm_eval.api.metrics import mean, nanmean

        members = {name: _of_documents(results["samples"][name], self.documents[name]) for name in self.members}
        figures: dict[str, dict[str, Any]] = {}
        for figure, value in results["results"][self.name].items():
            metric, comma, _ = figure.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(_number(value), float):
                continue
            having = [(task, members[name]) for name, task in self.members.items() if figure in members[name]["values"]]
            aggregations = [task.aggregation().get(metric) for task, _ in having]
            numbers = all(one["values"][figure] is not None for _, one in having)
            figures[figure] = {
                "value": _number(value),
                "mean": numbers and all(one in (None, mean, nanmean) for one in aggregations),
                "by_size": _by_size(self.groups.get(self.name), metric),
                "higher": results["higher_is_better"].get(self.name, {}).get(metric),
                "aggregation": getattr(aggregations[0], "__name__", "mean") if aggregations else "",
            }
        return {"members": members, "figures": figures}


def load_harness(names: Sequence[str], folder: Path | None, limit: int | None, seed: int) -> list[HarnessTask]:
    """Tasks of the harness with their data, which is fetched where it is not at hand.

    A tag, or a group without a figure of its own, stands for its tasks.

    Args:
        names: of tasks, groups or tags.
        folder: with further tasks as the harness reads them (YAML); None where there are none.
        limit: at most so many documents of each task, the first ones; None for all.
        seed: of what loading draws at random, and of the examples.

    Raises:
        SettingsError: the harness is not installed, or cannot ask a model such a task.
        UnknownNameError: it has no task of that name.
        SourceError: the folder or the data of a task cannot be had, or a package that the task needs.
    """
    manager = _manager(names, folder)
    found: dict[str, HarnessTask] = {}
    for name in names:
        if name not in manager.all_tasks:
            raise _unknown(name, manager.all_tasks)
        data = (manager.task_index[name].cfg or {}).get("dataset_path")
        of = f" (data set {data})" if isinstance(data, str) else ""
        with undisturbed(seed), complaints(f"{NAME} cannot load '{name}'{of}", SourceError):
            loaded = manager.load([name])
            for one in loaded["tasks"].values():
                _refuse(one)
                one.set_config("num_fewshot", _shots(one))
            for task in _tasks(name, loaded, limit):
                _ = task.description  # reads all that is asked
                found.setdefault(task.name, task)
    return list(found.values())


def answers_by_itself(model: LanguageModel, answerer: Answerer) -> bool:
    """Whether answers are the model's as it is now: nobody rewords questions or reads the answers otherwise."""
    return answerer is model or (isinstance(answerer, Stored) and answerer.computing is model)


def _manager(names: Sequence[str], folder: Path | None) -> Any:
    """The harness's own list of tasks, among them those of a folder; the latter alone where they are all that is asked.

    Raises:
        SettingsError, SourceError: see `load_harness`.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise SettingsError("--harness needs the package lm-eval: pip install 'biasectomy[harness]'.") from None
    if folder is not None and not folder.is_dir():
        raise SourceError(f"There is no folder '{folder}'; --harness-path names one with tasks of {NAME} (YAML).")
    own = str(folder) if folder is not None else None
    with undisturbed(0), complaints(f"{NAME} cannot read its tasks", SourceError):
        if own is not None:
            manager = TaskManager(include_path=own, include_defaults=False)
            if {*names} <= {*manager.all_subtasks}:
                return manager  # the list of all takes seconds
        return TaskManager(include_path=own)


def _unknown(name: str, known: Sequence[str]) -> SettingsError:
    """An error that names the nearest task; where none is near, not all of them, which are many thousands."""
    error = UnknownNameError(f"task of {NAME}", name, known)
    if error.suggestion is not None:
        return error
    return SettingsError(f"There is no task of {NAME} named '{name}'; 'lm-eval ls tasks' lists them.")


def _tasks(name: str, loaded: Mapping[str, Any], limit: int | None) -> Iterator[HarnessTask]:
    """What a name stands for: one group with a figure of its own, or tasks."""
    group = loaded["groups"].get(name)
    if group is not None and group.has_aggregation:
        yield HarnessTask(name, loaded["tasks"], loaded["groups"], limit)
    else:
        yield from (HarnessTask(one, {one: task}, limit=limit) for one, task in loaded["tasks"].items())


def _refuse(task: Any) -> None:
    """Refuses what cannot be asked so: code that a model wrote is not run here, and a question is text."""
    if getattr(task, "UNSAFE_CODE", False):
        raise SettingsError(f"'{task.task_name}' runs code that the model writes, which is not done here.")
    if getattr(task, "MULTIMODAL", False):
        raise SettingsError(f"'{task.task_name}' asks about images or sounds, and the model is given text only.")


def _results(task: HarnessTask, model: LanguageModel, size: int, seed: int) -> Mapping[str, Any]:
    """What `evaluate` of the harness returns: what its `simple_evaluate` does, without looking at the machine."""
    from lm_eval.evaluator import evaluate

    for one in task.members.values():
        one.set_fewshot_seed(seed)
    results: Mapping[str, Any] = evaluate(
        harness_model(model, size, task.name),
        {"tasks": task.members, "groups": task.groups},
        limit=task.limit,
        bootstrap_iters=0,  # intervals are made here
        log_samples=True,
        apply_chat_template=model.prompt_format.chat,
        fewshot_as_multiturn=True,
    )
    return results


def _of_documents(samples: Sequence[Mapping[str, Any]], count: int) -> dict[str, Any]:
    """The values of each figure by document, None for a figure whose values are no numbers; and the answers."""
    values: dict[str, list[float | None] | None] = {}
    answers: list[list[Any]] = [[] for _ in range(count)]
    for sample in samples:
        document = sample["doc_id"]
        answers[document] = [one for each in sample["resps"] for one in each]
        for metric in sample["metrics"]:
            of_all = values.setdefault(f"{metric},{sample['filter']}", [None] * count)
            value = _number(sample[metric])
            if not isinstance(value, float):
                values[f"{metric},{sample['filter']}"] = None
            elif of_all is not None and not math.isnan(value):
                of_all[document] = value
    return {"values": values, "answers": json.loads(_as_text(answers))}


def _number(value: Any) -> Any:
    """A number as a float, a missing one as NaN; whatever else as it is."""
    if value is None:
        return math.nan
    return float(value) if isinstance(value, bool | int | float | np.bool_ | np.number) else value


def _by_size(group: Any, metric: str) -> bool:
    """Whether members count in a group's figure by how many documents they have."""
    rules = group.aggregate_metric_list if group is not None else ()
    return all(rule.weight_by_size for rule in rules if rule.metric == metric)


def _documents(task: Any, limit: int | None) -> list[Any]:
    return [document for _, document in task.doc_iterator(limit=limit)]


def _shots(task: Any) -> int:
    """How many examples stand in front of a question: the task's own number."""
    return int(task.get_config("num_fewshot") or 0)


def _as_text(value: Any) -> str:
    """JSON of anything, alike in every process: functions by their source or name, never by where they are kept."""
    text = json.dumps(value, sort_keys=True, default=_plainly)
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _plainly(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return sorted(map(str, value)) if isinstance(value, set) else getattr(value, "__qualname__", str(value))
