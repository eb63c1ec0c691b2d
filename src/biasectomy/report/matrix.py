"""A matrix of methods by kinds of items as a table of text, and in words; computed from its cells alone."""

import math
from collections.abc import Sequence

from biasectomy.measuring.results import MatrixCell, Results
from biasectomy.report.curve import curve_table
from biasectomy.report.figures import Cell, Grid, ResultTable, format_figure, number, result_tables
from biasectomy.report.words import UNCLEAR, change_in_words, decimals_of, level_of, when_together

HOLDS, OWN = "*", "own"


def shown_tables(results: Results, *, parts: bool = True, full: bool = False) -> list[ResultTable]:
    """The tables that console and report show: of a study its own, else one a task, and one a part if wanted."""
    if results.matrix is not None:
        return [matrix_table(results)]
    if results.curve is not None:
        return [curve_table(results)]
    return result_tables(results, parts=parts, extent="full" if full else "usual")


def matrix_table(results: Results) -> ResultTable:
    """What the original has in the first line, then how much nearer the best value each method comes, kind by kind."""
    matrix = results.matrix
    assert matrix is not None
    reasons: list[str] = []
    first = matrix.of_row(matrix.rows[0])
    rows = [_before(results, first)]
    for row in matrix.rows:
        cells = [_gain(cell, decimals_of(results, cell.metric), reasons) for cell in matrix.of_row(row)]
        rows.append((results.title(row), (*cells, *_beside(results, row))))
    several = len({cell.column.partition(":")[0] for cell in first if not _is_of_metric(cell)}) > 1
    heads = [_head(results, cell, several) for cell in first]
    heads += [results.description(metric).title for _, metric in matrix.beside]
    return ResultTable(
        "",
        f"How much nearer the best value than {results.title(matrix.against)} (a gain is positive); "
        f"{100 * level_of(results):g} % intervals",
        Grid(matrix.corner, tuple(heads), tuple(rows)),
        Grid("", (), ()),
        False,
        tuple(reasons),
        tuple(_notes(results, first)),
    )


def transfer_verdict(results: Results) -> list[str]:
    """Whether what each method has learned helps where it was learned, and elsewhere, and what that cost."""
    matrix = results.matrix
    assert matrix is not None
    clear = [cell for cell in matrix.cells if cell.holds]
    total = sum(math.isfinite(cell.low) for cell in matrix.cells)
    together = f"when all {total} cells with an interval are looked at together"
    if not clear:
        return [
            f"Nothing can be told from no change: none of the gains and losses holds {together}; neither on the own "
            "category nor on others is anything shown.",
            *_costs(results),
        ]
    sentences = [_of_row(results, row) for row in matrix.rows]
    elsewhere = [cell for cell in clear if not cell.own]
    better = sum(cell.value > 0 for cell in elsewhere)
    others = sum(not cell.own for cell in matrix.cells)
    if others:
        sentences.append(
            f"Elsewhere than on the own category {better} of {others} cells show a gain and {len(elsewhere) - better} "
            f"a loss that holds {together} (Holm's correction)."
        )
    return [*sentences, *_costs(results)]


def _of_row(results: Results, row: str) -> str:
    matrix = results.matrix
    assert matrix is not None
    cells = matrix.of_row(row)
    own, others = [cell for cell in cells if cell.own], [cell for cell in cells if not cell.own]
    if all(cell.value == 0 and not math.isfinite(cell.low) for cell in cells):
        return f"{results.title(row)}: the answers are those of {results.title(matrix.against)}."
    told = [f"on its own category, {cell.column}, it {_moved(results, cell)}" for cell in own]
    if not own:
        told = ["none of the columns is of its own category"]
    if others:
        nearer, further = (sum(cell.holds and sign * cell.value > 0 for cell in others) for sign in (1, -1))
        told.append(
            f"of {len(others)} other bias types {nearer} got nearer to {_aim(others)}, {further} further, and "
            f"{len(others) - nearer - further} cannot be told from no change"
        )
    return f"{results.title(row)}: {'; '.join(told)}."


def _moved(results: Results, cell: MatrixCell) -> str:
    if not cell.holds:
        size = f" ({change_in_words(results, cell)})" if math.isfinite(cell.value) else ""
        return f"{UNCLEAR}{size}"
    return f"got {'nearer to' if cell.value > 0 else 'further from'} {_aim([cell])} ({change_in_words(results, cell)})"


