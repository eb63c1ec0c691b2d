"""A finished run, read from its folder; no model is loaded."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasectomy.errors import DataError, RunError
from biasectomy.files import folder_name, json_lines, read_json
from biasectomy.measuring.results import Results
from biasectomy.run_files import DESCRIBED, ITEMS, JUDGED, NEURONS, QUESTIONS, RECORD, RESULTS, of_method

if TYPE_CHECKING:  # brings torch, which a run that is only shown does not need
    from biasectomy.neurons.neuron_set import NeuronSet

MODELS = {"config.json": "a model", "adapter_config.json": "an adapter"}
SHOWN = 5  # runs in a message


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
            RunError: it holds no finished run; says what it is, and what would be right.
            DataError: a file is damaged.
        """
        for name in (RECORD, RESULTS):
            if not (folder / name).is_file():
                raise RunError(_what_it_is(folder, name))
        record = read_json(folder / RECORD)
        if not isinstance(record, dict):
            raise DataError(f"'{folder / RECORD}': expected an object.")
        results = Results.from_json(read_json(folder / RESULTS), RESULTS)
        if not results.tasks:  # of an earlier version, whose record names them
            measured = dict.fromkeys(row.task for row in results.metrics)
            named = [str(one.get("name")) for one in record.get("tasks") or ()]
            results = replace(results, tasks=tuple(name for name in named if name in measured) or tuple(measured))
        return cls(folder, results, record)

    def answers(self) -> Iterator[dict[str, Any]]:
        """Every line of `items.jsonl`, as it was written; none where there is no such file.

        Raises:
            DataError: a line is not an object; names it.
        """
        if (self.folder / ITEMS).is_file():
            yield from (row for _, row in json_lines(self.folder / ITEMS))

    def questions(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What stands in `questions.jsonl`, by task and item; nothing where there is no such file.

        Raises:
            DataError: a line is not an object, or lacks its name.
        """
        path = self.folder / QUESTIONS
        found = {}
        for number, row in json_lines(path) if path.is_file() else ():
            if not {"task", "item"} <= set(row):
                raise DataError(f"'{path}', line {number}: expected the fields 'task' and 'item'.")
            found[str(row["task"]), str(row["item"])] = row
        return found

    def described(self, method: str) -> dict[str, Any] | None:
        """What the neurons of a method are (`methods/NAME/described.json`); None where nobody has looked.

        Raises:
            DataError: the file is damaged.
        """
        path = of_method(self.folder, method) / DESCRIBED
        if not path.is_file():
            return None
        found = read_json(path)
        if not isinstance(found, dict) or not isinstance(found.get("neurons"), list):
            raise DataError(f"'{path}': expected an object with 'neurons'.")
        return found

    def judged(self) -> dict[str, Results]:
        """Figures of the same texts by other judges (`judged/NAME.json`), by what these are called.

        Raises:
            DataError: a file is damaged.
        """
        found = {}
        for path in sorted((self.folder / JUDGED).glob("*.json")):
            results = Results.from_json(read_json(path), f"{JUDGED}/{path.name}")
            name = str(results.settings.get("judge"))
            found[name if folder_name(name) == path.stem else path.stem] = results
        return found

    @property
    def original(self) -> str:
        """The method that all others are compared with; the only one where nothing was."""
        return self.results.metrics[0].method if self.results.metrics else ""

    @cached_property
    def subjects(self) -> list[str]:
        """The methods that were compared with the original; of `mitigate` the one that was asked for first."""
        found = [row.method for row in self.results.differences if row.against == self.original]
        return list(dict.fromkeys(found))

    @property
    def subject(self) -> str | None:
        """The method that the run is about; None where several count alike, or none was compared."""
        named = (self.record.get("settings") or {}).get("method")
        if named in self.subjects:
            return str(named)
        return self.subjects[0] if len(self.subjects) == 1 else None

    def control(self, method: str) -> str | None:
        """What a method is compared with besides the original, to show that it is not luck; None where nothing is."""
        pairs = ((row.method, row.against) for row in self.results.differences)
        return next((against for one, against in pairs if one == method and against != self.original), None)

    @cached_property
    def neuron_sets(self) -> "dict[str, NeuronSet]":
        """The neurons that each method edits, by its name, in the order of the results.

        Raises:
            DataError: a file is damaged.
        """
        from biasectomy.neurons.neuron_set import NeuronSet

        names = dict.fromkeys(row.method for row in self.results.metrics)
        found = {name: of_method(self.folder, name) / NEURONS for name in names}
        return {name: NeuronSet.load(path) for name, path in found.items() if path.is_file()}


def _what_it_is(folder: Path, missing: str) -> str:
    """Why a folder is no finished run, in one sentence."""
    if not folder.exists():
        return f"There is no folder '{folder}'; give that of a finished run."
    if not folder.is_dir():
        own = f": '{folder.parent}' would be right" if (folder.parent / RESULTS).is_file() else ""
        return f"'{folder}' is a file; give the folder of a finished run{own}."
    if missing == RESULTS:
        return _unfinished(folder)
    if model := next((name for name in MODELS if (folder / name).is_file()), None):
        return f"'{folder}' is {MODELS[model]}, not a run; 'biasectomy evaluate {folder}' would measure a checkpoint."
    runs = sorted(path.parent.name for path in folder.glob(f"*/{RESULTS}"))
    if runs:
        more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
        return f"'{folder}' is no run, but holds some: {', '.join(runs[:SHOWN])}{more}; give one of them."
    if not any(folder.iterdir()):
        return f"'{folder}' is empty; give the folder of a finished run."
    return f"'{folder}' is no finished run: it has no {missing}."


def _unfinished(folder: Path) -> str:
    """What is known of a run that has no results yet."""
    record = read_json(folder / RECORD)
    found = record if isinstance(record, dict) else {}
    stages = ", ".join(found["seconds"]) if isinstance(found.get("seconds"), dict) and found["seconds"] else "nothing"
    state = "was interrupted" if found.get("status") == "interrupted" else "is at work, or was ended from outside"
    command = found.get("command")
    on = f" Go on with: {command} --resume" if isinstance(command, str) else ""
    return f"'{folder}' is a run that has not finished: it {state} (done: {stages}).{on}"
