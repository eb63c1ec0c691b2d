"""`replay`: a finished run made again from its record, out of nothing it had computed, and held against it."""

import importlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biasectomy.commands.evaluate import EDITED
from biasectomy.commands.settings_base import PLUGIN, Settings
from biasectomy.commands.settings_loading import STUDY, all_commands, command_in
from biasectomy.commands.settings_runs import ReplaySettings
from biasectomy.commands.studies import STUDIES
from biasectomy.errors import DataError, RunError, SettingsError
from biasectomy.files import write_json
from biasectomy.measuring.agreement import APART, DEGREES, Agreement, agreements
from biasectomy.narration import say
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.processes import is_main
from biasectomy.report.finished import FinishedRun
from biasectomy.report.number_format import recorded_format
from biasectomy.run_files import NEURONS, REPLAY, of_method

BESIDE = "-replay"  # at the end of the new folder's name
MODELS = ("model", "weights", "prompt", "chat_template", "batch_tokens", "processes")
RESTS_ON = (*MODELS, "tasks", "harness", "neurons", "plugins")  # of a record


@dataclass(frozen=True)
class SameNeurons:
    """How far the neurons that a method edits are those it edited before."""

    method: str
    before: int
    after: int
    shared: int
    factors: float  # the largest difference of a shared neuron's factor

    @property
    def same(self) -> bool:
        """Whether they are the same neurons with the same factors."""
        return self.before == self.after == self.shared and self.factors == 0

    def __str__(self) -> str:
        if self.same:
            return f"{self.method}: the same {self.before:,} neurons with the same factors"
        return (
            f"{self.method}: {self.shared:,} shared, of {self.before:,} before and {self.after:,} now; their factors "
            f"differ by at most {self.factors:.2g}"
        )


@dataclass(frozen=True)
class Replay:
    """What came of making a run again.

    `versions` and `rests_on` name what is not as it was, with its values before and now where they are short.
    """

    folder: Path
    figures: list[Agreement]
    neurons: list[SameNeurons]
    versions: dict[str, tuple[Any, Any]]
    rests_on: list[str]
    same_verdict: bool

    @property
    def agrees(self) -> bool:
        """Whether every figure does, at least within its interval."""
        return not self.apart

    @property
    def apart(self) -> list[Agreement]:
        """The figures that do not."""
        return [one for one in self.figures if one.degree == APART]

    def counts(self) -> dict[str, int]:
        """How many figures agree, by degree."""
        counted = Counter(one.degree for one in self.figures)
        return {degree: counted[degree] for degree in DEGREES}

    def to_json(self) -> dict[str, Any]:
        """A dictionary; NaN is for whoever writes it to replace."""
        return {
            "folder": str(self.folder),
            "agrees": self.agrees,
            "counts": self.counts(),
            "same_verdict": self.same_verdict,
            "versions": {name: list(pair) for name, pair in self.versions.items()},
            "rests_on": self.rests_on,
            "neurons": [vars(one) | {"same": one.same} for one in self.neurons],
            "figures": [one.to_json() for one in self.figures],
        }


def replay(folder: Path | str, out: Path | str | None = None, **options: Any) -> Replay:
    """Makes a finished run again from its record, and says which figures agree.

    Args:
        folder: of the run.
        out: of the new run; None for one beside it.
        options: those of `biasectomy replay` with underscores.

    Raises:
        BiasectomyError: the run cannot be read, or not be made again here; see the tree in `errors`.
    """
    settings = ReplaySettings.of(run=folder, **({"out": out} if out is not None else {}), **options)
    found = run(settings)
    assert found is not None or not is_main()
    return found  # type: ignore[return-value]


def run(settings: ReplaySettings) -> Replay | None:
    """See `replay`; None in all processes of several but the main one."""
    before = FinishedRun.read(settings.run)
    out = _place(settings)
    name, again = _settings(before, settings, out)
    if is_main():
        say(f"Making '{settings.run}' again in {out}, out of nothing it had computed")
    if name.startswith(f"{STUDY} "):
        STUDIES[name.removeprefix(f"{STUDY} ")].run(again)
    else:
        importlib.import_module(f"biasectomy.commands.{name}").run(again)
    if not is_main():
        return None
    found = held_against(before, FinishedRun.read(out))
    write_json(out / REPLAY, found.to_json())
    return found


