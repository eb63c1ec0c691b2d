"""How much the wording of an instruction decides: the share of answers that are right, instruction by instruction."""

from collections import Counter

from biasectomy.report.figures import Cell, Grid, number
from biasectomy.report.finished import FinishedRun


def by_instruction(run: FinishedRun) -> list[tuple[str, Grid]]:
    """A table of each task that has right answers and was asked in several wordings: a row of each, a column a method.

    Raises:
        DataError: a line of the run's files is damaged.
    """
    right: Counter[tuple[str, int, str]] = Counter()
    asked: Counter[tuple[str, int, str]] = Counter()
    told = run.questions()
    for row in run.answers():
        question = told.get((str(row.get("task")), str(row.get("item"))), row)
        if "draw" not in row or row.get("gold") is None or ("question" not in question and "options" not in row):
            continue
        key = str(row["task"]), int(row.get("instruction", 0)), str(row["method"])
        asked[key] += 1
        right[key] += row.get("answer") == row["gold"]
    tables = []
    for task in dict.fromkeys(task for task, _, _ in asked):
        wordings = sorted({wording for of, wording, _ in asked if of == task})
        methods = list(dict.fromkeys(method for of, _, method in asked if of == task))
        if len(wordings) < 2:
            continue
        rows = tuple(
            (
                _wording(run, task, one),
                tuple(_share(right[task, one, method], asked[task, one, method]) for method in methods),
            )
            for one in wordings
        )
        tables.append((task, Grid("Instruction", tuple(map(run.results.title, methods)), rows)))
    return tables


def _share(right: int, asked: int) -> Cell:
    return Cell(number(right / asked) if asked else "")


def _wording(run: FinishedRun, task: str, place: int) -> str:
    """An instruction's text where it was kept, else its number."""
    kept = run.record.get("instructions") or {}
    family = task.partition(":")[0]
    texts = kept.get(task) or next((one for name, one in kept.items() if str(name).partition(":")[0] == family), ())
    return f"{place + 1}: {texts[place]}" if place < len(texts) else f"{place + 1}"
