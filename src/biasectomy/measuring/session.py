"""What a computation carries with it: store, processes, statistics settings, where artefacts go, who was fitted."""

import contextlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from biasectomy.errors import DataError, ScoreError
from biasectomy.files import without_nan, writing
from biasectomy.measuring.statistics import ClusterBootstrap
from biasectomy.measuring.store import Asked, Computing, MemoryStore, Store, Stored
from biasectomy.narration import Advance
from biasectomy.processes import ALONE, Processes
from biasectomy.reading.questions import Answer, Answerer, Question
from biasectomy.run_files import of_method
from biasectomy.tasks.answer_rules import SCORES
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.judges import Judge
from biasectomy.tasks.metrics import Answers, Goal
from biasectomy.tasks.option_order import shows_order


class ItemLog:
    """`items.jsonl`: every answer in a form for people; written anew by a run that is resumed, out of the store."""

    def __init__(self, path: Path | None = None, processes: Processes = ALONE) -> None:
        self._path = path if processes.main else None
        if self._path is not None:
            with writing(self._path):
                self._path.write_bytes(b"")

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Appends one line a row and puts them on disk."""
        if self._path is None:
            return
        with writing(self._path), self._path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
            stream.flush()
            os.fsync(stream.fileno())


@dataclass
class Session:
    """Everything a method needs beside the model and the task.

    `objective` names the goal and `margin` takes the place of its guards' own; `neurons` is how many are to be changed
    and `drift` how far a model may go from the original, in nats a token: None leaves both to the method. `folder` is
    where what is being fitted keeps its artefacts, None where nothing is kept; `fitted` are the methods fitted before,
    by name; `data` is the folder of the user's data, None where BIASECTOMY_DATA alone may name one.
    """

    store: Store = field(default_factory=MemoryStore)
    processes: Processes = ALONE
    seed: int = 0
    replicates: int = 2000
    level: float = 0.95
    objective: str | None = None
    margin: float | None = None
    neurons: int | None = None
    drift: float | None = None
    folder: Path | None = None
    data: Path | None = None
    items: ItemLog = field(default_factory=ItemLog)
    fitted: dict[str, Any] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)

    def answerer(self, computing: Computing) -> Answerer:
        """A language model, as it is now, that is asked only what the store does not know."""
        return Stored(computing, self.store, self.processes, self.asked)

    def goal(self, task: Task) -> Goal:
        """The goal a method is fitted to.

        Raises:
            UnknownNameError, SettingsError: the task has no such goal, or none.
        """
        goal = task.goal(self.objective)
        if self.margin is None:
            return goal
        return replace(goal, guards=dict.fromkeys(goal.guards, self.margin))

    def bootstrap(self, task: Task) -> ClusterBootstrap:
        """The resamples behind the intervals of a task's figures."""
        return ClusterBootstrap([item.cluster for item in task.items], self.replicates, self.seed, self.level)

    def within(self, name: str) -> "Session":
        """The session of one method, with a folder of its own and a count of its own."""
        folder = of_method(self.folder, name) if self.folder is not None else None
        return replace(self, folder=folder, asked=Asked())

    def path(self, name: str) -> Path | None:
        """Where an artefact is kept; None where none is."""
        return self.folder / name if self.folder is not None else None

    def ask(
        self,
        task: Task,
        answerer: Answerer,
        *,
        split: str = "all",
        who: Mapping[str, Any] | None = None,
        advance: Advance | None = None,
    ) -> Answers:
        """Answers of one draw to every item under every instruction; `who` is noted beside each in `items.jsonl`.

        Raises:
            DataError, ScoreError: a question cannot be put into tokens, or an answer is not finite; names the item.
            ModelError: the memory is too small even for one question.
        """
        (found,) = self.ask_parts(task, [task], answerer, split=split, who=who, advance=advance)
        return found

    def ask_parts(
        self,
        task: Task,
        parts: Sequence[Task],
        answerer: Answerer,
        *,
        split: str = "all",
        who: Mapping[str, Any] | None = None,
        advance: Advance | None = None,
    ) -> list[Answers]:
        """The same for parts of a task, each with some of its items and some of its instructions, asked together."""
        questions = [part.questions() for part in parts]
        found: dict[int, Answer] = {}
        with contextlib.ExitStack() as stack:
            for part, its in zip(parts, questions, strict=True):
                stack.enter_context(naming_items(part, its))
            for batch in answerer([*itertools.chain(*questions)]):
                fresh = [index for index, _ in batch if index not in found]
                found.update(batch)
                if advance is not None:
                    advance(len(fresh))
        given = (found.get(index, Answer()) for index in itertools.count())
        arrays = []
        for part, its in zip(parts, questions, strict=True):
            self.asked.questions += len(its)
            answers = [*itertools.islice(given, len(its))]
            arrays.append(answers_of(part, answers))
            if who is not None:
                numbers = [task.instructions.index(one) for one in part.instructions]
                self.items.add(_rows(part, answers, arrays[-1], split, who, numbers))
        return arrays