def held_against(before: FinishedRun, after: FinishedRun) -> Replay:
    """What two runs have in common, and in what they differ."""
    versions = [one.record.get("versions") or {} for one in (before, after)]
    names = dict.fromkeys([*versions[0], *versions[1]])
    return Replay(
        after.folder,
        agreements(before.results, after.results),
        [_neurons(name, before, after) for name in {**before.neuron_sets, **after.neuron_sets}],
        {
            name: (versions[0].get(name), versions[1].get(name))
            for name in names
            if versions[0].get(name) != versions[1].get(name)
        },
        [
            name.replace("_", " ")
            for name in RESTS_ON
            if name in before.record and before.record[name] != after.record.get(name)
        ],
        before.results.verdict == after.results.verdict,
    )


def _neurons(method: str, before: FinishedRun, after: FinishedRun) -> SameNeurons:
    sets = [one.neuron_sets.get(method, NeuronSet(())) for one in (before, after)]
    first, second = ({(one.module, one.unit): one.factor for one in neurons} for neurons in sets)
    shared = first.keys() & second.keys()
    factors = max((abs(first[place] - second[place]) for place in shared), default=0.0)
    return SameNeurons(method, len(first), len(second), len(shared), factors)


def _place(settings: ReplaySettings) -> Path:
    """The new folder.

    Raises:
        SettingsError: it is the run itself, or inside it, or around it.
    """
    own = settings.run.resolve()
    out = settings.out or own.with_name(own.name + BESIDE)
    there = out.resolve()
    if own == there or own in there.parents or there in own.parents:
        raise SettingsError(
            f"--out '{out}' is '{settings.run}' or has to do with it; the new run needs its own folder."
        )
    return out


def _settings(before: FinishedRun, settings: ReplaySettings, out: Path) -> tuple[str, Settings]:
    """The name of the command and its settings, as the record has them, but for where things are now.

    Raises:
        DataError: the record does not say what was run.
        RunError: this version cannot make it.
        SettingsError: the run took code of somebody's, which is to be named again.
    """
    record = before.record
    try:
        name, values = command_in(str(record.get("command"))), dict(record["settings"])
        kind = all_commands()[name]
    except (IndexError, KeyError, TypeError, ValueError):
        raise DataError(f"'{before.folder / 'record.json'}' does not say which command made the run.") from None
    _refuse_unnamed_code(values, settings)
    values |= {"out": out, "resume": settings.resume, "overwrite": settings.overwrite, "quiet": settings.quiet}
    # A model that was given as an object is in the settings of no run.
    values["model"] = (record.get("model") or {}).get("name") or values.get("model")
    now = {one: getattr(settings, one) for one in ("model", "data", "device", "threads")}
    values |= {one: value for one, value in now.items() if value is not None}
    # Batches of the same size give the same bits; the size was found by trying, on the machine as it was.
    values["batch_tokens"] = record.get("batch_tokens", values.get("batch_tokens"))
    values["dtype"] = recorded_format(record) or values.get("dtype")  # that found by `auto`: what is asked is as it was
    edited = of_method(before.folder, EDITED) / NEURONS
    if values.get("neurons_file") is not None and edited.is_file():
        values["neurons_file"] = edited  # what was in force, whatever has become of the file
    try:
        return name, kind.of(**values)
    except SettingsError as error:
        raise RunError(f"'{before.folder}' cannot be made again by this version: {error}") from None


def _refuse_unnamed_code(values: dict[str, Any], settings: ReplaySettings) -> None:
    named = [str(one) for one in values.get(PLUGIN) or ()]
    if sorted(named) != sorted(settings.plugin):
        wanted = f"--plugin {','.join(named)}" if named else "no --plugin"
        raise SettingsError(f"The run took {wanted}, and plugins are code: give {wanted} to make it again.")
    if values.get("trust_remote_code") and not settings.trust_remote_code:
        raise SettingsError("The run let the model run code of its own; give --trust-remote-code to let it again.")
