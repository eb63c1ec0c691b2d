"""What the page shows of the answers that changed: counts, filters, and some of them side by side."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from biasectomy.report.changed import ChangedAnswer, changed_answers
from biasectomy.report.figures import Cell, Grid
from biasectomy.report.finished import FinishedRun

MOST_VALUES = 24  # of a label that is to be a filter; one with more says little of each


@dataclass(frozen=True)
class Filter:
    """A choice among values; cards know the places of their own values."""

    name: str
    title: str
    values: tuple[str, ...]


def changed_section(run: FinishedRun, at_most: int) -> dict[str, Any] | None:
    """Counts of all changed answers, and at most so many of them with filters."""
    found = changed_answers(run, at_most)
    if not found.asked:
        return None
    title = run.results.title
    methods = [method for method in run.subjects if found.asked.get(method)]
    rows = tuple(
        (direction, tuple(_count(found.counts.get((method, direction), 0)) for method in methods))
        for direction in found.directions
    )
    totals = tuple(
        Cell(
            f"{found.changed.get(method, 0):,} of {found.asked[method]:,}",
            _share(found.changed.get(method, 0), found.asked[method]),
        )
        for method in methods
    )
    counts = Grid("Direction", tuple(map(title, methods)), (("all that changed", totals), *rows))
    filters = _filters(found.shown, title)
    return {
        "counts": counts,
        "total": sum(found.changed.values()),
        "filters": [one for one, _ in filters],
        "cards": [_card(answer, filters, title) for answer in found.shown],
        "untold": found.untold,
        "several": len(methods) > 1,
        "has_texts": any(answer.question or answer.context for answer in found.shown),
    }


Values = Callable[[ChangedAnswer], Sequence[str]]


def _filters(shown: Sequence[ChangedAnswer], title: Callable[[str], str]) -> list[tuple[Filter, Values]]:
    """Those with more than one value, each with how an answer's values are read."""

    def by_label(name: str) -> Values:
        return lambda answer: [answer.labels[name]] if name in answer.labels else []

    readings: list[tuple[str, str, Values]] = [
        ("direction", "Direction", lambda answer: answer.directions),
        ("method", "Method", lambda answer: [title(answer.method)]),
        ("category", "Category", lambda answer: [answer.task]),
    ]
    names = dict.fromkeys(name for answer in shown for name in answer.labels)
    readings += [(f"label-{place}", _words(name), by_label(name)) for place, name in enumerate(names)]
    found = []
    for name, said, read in readings:
        values = tuple(dict.fromkeys(value for answer in shown for value in read(answer)))
        if 1 < len(values) <= MOST_VALUES or (name == "direction" and values):
            found.append((Filter(name, said, values), read))
    return found


def _card(
    answer: ChangedAnswer, filters: Sequence[tuple[Filter, Values]], title: Callable[[str], str]
) -> dict[str, Any]:
    places = {
        one.name: " ".join(str(one.values.index(value)) for value in read(answer) if value in one.values)
        for one, read in filters
    }
    telling = {one.title for one, _ in filters}  # a label that is the same for all says nothing
    return {
        "places": places,
        "directions": answer.directions,
        "method": title(answer.method),
        "item": answer.item,
        "instruction": answer.instruction + 1,
        "context": answer.context,
        "question": answer.question,
        "labels": [
            f"{_words(name).lower()}: {value}" for name, value in answer.labels.items() if _words(name) in telling
        ],
        "options": [
            {
                "text": option.text,
                "marks": option.marks,
                "sides": [
                    {"chosen": place == chosen, "share": _share_of(value), "width": _width(value)}
                    for value, chosen in ((option.before, answer.chosen[0]), (option.after, answer.chosen[1]))
                ],
            }
            for place, option in enumerate(answer.options)
        ],
        "texts": answer.texts,
    }


def _count(value: int) -> Cell:
    return Cell(f"{value:,}" if value else "")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _share_of(value: float) -> str:
    if math.isnan(value):
        return ""
    percent = 100 * value
    return "< 0.1 %" if percent < 0.1 else f"{percent:.1f} %" if percent < 99.95 else "> 99.9 %"


def _width(value: float) -> int:
    """Of a bar, of 100."""
    return 0 if math.isnan(value) else round(100 * value)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