def answers_of(task: Task, answers: Sequence[Answer]) -> Answers:
    """Answers in the order of `task.questions()` as arrays of one draw; texts are judged here."""
    shape = (1, len(task.instructions), len(task.items))
    asked = [item for _ in task.instructions for item in task.items]
    choices = [task.choice(item, answer) for item, answer in zip(asked, answers, strict=True)]
    texts = np.empty(shape, dtype=object)
    texts.reshape(-1)[:] = [" ".join(answer.texts) if answer.texts else None for answer in answers]
    widest = max((len(answer.log_likelihoods) for answer in answers), default=0)
    longest = max((len(answer.divergences) for answer in answers), default=0)
    scores = [SCORES[task.answer_rule](answer) if task.answer_rule in SCORES else () for answer in answers]
    found = Answers(
        np.array(choices, dtype=np.int64).reshape(shape),
        _padded([answer.log_likelihoods for answer in answers], widest, np.nan).reshape(*shape, widest),
        _padded(scores, widest, np.nan).reshape(*shape, widest),
        _padded([answer.tokens for answer in answers], widest, 0).astype(np.int64).reshape(*shape, widest),
        _padded([answer.words for answer in answers], widest, 0).astype(np.int64).reshape(*shape, widest),
        texts,
        divergences=_padded([answer.divergences for answer in answers], longest, np.nan).reshape(*shape, longest),
    )
    return judged(task, found)


def judged(task: Task, answers: Answers) -> Answers:
    """The same answers with what the task's judges make of their texts."""
    found = [_judged(quality, judge, answers.texts) for quality, judge in task.judges.items()]
    return replace(answers, judged={name: values for one in found for name, values in one.items()})


def _padded(rows: Sequence[Sequence[float]], width: int, filler: float) -> Any:
    values = np.full((len(rows), width), filler, dtype=np.float64)
    for row, entries in zip(values, rows, strict=True):
        row[: len(entries)] = entries
    return values


def _judged(quality: str, judge: Judge, texts: Any) -> dict[str, Any]:
    """What a judge makes of each text, by quality or QUALITY/LABEL, in the shape of `texts`; NaN where none is."""
    there = [index for index, text in enumerate(texts.reshape(-1)) if text is not None]
    said = judge([texts.reshape(-1)[index] for index in there]) if there else []
    labelled = said if isinstance(said, Mapping) else {}
    by_name: dict[str, Any] = {f"{quality}/{label}": given for label, given in labelled.items()} or {quality: said}
    found = {}
    for name, given in by_name.items():
        values = np.full(texts.size, np.nan)
        values[there] = given
        found[name] = values.reshape(texts.shape)
    return found


def _rows(
    task: Task,
    answers: Sequence[Answer],
    arrays: Answers,
    split: str,
    who: Mapping[str, Any],
    numbers: Sequence[int],
) -> Iterable[dict[str, Any]]:
    """One row of the readable record for each instruction, by its number, and item."""
    choices = arrays.choices.reshape(-1).tolist()
    listed = shows_order(task)
    for place, (answer, choice) in enumerate(zip(answers, choices, strict=True)):
        instruction, position = divmod(place, len(task.items))
        item: Item = task.items[position]
        row = {**who, "split": split, "task": item.task, "item": item.identifier}
        row["instruction"] = numbers[instruction]
        row |= {"options": list(item.options)} if listed else {}
        row |= {"gold": item.gold} if item.gold is not None else {}
        if answer.texts:
            row |= {"texts": list(answer.texts)}
        elif answer.divergences:
            row |= {"divergence": float(np.mean(answer.divergences)), "positions": len(answer.divergences)}
        else:
            row |= {"log_likelihoods": list(answer.log_likelihoods), "tokens": list(answer.tokens)}
        judged = {name: float(values.reshape(-1)[place]) for name, values in arrays.judged.items()}
        yield without_nan(row | judged | {"answer": choice})


@contextlib.contextmanager
def naming_items(task: Task, questions: Sequence[Question]) -> Iterator[None]:
    """A block in which errors about one of the task's questions, in their order, name the item."""
    try:
        yield
    except (DataError, ScoreError) as error:
        for index, question in enumerate(questions):
            if question == error.question:
                raise type(error)(f"Item {task.items[index % len(task.items)].identifier}: {error}") from error
        raise
