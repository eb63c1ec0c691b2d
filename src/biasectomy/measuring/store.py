"""One store of answers, keyed by who answers and what is asked, both as checksums of content.

It is what resuming, comparing methods and sharing answers between runs have in common: an answer that is there is not
computed again, whoever asked before. Two edits can never read each other's answers, whatever they are called. Values
computed in other company differ in the last digits, so a run that takes some from a store that other runs filled equals
one that computes them to about 1e-5, not to the last bit; an interrupted run that goes on with its own is equal.
"""

import errno
import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from biasectomy.errors import RunError
from biasectomy.files import refusal, writing
from biasectomy.handing_out import fine_enough
from biasectomy.narration import warn
from biasectomy.processes import ALONE, Processes
from biasectomy.reading.layouts import Batch
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.reading.questions import Answer, Question

FILE = "answers.sqlite"
AT_ONCE = 500  # keys in one look-up; SQLite takes at most 999 on old systems


class Store(Protocol):
    """Answers by key."""

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The answers of those keys that are known."""

    def add(self, answers: Mapping[bytes, Answer]) -> None:
        """Keeps answers; those known already stay as they are."""


class MemoryStore:
    """Answers kept for as long as the object lives."""

    def __init__(self) -> None:
        self._answers: dict[bytes, Answer] = {}

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """See `Store`."""
        return {key: self._answers[key] for key in keys if key in self._answers}

    def add(self, answers: Mapping[bytes, Answer]) -> None:
        """See `Store`."""
        for key, answer in answers.items():
            self._answers.setdefault(key, answer)


class FileStore:
    """Answers in one SQLite file, which several runs may use at the same time.

    Every batch is a transaction of its own: a killed process loses at most the batch at work.

    Raises:
        RunError: the folder cannot be written, or holds another file of that name.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(self._path, timeout=60, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        with self._transaction():
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID"
            )

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """See `Store`; an answer that is not as it was written is not known."""
        found: dict[bytes, Answer | None] = {}
        try:
            for start in range(0, len(keys), AT_ONCE):
                some = keys[start : start + AT_ONCE]
                question = f"SELECT key, answer FROM answers WHERE key IN ({', '.join('?' * len(some))})"
                found.update((key, _answer(key, text)) for key, text in self._connection.execute(question, some))
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        if damaged := sum(answer is None for answer in found.values()):
            warn(f"{damaged:,} answers in '{self._path}' are damaged; they are computed anew.")
        return {key: answer for key, answer in found.items() if answer is not None}

    def add(self, answers: Mapping[bytes, Answer]) -> None:
        """See `Store`."""
        rows = [(key, _written(key, json.dumps(asdict(answer)))) for key, answer in answers.items()]
        with self._transaction():
            # Another run may have been faster; what it wrote stays, unless it is damaged.
            there = self.find(list(answers))
            self._connection.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?)", [row for row in rows if row[0] not in there]
            )

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._connection:
                yield
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> RunError:
        if "full" in str(error):
            return RunError(refusal(self._path, OSError(errno.ENOSPC, "")))
        return RunError(
            f"The store of answers '{self._path}' cannot be used: {error}. Delete it or name another folder."
        )


def _written(key: bytes, answer: str) -> str:
    """An answer as it is kept: behind a checksum of what was asked and of itself."""
    return f"{hashlib.sha256(key + answer.encode()).hexdigest()[:16]} {answer}"


def _answer(key: bytes, kept: object) -> Answer | None:
    """An answer as it was kept; None where that is damaged."""
    answer = kept.partition(" ")[2] if isinstance(kept, str) else ""
    if kept != _written(key, answer):
        return None
    return Answer(**{name: tuple(values) for name, values in json.loads(answer).items()})


class Computing(Protocol):
    """Who computes answers batch by batch, such as a language model."""

    @property
    def key(self) -> str:
        """Checksum of everything that decides its answers but the tokens it is given."""

    def encode(self, question: Question) -> EncodedPrompt:
        """Tokens of a question."""

    def plan(self, questions: Sequence[Question]) -> Iterator[Batch]:
        """Batches, always the same for the same questions."""

    def cost(self, batch: Batch) -> float:
        """What a batch costs beside another; several processes divide batches by it."""

    def answer(self, batch: Batch, questions: Sequence[Question]) -> list[Answer]:
        """Answers to a batch of `plan`."""


@dataclass
class Asked:
    """How many questions were answered, and of how many tokens, whether computed or taken from the store.

    A question that is asked several times at once is counted each time, its tokens once. Tokens that are written count
    as many as may be.
    """

    questions: int = 0
    tokens: int = 0


class Stored:
    """An answerer that computes only what the store does not have; several processes divide the batches.

    Who answers is settled when it is made: inside `with model.edited(...)`, the edited model.
    """

    def __init__(
        self, computing: Computing, store: Store, processes: Processes = ALONE, asked: Asked | None = None
    ) -> None:
        self._computing, self._store, self._processes, self._asked = computing, store, processes, asked
        self._key = computing.key

    @property
    def computing(self) -> Computing:
        """Who computes the answers, with nothing in between."""
        return self._computing

    def __call__(
        self, questions: Sequence[Question], wanted: Collection[int] | None = None
    ) -> Iterator[list[tuple[int, Answer]]]:
        """See `Answerer`; what the store has comes first."""
        keys = [self._key_of(question) for question in questions]
        places: dict[bytes, list[int]] = {}
        for index, key in enumerate(keys):
            places.setdefault(key, []).append(index)
        # A question that is asked twice is computed once.
        once = list(places)
        distinct = [questions[places[key][0]] for key in once]
        sought = set(once) if wanted is None else {keys[index] for index in wanted}
        if self._asked is not None:
            self._asked.tokens += sum(_size(self._computing.encode(questions[places[key][0]])) for key in sought)
        known = self._processes.once(lambda: self._store.find([key for key in once if key in sought]))
        if known:
            yield [(index, answer) for key, answer in known.items() for index in places[key]]
        unknown = sought - set(known)
        if not unknown:
            return
        batches = [
            batch for batch in self._computing.plan(distinct) if any(once[index] in unknown for index in batch.indices)
        ]
        cost = self._computing.cost
        batches = fine_enough(batches, self._processes.count, cost, Batch.halves)
        for batch, answers in self._processes.map(lambda batch: self._computing.answer(batch, distinct), batches, cost):
            fresh = {
                once[index]: answer
                for index, answer in zip(batch.indices, answers, strict=True)
                if once[index] in unknown
            }
            if self._processes.main:
                self._store.add(fresh)
            yield [(index, answer) for key, answer in fresh.items() for index in places[key]]

    def _key_of(self, question: Question) -> bytes:
        encoded = self._computing.encode(question)
        asked: list[Any] = [encoded.prompt, encoded.options, encoded.words, encoded.new_tokens]
        asked += ["divergence"] if question.divergence else []  # other keys stay what they were in old stores
        asked += ["sampled", *encoded.sampled] if encoded.sampled else []
        return hashlib.sha256(self._key.encode() + json.dumps(asked).encode()).digest()


def _size(encoded: EncodedPrompt) -> int:
    """Tokens of a prompt, of its options, and of what may be written behind it."""
    return len(encoded.prompt) + sum(map(len, encoded.options)) + encoded.new_tokens
