"""What got slower or faster since an earlier run, by more than the spread, on the same machine and at the same work.

A time is that of ours in every round. It is slower where the fastest round now is slower than the slowest then, by
medians that lie further apart than the rounds of either run, and where the ratio to a peer, if there is one, left its
range as well: if the peer took longer by as much, it was the machine. Other figures with a range are worse or better in
the same sense. What was measured once has no spread and is not judged.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, get_args

from rich.console import Console

from benchmarks.base import Unit
from benchmarks.table import SCHEMA_VERSION, WIDTH, format_value
from biasectomy.errors import DataError, SettingsError
from biasectomy.files import read_json, without_nan

Document = Mapping[str, Any]
Row = Mapping[str, Any]
Key = tuple[str, str, str]  # benchmark, what, number format

SLOWER, FASTER, MACHINE = "Slower", "Faster", "Slower or faster with the peer: it was the machine"
WORSE, BETTER, ALIKE = "Worse", "Better", "As before, within the ranges of both"
OTHER_WORK, ONCE = "Not compared, since other work was done", "Not judged, since there is no spread"
MISSING, NEW, NOT_RUN = "Missing now", "New", "Not run now"
ORDER = (SLOWER, WORSE, FASTER, BETTER, MACHINE, OTHER_WORK, ONCE, MISSING, NEW, NOT_RUN, ALIKE)
HIGHER_IS_BETTER = {"times": True, "correlation": True, "seconds": False, "exponent": False, "difference": False}
# Of a line's details: what must be equal for two times to be of the same work.
WORK = ("items", "prompts", "steps", "instances", "sizes", "arguments")


@dataclass(frozen=True)
class Range:
    """A figure with the range of its rounds, or its interval."""

    value: float
    low: float
    high: float
    unit: Unit

    def __str__(self) -> str:
        figure, *ends = (format_value(one, self.unit) for one in (self.value, self.low, self.high))
        return f"{figure} ({ends[0]} to {ends[1]})"

    def above(self, other: "Range") -> bool:
        """Whether all of it is, and by more than either spreads."""
        spread = max(self.high - self.low, other.high - other.low)
        return self.low > other.high and self.value - other.value > spread


@dataclass
class Comparison:
    """Sentences on every line of both documents, by what became of it."""

    found: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in ORDER})

    @property
    def slower(self) -> bool:
        """Whether anything is."""
        return bool(self.found[SLOWER])

    def print(self, output: TextIO | None = None) -> None:
        """All of it; of what is as before the number."""
        console = Console(file=output, width=WIDTH if output else None, highlight=False, markup=False)
        for name in ORDER:
            said = self.found[name]
            if not said:
                continue
            if name == ALIKE:
                console.print(f"{name}: {len(said)} figures")
                continue
            console.print(f"{name}:")
            for one in said:
                console.print(f"  {one}")


def earlier(path: Path) -> Document:
    """What an earlier run wrote with --json.

    Raises:
        SourceError, DataError: it cannot be read, or is no such file.
    """
    found = read_json(path)
    try:
        known = found["schema_version"] == SCHEMA_VERSION
        _ = found["machine"]["processor"], found["settings"]["model"]
        whole = all({"benchmark", "what", "unit", "value"} <= set(line) for line in found["lines"])
    except (KeyError, TypeError):
        known = whole = False
    if not (known and whole and all(line["unit"] in get_args(Unit) for line in found["lines"])):
        raise DataError(f"'{path}' is not what 'python -m benchmarks --json' of this version writes.")
    document: Document = found
    return document


def refuse_other_machine(before: Document, machine: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuses to compare what was measured elsewhere, or with other settings.

    Raises:
        SettingsError: names every difference.
    """
    pairs = [(name, before["machine"].get(name), machine.get(name)) for name in ("processor", "cores", "threads")]
    versions = [place.get("versions", {}) for place in (before["machine"], machine)]
    pairs += [("torch", *(one.get("torch") for one in versions))]
    devices = [(place.get("device") or {}).get("name", "cpu") for place in (before["machine"], machine)]
    pairs += [("device", *devices)]
    same = without_nan(dict(settings))
    ignored = {"plots", "threads", "device"}
    pairs += [(name, before["settings"].get(name), same[name]) for name in same if name not in ignored]
    apart = [f"{name} was {then} and is {now}" for name, then, now in pairs if then != now]
    if apart:
        raise SettingsError(f"Nothing can be compared: {'; '.join(apart)}.")