def _aim(cells: Sequence[MatrixCell]) -> str:
    return "even odds" if {cell.best for cell in cells} == {0.5} else "the best value"


def _costs(results: Results) -> list[str]:
    """What stands beside the matrix, in words: a gain by destruction shows there."""
    matrix = results.matrix
    assert matrix is not None
    sentences = []
    for row in matrix.rows:
        told = []
        for task, metric in matrix.beside:
            before, after = (results.find(name, metric, task=task) for name in (matrix.against, row))
            if before is None or after is None:
                continue
            change = results.find_difference(row, matrix.against, metric, task=task)
            unclear = change is not None and change.low <= 0 <= change.high
            said = f", which {UNCLEAR}" if unclear else ""
            ends = [number(one.value, decimals=decimals_of(results, metric)) for one in (before, after)]
            moved = "stays at " + ends[0] if before.value == after.value else f"goes from {' to '.join(ends)}{said}"
            told.append(f"{results.description(metric).description} {moved}")
        if told:
            sentences.append(f"{results.title(row)}: {'; '.join(told)}.")
    return sentences


def _before(results: Results, cells: Sequence[MatrixCell]) -> tuple[str, tuple[Cell, ...]]:
    matrix = results.matrix
    assert matrix is not None
    values = [Cell(number(cell.before, decimals=decimals_of(results, cell.metric))) for cell in cells]
    for task, metric in matrix.beside:
        row = results.find(matrix.against, metric, task=task)
        values.append(Cell(number(row.value, decimals=decimals_of(results, metric))) if row is not None else Cell(""))
    return f"{results.title(matrix.against)} (its figures)", tuple(values)


def _gain(cell: MatrixCell, decimals: int, reasons: list[str]) -> Cell:
    interval = math.isfinite(cell.low) and math.isfinite(cell.high)
    mark = ""
    if not interval and cell.reason:
        if cell.reason not in reasons:
            reasons.append(cell.reason)
        mark = f" ({reasons.index(cell.reason) + 1})"
    value = number(cell.value, signed=True, decimals=decimals) if math.isfinite(cell.value) else "n/a"
    ends = [number(end, signed=True, decimals=decimals) for end in (cell.low, cell.high)] if interval else []
    return Cell(
        value + (HOLDS if cell.holds else "") + mark,
        f"[{', '.join(ends)}]" if ends else "",
        cell.note or (OWN if cell.own else ""),
    )


def _beside(results: Results, row: str) -> list[Cell]:
    """Differences as they are, not towards a best value."""
    matrix = results.matrix
    assert matrix is not None
    found = []
    for task, metric in matrix.beside:
        change = results.find_difference(row, matrix.against, metric, task=task)
        decimals = decimals_of(results, metric)
        found.append(format_figure(change, signed=True, decimals=decimals) if change is not None else Cell(""))
    return found


def _notes(results: Results, first: Sequence[MatrixCell]) -> list[str]:
    matrix = results.matrix
    assert matrix is not None
    judged: dict[tuple[str, float], list[str]] = {}
    for cell in (one for one in first if not _is_of_metric(one)):
        judged.setdefault((cell.metric, cell.best), []).append(cell.column.partition(":")[0])
    by = "; ".join(
        f"{', '.join(dict.fromkeys(families))} by {results.description(metric).description} (best {best:g})"
        for (metric, best), families in judged.items()
    )
    said, holm = f"Judged: {by}. " if by else "", f"(Holm's correction, {100 * level_of(results):g} %)"
    notes = [
        f"{said}{HOLDS} holds, {when_together(matrix.cells, 'cell')} {holm}.",
        *matrix.notes,
    ]
    if matrix.beside:
        behind = ", ".join(dict.fromkeys(results.description(metric).title for _, metric in matrix.beside))
        notes.append(f"Behind the gains stand plain differences: {behind}.")
    return notes + [f"{task}: {note}." for task, note in results.notes.items()]


def _is_of_metric(cell: MatrixCell) -> bool:
    """Whether its column is of a metric of a task, not of a task."""
    return cell.column.endswith(f"/{cell.metric}")


def _head(results: Results, cell: MatrixCell, several: bool) -> str:
    """A column's name in words, so that it can be wrapped."""
    if _is_of_metric(cell):
        return results.description(cell.metric).title
    family, _, member = cell.column.partition(":")
    shown = f"{family} {member}" if several or not member else member
    return shown.replace("/", " ").replace("_", " ")
