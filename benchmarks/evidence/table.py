"""The tables of `docs/evidence.md`, from the results of studies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from biasectomy.measuring.results import MetricRow, Results
from biasectomy.report.figures import number
from biasectomy.report.verdict import Edited, verdict

BBQ = (
    ("accuracy_ambiguous", "ambiguous"),
    ("accuracy_disambiguated", "disambiguated"),
    ("unknown_disambiguated", '"unknown", disambiguated'),
    ("bias_ambiguous", "s_AMB"),
    ("bias_disambiguated", "s_DIS"),
    ("conflict_cost", "conflict cost"),
)
FORM = BBQ[:3]
KEPT = {
    "crows_pairs": ("stereotype_preference", "CrowS-Pairs"),
    "drift": ("drift", "drift, nats"),
    "perplexity": ("perplexity", "perplexity"),
    "arc_easy": ("accuracy_arc_easy", "ARC-Easy"),
    "boolq": ("accuracy_boolq", "BoolQ"),
}


@dataclass(frozen=True)
class Column:
    """A metric of a task, and what stands above it."""

    task: str
    metric: str
    title: str


def rendered(results: Results, title: str) -> str:
    """All tables of a study, in Markdown."""
    tasks = list(dict.fromkeys((row.split, row.task) for row in results.metrics))
    blocks = [f"## {title}", _about(results)]
    for kind, heading in (("held out", "Held-out templates"), ("other", "Never learned from"), ("form", "Form")):
        for name in [task for split, task in tasks if split == kind and _is_whole(task, tasks)]:
            columns = FORM if kind == "form" else BBQ
            found = [
                Column(name, metric, above) for metric, above in columns if results.find("original", metric, task=name)
            ]
            if not found:
                found = [Column(name, "accuracy", "accuracy")]
            blocks += [f"### {heading}: {name}", _table(results, found)]
    kept = [
        task for split, task in tasks if split == "kept" and task.partition(":")[0] in KEPT and _is_whole(task, tasks)
    ]
    if kept:
        columns_kept = [Column(task, *KEPT[task.partition(":")[0]]) for task in kept]
        blocks += ["### Kept elsewhere", _table(results, columns_kept)]
    return "\n\n".join([*blocks, "### Cost", _costs(results), *_verdicts(results)])


def compared(results: Results, title: str) -> str:
    """The table of a run of `biasectomy compare`, in Markdown: a row a method, a few columns a task."""
    asked = results.tasks[0]
    columns = [Column(asked, metric, name) for metric, name in FORM if results.find("original", metric, task=asked)]
    for task in results.tasks[1:]:
        first = next(row.metric for row in results.metrics if row.task == task)
        metric = results.goals.get(task, first)
        columns.append(Column(task, metric, KEPT.get(task.partition(":")[0], ("", f"{task}: {metric}"))[1]))
    rows = []
    for name in dict.fromkeys(row.method for row in results.metrics):
        cost = results.costs.get(name, {})
        cells = [_cell(results.find(name, column.metric, task=column.task)) for column in columns]
        tokens = cost.get("tokens_per_answer")
        rows.append([results.title(name), *cells, "n/a" if tokens is None else f"{tokens:,.0f}"])
    reported = ", ".join(
        f"{task} {max(row.items for row in results.metrics if row.task == task)}" for task in results.tasks
    )
    about = f"Model: {results.settings['model']}. Items asked: {reported}."
    return "\n\n".join([f"## {title}", about, _markdown([*(one.title for one in columns), "tokens an answer"], rows)])


def _is_whole(task: str, tasks: Sequence[tuple[str, str]]) -> bool:
    """Whether a task is none of the parts of a joined one."""
    family, _, members = task.partition(":")
    others = {name for _, name in tasks if name != task and name.partition(":")[0] == family}
    return not any(members in name.partition(":")[2].split(",") for name in others) and not any(
        name == family for name in others
    )


def _about(results: Results) -> str:
    settings = results.settings
    asked = ", ".join(f"{name} {number}" for name, number in settings["asked"].items())
    return f"Model: {settings['model']}; {settings['development_items']:,} development items. Asked items: {asked}."


def _table(results: Results, columns: Sequence[Column]) -> str:
    rows = []
    for name, title in results.titles.items():
        cells = [_cell(results.find(name, column.metric, task=column.task)) for column in columns]
        seeds = results.costs[name]["seeds"]
        rows.append([f"{title}{f', {seeds} seeds' if seeds > 1 else ''}", *cells])
    return _markdown([column.title for column in columns], rows)


def _markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column has no title."""
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "--:|" * len(titles)]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _cell(row: MetricRow | None) -> str:
    if row is None or math.isnan(row.value):
        return "n/a"
    decimals = 1 if row.metric == "perplexity" else 3 if row.metric == "drift" else 2
    value, low, high = (number(one, decimals=decimals) for one in (row.value, row.low, row.high))
    interval = "" if math.isnan(row.low) else f" [{low}, {high}]"
    ends = [number(one, decimals=decimals) for one in (min(row.draws), max(row.draws))] if len(row.draws) > 1 else []
    return f"{value}{interval}" + (f"; {' to '.join(ends)}" if ends else "")


def _costs(results: Results) -> str:
    titles = ["numbers stored", "seconds to fit", "questions an answer"]
    known = any("planted_shared" in cost for cost in results.costs.values())
    titles += ["planted among the neurons (by chance)"] if known else []
    rows = []
    for name, title in results.titles.items():
        cost = results.costs[name]
        cells = [f"{cost['numbers']:,}", f"{cost['seconds']:,}", f"{cost['questions_per_answer']:g}"]
        if known:
            there = "planted_shared" in cost
            cells.append(f"{cost['planted_shared']:.1f} ({cost['planted_expected']:.1f})" if there else "")
        rows.append([title, *cells])
    return _markdown(titles, rows)


def _verdicts(results: Results) -> list[str]:
    """What the tool says of some rows, of the first task alone."""
    first = results.metrics[0].task
    only = replace(
        results,
        metrics=tuple(row for row in results.metrics if row.task == first),
        differences=tuple(row for row in results.differences if row.task == first),
    )
    quoted = [name for name in results.settings.get("quoted", ()) if name in results.titles]
    said = [f"> **{results.titles[name]}.** {' '.join(_verdict(only, name))}" for name in quoted]
    return ["### What the tool's verdict says", *said] if said else []


def _verdict(results: Results, name: str) -> list[str]:
    cost = results.costs[name]
    edited = Edited(cost["numbers"], cost["of"]) if "of" in cost else None
    return verdict(results, method=name, original="original", edited=edited)
