"""The sections of the page, in their order: each with its title, its template and what the template shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from biasectomy.report.finished import FinishedRun
from biasectomy.report.limits import limits
from biasectomy.report.page.answers_section import changed_section
from biasectomy.report.page.neurons_section import neurons_section
from biasectomy.report.page.reproduction import reproduction
from biasectomy.report.pictures import Picture
from biasectomy.report.summary import summary

SHOWN_ANSWERS = 150
IN_CHANGES = ("matrix", "curve", "changes", "differences", "other-tasks")  # pictures


@dataclass(frozen=True)
class Heading:
    """What stands above the sections."""

    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, run: FinishedRun) -> "Heading":
        """That of a run."""
        record, settings = run.record, run.record.get("settings") or {}
        model = Path(str((record.get("model") or {}).get("name") or settings.get("model") or "a model")).name
        tasks = [str(settings.get("task") or ", ".join(run.results.tasks[:1]))]
        title = f"{model} on {', '.join(filter(None, tasks)) or 'several tasks'}"
        titles = [run.results.title(name) for name in run.subjects]
        about = [run.results.title(run.subject)] if run.subject is not None else titles
        if run.results.curve is not None and run.results.matrix is None:
            subtitle = run.results.curve.title
        elif not about:
            subtitle = "One model, measured as it is"
        elif run.results.curve is not None:
            subtitle = f"{run.results.curve.title}, compared with the original"
        elif len(about) == 1:
            subtitle = f"{about[0]}, compared with the original"
        else:
            subtitle = f"{len(about)} methods, compared with the original"
        words = str(record.get("command") or "").split()
        facts = [("Command", " ".join(words[1:3] if words[1:2] == ["study"] else words[1:2]))]
        facts += [("Finished", _day(record.get("finished")))]
        facts += [("biasectomy", str((record.get("versions") or {}).get("biasectomy") or ""))]
        return cls(title, subtitle, tuple((name, value) for name, value in facts if value))


@dataclass(frozen=True)
class Section:
    """A part of the page; `name` is that of its template and its place to link to."""

    name: str
    title: str
    values: dict[str, Any] = field(default_factory=dict)


def sections(run: FinishedRun, drawn: Sequence[Picture]) -> list[Section]:
    """Those that the run has something for."""
    left = {picture.name: picture for picture in drawn}
    found = []
    for name, title, make in SECTIONS:
        values = make(run, left)
        if values is not None:
            found.append(Section(name, values.pop("title", title), values))
    if left:  # pictures that a plugin adds
        found.insert(-2, Section("more", "More pictures", {"pictures": list(left.values())}))
    return found


Pictures = dict[str, Picture]
Make = Callable[[FinishedRun, Pictures], dict[str, Any] | None]


def _verdict(run: FinishedRun, left: Pictures) -> dict[str, Any]:
    return {"answers": summary(run), "sentences": run.results.verdict}


def _changes(run: FinishedRun, left: Pictures) -> dict[str, Any] | None:
    from biasectomy.report.figures import result_tables
    from biasectomy.report.matrix import matrix_table

    results = run.results
    if not results.metrics:
        return None
    matrix = [matrix_table(results)] if results.matrix is not None else []
    aims = {row.task for row in results.metrics if results.description(row.metric).role == "goal"}
    short = result_tables(results, parts=False, extent="short")
    short = [one for place, one in enumerate(short) if one.figures.rows and (not place or one.task in aims)]
    return {
        "pictures": [picture for name in IN_CHANGES if (picture := left.pop(name, None))],
        "tables": matrix or short,
        "whole": result_tables(results, extent="whole"),
        "level": 100 * float(results.interval.get("level", 0.95)),
        "compared": bool(results.differences),
        "title": "Before, after and control" if results.differences else "What was measured",
    }


def _judged(run: FinishedRun, left: Pictures) -> dict[str, Any] | None:
    from biasectomy.report.figures import result_tables

    judged = [(name, result_tables(results, extent="whole")) for name, results in run.judged().items()]
    return {"judged": judged} if judged else None


def _trade_off(run: FinishedRun, left: Pictures) -> dict[str, Any] | None:
    picture = left.pop("trade-off", None)
    return {"picture": picture} if picture else None


def _instructions(run: FinishedRun, left: Pictures) -> dict[str, Any] | None:
    from biasectomy.report.wordings import by_instruction

    picture, tables = left.pop("instructions", None), by_instruction(run)
    return {"picture": picture, "tables": tables} if picture or tables else None


def _capability(run: FinishedRun, left: Pictures) -> dict[str, Any] | None:
    from biasectomy.report.figures import guard_table

    picture, table = left.pop("capability", None), guard_table(run.results)
    return {"picture": picture, "table": table} if picture or table else None


def _cost(run: FinishedRun, left: Pictures) -> dict[str, Any] | None:
    from biasectomy.report.figures import cost_grid
    from biasectomy.report.text import duration

    record = run.record
    seconds = {str(name): float(value) for name, value in (record.get("seconds") or {}).items()}
    times = [(name, duration(value)) for name, value in seconds.items() if value >= 0.5]
    memory = record.get("peak_memory_bytes")
    grid = cost_grid(run.results)
    if grid is None and not times:
        return None
    return {
        "grid": grid,
        "times": times,
        "total": duration(sum(seconds.values())),
        "memory": f"{memory / 1e9:.1f} GB" if isinstance(memory, int | float) else "",
        "processes": record.get("processes"),
    }


SECTIONS: Sequence[tuple[str, str, Make]] = (
    ("verdict", "The verdict", _verdict),
    ("changes", "Before, after and control", _changes),
    ("judged", "By other judges", _judged),
    ("trade_off", "The trade-off", _trade_off),
    ("neurons", "The neurons", neurons_section),
    ("answers", "Answers that changed", lambda run, left: changed_section(run, SHOWN_ANSWERS)),
    ("instructions", "Spread over instructions", _instructions),
    ("capability", "What was to be kept", _capability),
    ("cost", "What it took", _cost),
    ("limits", "What the figures do not say", lambda run, left: {"limits": limits(run.results)}),
    ("again", "To make it again", lambda run, left: reproduction(run)),
)


def _day(value: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return ""
    return f"{moment.day} {moment:%B %Y}"