def compared(before: Document, now: Document) -> Comparison:
    """What became of every line.

    Raises:
        SettingsError: nothing can be compared.
    """
    refuse_other_machine(before, now["machine"], now["settings"])
    old, new = (_by_key(document["lines"]) for document in (before, now))
    run = {key[0] for key in new}
    comparison = Comparison()
    for key, line in old.items():
        if key in new:
            _judge(key, line, new[key], comparison)
        elif key[0] in run:
            comparison.found[MISSING].append(_name(key))
    comparison.found[NOT_RUN] += sorted({key[0] for key in old} - run)
    comparison.found[NEW] += [_name(key) for key in new if key not in old]
    return comparison


def _judge(key: Key, old: Row, new: Row, comparison: Comparison) -> None:
    name, figures = _name(key), (_figure(old), _figure(new))
    times = _rounds(old), _rounds(new)
    if other := _other_work(old, new):
        comparison.found[OTHER_WORK].append(f"{name}: {other}")
        return
    if times[0] is not None and times[1] is not None:
        verdict = _of_times(times[0], times[1], figures if old.get("peer_seconds") is not None else (None, None))
        change = times[1].value / times[0].value
        comparison.found[verdict].append(f"{name}: {times[0]} then, {times[1]} now, {change:.2f} times as long")
    elif figures[0] is not None and figures[1] is not None:
        verdict = _of_figures(figures[0], figures[1], _higher_is_better(new))
        comparison.found[verdict].append(f"{name}: {figures[0]} then, {figures[1]} now")
    else:
        then, now = (_told(line) for line in (old, new))
        comparison.found[ONCE if then != now else ALIKE].append(f"{name}: {then} then, {now} now")


def _of_times(old: Range, new: Range, ratios: tuple[Range | None, Range | None]) -> str:
    if not (new.above(old) or old.above(new)):
        return ALIKE
    first, second = ratios  # peer's time over ours: slower is lower
    if first is not None and second is not None and not (first.above(second) or second.above(first)):
        return MACHINE
    return SLOWER if new.above(old) else FASTER


def _of_figures(old: Range, new: Range, higher_is_better: bool | None) -> str:
    if higher_is_better is None or not (new.above(old) or old.above(new)):
        return ALIKE
    return BETTER if new.above(old) == higher_is_better else WORSE


def _higher_is_better(line: Row) -> bool | None:
    """What to wish for: as its bar says, where it has one; None where it is no matter of better or worse."""
    if line.get("bar"):
        return bool(line["bar"]["kind"] == "at least")
    return True if line.get("matrix_share") is not None else HIGHER_IS_BETTER.get(line["unit"])


def _figure(line: Row) -> Range | None:
    value, low, high = (line.get(name) for name in ("value", "low", "high"))
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in (value, low, high)):
        return None
    return Range(value, low, high, line["unit"])  # type: ignore[arg-type]


def _rounds(line: Row) -> Range | None:
    """Seconds of every round of ours; None where there was one round, or none is told."""
    rounds = (line.get("details") or {}).get("rounds")
    ours = rounds[0] if isinstance(rounds, list | tuple) and rounds else ()
    if not isinstance(ours, list | tuple) or len(ours) < 2:
        return None
    seconds = [float(one) for one in ours]
    return Range(statistics.median(seconds), min(seconds), max(seconds), "seconds")


def _other_work(old: Row, new: Row) -> str:
    """What was done otherwise, as far as it does not depend on how well it is done; empty where nothing was."""
    details = [line.get("details") or {} for line in (old, new)]
    pairs = [(name, *(_plain(one.get(name)) for one in details)) for name in WORK]
    pairs.append(("peer's tokens", old.get("peer_tokens"), new.get("peer_tokens")))
    told = [(name, then, now) for name, then, now in pairs if None not in (then, now) and then != now]
    return "; ".join(f"{name} were {_beyond(then, now)} and are {_beyond(now, then)}" for name, then, now in told)


def _beyond(value: Any, other: Any) -> Any:
    """Of a list what the other lacks, if there is anything; else the value."""
    if not isinstance(value, list) or not isinstance(other, list):
        return value
    return " ".join(str(one) for one in value if one not in other) or value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _told(line: Row) -> str:
    value = line["value"]
    return format_value(float(value), line["unit"]) if isinstance(value, int | float) else "not measured"


def _by_key(lines: Sequence[Row]) -> dict[Key, Row]:
    return {(line["benchmark"], line["what"], line.get("dtype") or ""): line for line in lines}


def _name(key: Key) -> str:
    benchmark, what, dtype = key
    return f"{benchmark}: {what}" + (f", {dtype}" if dtype and dtype not in what else "")
