"""Answers kept across runs, so that a prompt asked before of the same weights is not asked again.

A key is the SHA-256 of the weights and the configuration, the edit, the number format, the way of asking, and the
tokens of the prompt and its options, which hold the template, the instruction and the item. Values computed in other
company differ in the last digits, so a run that takes some from here equals one that computes them to about 1e-5,
not to the last bit.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from biasectomy.errors import RunError
from biasectomy.files import writing
from biasectomy.neuron_set import NeuronSet
from biasectomy.prompts import EncodedPrompt

FILE = "scores.sqlite"
AT_ONCE = 500  # keys in one question; SQLite takes at most 999 on old systems


class ScoreCache:
    """Records by key in one SQLite file, which several runs may use at the same time.

    Raises:
        RunError: the folder cannot be written, or holds another file of that name.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with self._open() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID")

    def find(self, keys: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
        """The records of those keys that are known."""
        found: dict[bytes, dict[str, Any]] = {}
        with self._open() as connection:
            for start in range(0, len(keys), AT_ONCE):
                some = keys[start : start + AT_ONCE]
                question = f"SELECT key, answer FROM answers WHERE key IN ({', '.join('?' * len(some))})"
                found.update((key, json.loads(answer)) for key, answer in connection.execute(question, some))
        return found

    def add(self, records: dict[bytes, dict[str, Any]]) -> None:
        """Keeps records; those known already stay as they are."""
        rows = [(key, json.dumps(record)) for key, record in records.items()]
        with self._open() as connection, connection:
            connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=60)) as connection:
                yield connection
        except sqlite3.Error as error:
            what = f"The score cache '{self._path}' cannot be used: {error}."
            raise RunError(f"{what} Delete it or name another folder.") from None


def weights_checksum(model: nn.Module) -> str:
    """SHA-256 of a model's configuration and of every weight, in the number format it computes in.

    Raises:
        RunError: some weights are not in memory.
    """
    config: Any = getattr(model, "config", None)
    digest = hashlib.sha256(json.dumps(config.to_diff_dict() if config else {}, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.is_meta:
            raise RunError(f"--score-cache cannot be used: '{name}' is not in memory, so its checksum is not known.")
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def subject_checksum(weights: str, neuron_set: NeuronSet | None, *context: str) -> bytes:
    """SHA-256 of everything but the prompt that an answer depends on.

    Args:
        weights: checksum of the model without the edit.
        context: what else makes a difference, such as how answers are read.
    """
    edit = sorted((neuron.module, neuron.unit, neuron.factor) for neuron in neuron_set or ())
    definition = neuron_set.definition if neuron_set and edit else ""
    return hashlib.sha256(json.dumps([weights, definition, edit, context]).encode()).digest()


def prompt_key(subject: bytes, encoded: EncodedPrompt) -> bytes:
    """The key of one prompt's answer."""
    return hashlib.sha256(subject + json.dumps([encoded.prompt, encoded.options]).encode()).digest()
