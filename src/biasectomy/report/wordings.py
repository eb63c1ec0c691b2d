"""How much the wording of an instruction decides: the goals under each instruction alone."""

import math

from biasectomy.report.figures import DECIMALS, USUAL, Cell, Grid, number
from biasectomy.report.finished import FinishedRun


def by_instruction(run: FinishedRun) -> list[tuple[str, Grid]]:
    """Of each task asked in several wordings a caption and a table of its goal: a row a wording, a column a method."""
    results, tables = run.results, []
    for task in results.tasks:
        rows = [row for row in results.metrics if row.task == task and len(row.instructions) > 1]
        goals = [row for row in rows if results.description(row.metric).role == "goal"]
        shown = goals or [row for row in rows if row.metric == results.goals.get(task)]
        if not shown:
            continue
        shown = [row for row in shown if row.metric == shown[0].metric]
        described = results.description(shown[0].metric)
        decimals = DECIMALS.get(described.unit, USUAL)
        cells = tuple(
            (
                _wording(run, task, place),
                tuple(_cell(row.instructions[place], decimals) for row in shown if place < len(row.instructions)),
            )
            for place in range(len(shown[0].instructions))
        )
        titles = tuple(results.title(row.method) for row in shown)
        tables.append((f"{task}: {described.title} under each instruction", Grid("Instruction", titles, cells)))
    return tables


def _cell(value: float, decimals: int) -> Cell:
    return Cell(number(value, decimals=decimals) if math.isfinite(value) else "n/a")


def _wording(run: FinishedRun, task: str, place: int) -> str:
    """An instruction's text where it was kept, else its number."""
    texts = (run.record.get("instructions") or {}).get(task) or ()
    return f"{place + 1}: {texts[place]}" if place < len(texts) else f"{place + 1}"
