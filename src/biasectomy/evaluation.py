"""Asking a model every item under every instruction, and reading its answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from biasectomy.console import Console
from biasectomy.errors import ScoreError, UnknownNameError
from biasectomy.generation import generate, matching_option, plan_generation
from biasectomy.language_model import LanguageModel
from biasectomy.layouts import Batch
from biasectomy.likelihood import OptionScores, first_not_finite
from biasectomy.neuron_set import NeuronSet
from biasectomy.processes import ALONE, Processes
from biasectomy.prompts import EncodedPrompt
from biasectomy.report.figures import format_figure
from biasectomy.results import Results, figures, interval_settings
from biasectomy.runs import Journal, key_of
from biasectomy.score_cache import ScoreCache, prompt_key, subject_checksum, weights_checksum
from biasectomy.tasks.base import Item, Task

Choices = npt.NDArray[np.int64]


def choose_by_sum(scores: OptionScores) -> int:
    """The option with the highest summed log-likelihood (CRISPR's rule); the first of equals."""
    return int(np.argmax(scores.log_likelihoods))


def choose_by_mean(scores: OptionScores) -> int:
    """The option with the highest log-likelihood per token; the first of equals."""
    return int(np.argmax([value / count for value, count in zip(scores.log_likelihoods, scores.tokens, strict=True)]))


LIKELIHOOD_RULES: dict[str, Callable[[OptionScores], int]] = {"sum": choose_by_sum, "mean": choose_by_mean}
ANSWER_RULES = (*LIKELIHOOD_RULES, "generation")


def _scores(response: dict[str, Any]) -> OptionScores:
    return OptionScores(tuple(response["log_likelihoods"]), tuple(response["tokens"]))


@dataclass(frozen=True, slots=True)
class Subject:
    """Who answers: a method's display name, how many neurons it edits, which draw, and the edit itself."""

    method: str
    neurons: int = 0
    draw: int = 0
    neuron_set: NeuronSet | None = None


ORIGINAL = Subject("Original")


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked at once: items with their prompts and records, and which of them nobody knows the answer to."""

    subject: Subject
    items: Sequence[Item]
    prompts: Sequence[EncodedPrompt]
    records: Sequence[dict[str, Any]]
    unknown: set[int]
    advance: Callable[[int], Any]


@dataclass
class Examiner:
    """Puts items to a language model and keeps what it answered.

    Everything scored goes to the journal as it comes; what the journal knows is not computed again. Several
    processes divide the batches among them, and all end with the same journal.
    Batches are planned from the whole request, so an interrupted request that is made again gives the
    same numbers to the last bit.
    """

    language_model: LanguageModel
    answer_rule: str = "sum"
    journal: Journal = field(default_factory=Journal)
    console: Console = field(default_factory=lambda: Console(quiet=True))
    processes: Processes = ALONE
    cache: ScoreCache | None = None
    _encoded: dict[tuple[str, str], EncodedPrompt] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.answer_rule not in ANSWER_RULES:
            raise UnknownNameError("answer rule", self.answer_rule, ANSWER_RULES)
        self._weights = weights_checksum(self.language_model.model) if self.cache else ""

    def answers(
        self,
        task: Task,
        subject: Subject = ORIGINAL,
        *,
        split: str = "all",
        advance: Callable[[int], Any] | None = None,
    ) -> Choices:
        """Chosen options, [instructions, items]; -1 where a generated answer matched no option.

        Raises:
            ScoreError: a log-likelihood is NaN or infinite; names the item.
        """
        advance = advance or (lambda count: None)
        asked = [(number, item) for number in range(len(task.instructions)) for item in task.items]
        records = [self._record(subject, split, number, item) for number, item in asked]
        unknown = {index for index, record in enumerate(records) if key_of(record) not in self.journal}
        advance(len(records) - len(unknown))
        if unknown:
            prompts = [self.encoded(task.instructions[number], item) for number, item in asked]
            request = _Request(subject, [item for _, item in asked], prompts, records, unknown, advance)
            keys = self._take_from_cache(request)
            with self.language_model.edited(subject.neuron_set):
                self._ask(request, keys)
        answers = [self.journal[key_of(record)]["answer"] for record in records]
        return np.array(answers, dtype=np.int64).reshape(len(task.instructions), len(task.items))

    def _ask(self, request: _Request, keys: Sequence[bytes]) -> None:
        plan = plan_generation if self.answer_rule == "generation" else LanguageModel.plan

        def responses(batch: Batch) -> list[dict[str, Any]]:
            return self._responses(batch, [request.items[index] for index in batch.indices])

        batches = plan(self.language_model, request.prompts)
        wanted = [batch for batch in batches if request.unknown.intersection(batch.indices)]
        for batch, found in self.processes.map(responses, wanted):
            by_index = dict(zip(batch.indices, found, strict=True))
            self._keep(request, by_index)
            if self.cache and self.processes.main:
                self.cache.add({keys[index]: response for index, response in by_index.items()})
            request.advance(len(request.unknown.intersection(batch.indices)))

    def _responses(self, batch: Batch, items: Sequence[Item]) -> list[dict[str, Any]]:
        """What the model itself gives to the prompts of a batch."""
        if self.answer_rule == "generation":
            return [{"text": text} for text in generate(self.language_model, batch)]
        found = self.language_model.score(batch)
        if not all(scores.finite for scores in found):
            self._refuse_not_finite(list(zip(items, batch.prompts, strict=True)))
        return [{"log_likelihoods": list(scores.log_likelihoods), "tokens": list(scores.tokens)} for scores in found]

    def _keep(self, request: _Request, responses: Mapping[int, dict[str, Any]]) -> None:
        """Writes responses, with the options that they choose, to the journal."""
        self.journal.append(
            request.records[index] | self._answered(response, request.items[index])
            for index, response in responses.items()
        )

    def _answered(self, response: dict[str, Any], item: Item) -> dict[str, Any]:
        """A response with the option that it chooses."""
        if self.answer_rule == "generation":
            return response | {"answer": matching_option(response["text"], item.options)}
        return response | {"answer": LIKELIHOOD_RULES[self.answer_rule](_scores(response))}

    def _take_from_cache(self, request: _Request) -> list[bytes]:
        """Moves what the cache knows to the journal and out of `request.unknown`; the key of every prompt."""
        if self.cache is None:
            return []
        cache, kind = self.cache, "generation" if self.answer_rule == "generation" else "likelihood"
        subject_key = subject_checksum(self._weights, request.subject.neuron_set, kind)
        keys = [prompt_key(subject_key, prompt) for prompt in request.prompts]
        found = self.processes.once(lambda: cache.find([keys[index] for index in sorted(request.unknown)]))
        known = {index: found[keys[index]] for index in sorted(request.unknown) if keys[index] in found}
        self._keep(request, known)
        request.unknown.difference_update(known)
        request.advance(len(known))
        return keys

    def encoded(self, instruction: str, item: Item) -> EncodedPrompt:
        """Tokens of an item under an instruction, made once."""
        key = (instruction, item.identifier)
        if key not in self._encoded:
            self._encoded[key] = self.language_model.prompt_format.encode(instruction, item)
        return self._encoded[key]

    def _refuse_not_finite(self, batch: Sequence[tuple[Item, EncodedPrompt]]) -> NoReturn:
        culprit = first_not_finite(
            self.language_model.model, [prompt for _, prompt in batch], self.language_model.layout
        )
        item, scores = (batch[culprit[0]][0].identifier, culprit[1].log_likelihoods) if culprit else ("unknown", ())
        raise ScoreError(
            f"Item {item}: the model's log-likelihoods of its options are not finite "
            f"({', '.join(f'{value:g}' for value in scores)}). "
            "Its weights may be damaged, or --dtype float32 may be needed."
        )

    @staticmethod
    def _record(subject: Subject, split: str, instruction: int, item: Item) -> dict[str, Any]:
        return {
            "method": subject.method,
            "neurons": subject.neurons,
            "draw": subject.draw,
            "split": split,
            "task": item.task,
            "item": item.identifier,
            "instruction": instruction,
            "gold": item.gold,
        }


@dataclass(frozen=True)
class Evaluation:
    """Answers of one model to one task; `results` computes the figures."""

    task: Task
    choices: Choices  # [instructions, items]
    method: str
    seed: int = 0

    @property
    def results(self) -> Results:
        """Every metric with its interval."""
        return self._results({self.method: self.choices})

    def __str__(self) -> str:
        lines = [f"{self.method} on {self.task.name}: {len(self.task.items)} items"]
        lines += [f"{row.metric:32} {format_figure(row)}" for row in self.results.metrics if row.task == self.task.name]
        return "\n".join(lines)

    def compare(self, before: "Evaluation") -> Results:
        """Figures of both and their paired differences, this one minus `before`."""
        names = (self.method, before.method) if self.method != before.method else ("After", "Before")
        return self._results({names[1]: before.choices, names[0]: self.choices}, [names])

    def _results(self, choices: dict[str, Choices], comparisons: list[tuple[str, str]] | None = None) -> Results:
        stacked = {method: values[None] for method, values in choices.items()}
        metrics, differences = figures(self.task, "all", stacked, seed=self.seed, comparisons=comparisons)
        return replace(Results(tuple(metrics), tuple(differences)), interval=interval_settings(seed=self.seed))


def evaluate(
    language_model: LanguageModel, task: Task, *, answer_rule: str = "sum", method: str = "Model", seed: int = 0
) -> Evaluation:
    """Answers of a model, as it is now (inside `with model.edited(...)`: as edited), to a task.

    Raises:
        UnknownNameError: there is no such answer rule.
        ScoreError: a log-likelihood is NaN or infinite; names the item.
    """
    examiner = Examiner(language_model, answer_rule)
    return Evaluation(task, examiner.answers(task, Subject(method)), method, seed)
