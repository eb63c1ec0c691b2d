"""A finished run, read from its folder; no model is loaded."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from biasectomy.errors import DataError, RunError
from biasectomy.files import json_lines, read_json
from biasectomy.measuring.results import Results
from biasectomy.neurons.neuron_set import NeuronSet

ITEMS, RECORD, RESULTS, METHODS, NEURONS = "items.jsonl", "record.json", "results.json", "methods", "neurons.json"


@dataclass(frozen=True)
class FinishedRun:
    """What a run left: figures, the record, answers one by one, and what methods kept."""

    folder: Path
    results: Results
    record: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "FinishedRun":
        """That of a folder.

        Raises:
            RunError: it holds no finished run.
            DataError: a file is damaged.
        """
        for name in (RECORD, RESULTS):
            if not (folder / name).is_file():
                raise RunError(f"'{folder}' is no finished run: it has no {name}.")
        record = read_json(folder / RECORD)
        if not isinstance(record, dict):
            raise DataError(f"'{folder / RECORD}': expected an object.")
        return cls(folder, Results.from_json(read_json(folder / RESULTS), RESULTS), record)

    def answers(self) -> Iterator[dict[str, Any]]:
        """Every line of `items.jsonl`, as it was written; none where there is no such file.

        Raises:
            DataError: a line is not an object; names it.
        """
        if (self.folder / ITEMS).is_file():
            yield from (row for _, row in json_lines(self.folder / ITEMS))

    @cached_property
    def neuron_sets(self) -> dict[str, NeuronSet]:
        """The neurons that each method edits, by its name, in the order of the results.

        Raises:
            DataError: a file is damaged.
        """
        names = dict.fromkeys(row.method for row in self.results.metrics)
        found = {name: self.folder / METHODS / name / NEURONS for name in names}
        return {name: NeuronSet.load(path) for name, path in found.items() if path.is_file()}
