"""A study's matrix in four short answers: what helps on which items, what it costs there, and what comes next.

A matrix sets methods against kinds of items (as `study transfer` does), or one method against wordings, metrics or
tasks; then the method is judged as in any other run, and the matrix says more of it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from biasectomy.measuring.results import MatrixCell, Results
from biasectomy.report.about_method import About
from biasectomy.report.finished import FinishedRun
from biasectomy.report.short_answers import (
    COST,
    FAIRER,
    NEXT,
    TRUST,
    ShortAnswer,
    command,
    counted,
    lower,
    more_items,
    options_of_methods,
    sentence,
    upper,
)
from biasectomy.report.verdict import Words
from biasectomy.report.words import change_in_words, clear_alone, when_together

SHOWN = 3  # rows that are told one by one


def matrix_answers(run: FinishedRun) -> list[ShortAnswer]:
    """The four answers, in the order in which they are asked."""
    matrix, named = run.results.matrix, (run.record.get("settings") or {}).get("method")
    assert matrix is not None
    return _of_method(run, str(named)) if named in matrix.rows else _of_kinds(run)


# One method


def _of_method(run: FinishedRun, method: str) -> list[ShortAnswer]:
    """Of one method, whose rows stand in the matrix: what other runs say of it, and what the cells add."""
    about, matrix = About(run, method), run.results.matrix
    assert matrix is not None
    fairer, cost, trust, follow = about.fairer(), about.cost(), about.trust(), about.next()
    aims = _aims(run.results, matrix.of_row(method))
    if len(aims) > 1:  # wordings
        gains, losses = (sum(sign * cell.value > 0 for cell in clear_alone(aims)) for sign in (1, -1))
        told = (
            f"Column by column {gains} of {len(aims)} gain and {losses} lose, each by its own interval; "
            f"{sum(_counted(aims))} of these changes hold {when_together(matrix.cells)}."
        )
        fairer = replace(fairer, text=f"{fairer.text} {told}", tone="mixed" if losses else fairer.tone)
    others = [row for row in matrix.rows if row.startswith(f"{method}:")]
    if others:
        ahead = [row for row in others if _is_ahead(run.results, row, method)]
        named = ", ".join(map(run.results.title, ahead)) or "none"
        fairer = replace(fairer, text=f"{fairer.text} Of {counted(len(others), 'variant')} ahead of it: {named}.")
    if noted := _noted(run.results, matrix.of_row(method), aims):
        cost = noted
        if noted.tone == "bad" and fairer.tone == "good":
            text = "Decide whether the gain is worth what is lost, where the model will be used."
            follow = replace(follow, short="Weigh the gain against what is lost", text=text, tone="mixed")
    return [fairer, cost, trust, follow]


def _aims(results: Results, cells: Sequence[MatrixCell]) -> list[MatrixCell]:
    """The cells that say whether it is fairer: of columns of metrics the first, which is the goal; else all."""
    first = cells[0]
    return [first] if first.column.endswith(f"/{first.metric}") else list(cells)


def _counted(cells: Sequence[MatrixCell]) -> tuple[int, int]:
    """How many gains and losses hold."""
    return sum(cell.holds and cell.value > 0 for cell in cells), sum(cell.holds and cell.value < 0 for cell in cells)


def _is_ahead(results: Results, row: str, method: str) -> bool:
    """Whether a variant is clearly ahead of the method in the goal."""
    aim = results.goals.get(results.tasks[0]) if results.tasks else None
    difference = results.find_difference(row, method, aim, task=results.tasks[0]) if aim else None
    return difference is not None and Words(results, row, method).gain(difference) > 0


def _noted(results: Results, cells: Sequence[MatrixCell], aims: Sequence[MatrixCell]) -> ShortAnswer | None:
    """What the study itself says of the columns that are no aim, such as kept or lost; None where it says nothing."""
    told = [cell for cell in cells if cell.note and cell not in aims]
    if not told:
        return None
    counts = Counter(cell.note for cell in sorted(told, key=lambda cell: cell.value if cell.holds else 0.0))
    lost = [cell for cell in told if cell.holds and cell.value < 0]
    short = ", ".join(f"{count} {note}" for note, count in counts.items())
    worst = "; ".join(
        f"{results.description(cell.metric).description} ({change_in_words(results, cell)})" for cell in lost[:SHOWN]
    )
    text = f"Of {counted(len(told), 'figure')} {short}.{f' Clearly less: {worst}.' if worst else ''}"
    clean = not lost and len(counts) == 1 and not any(math.isnan(cell.value) for cell in told)
    return ShortAnswer(COST, upper(short), text, "bad" if lost else "good" if clean else "mixed")


# Several methods on several kinds of items


def _of_kinds(run: FinishedRun) -> list[ShortAnswer]:
    matrix = run.results.matrix
    assert matrix is not None
    own = [cell for cell in matrix.cells if cell.own]
    elsewhere = [cell for cell in matrix.cells if not cell.own]
    helped = [row for row in matrix.rows if _counted(matrix.of_row(row))[0]]
    return [_fairer(run, own, elsewhere), _cost(run, helped), _trust(run), _next(run, helped)]


def _fairer(run: FinishedRun, own: Sequence[MatrixCell], elsewhere: Sequence[MatrixCell]) -> ShortAnswer:
    """How many gains hold on what was learned of and elsewhere, and the largest of each."""
    matrix = run.results.matrix
    assert matrix is not None
    (at_home, lost_home), (abroad, lost_abroad) = _counted(own), _counted(elsewhere)
    lost = lost_home + lost_abroad
    of_others = f"in {abroad} of {len(elsewhere)} other cells"
    if not at_home and not abroad:
        short = "Not shown anywhere" if not lost else "No, less fair in places"
    elif not own:
        short = f"Yes, {of_others.replace(' other', '')}"
    elif at_home:
        all_own = "where it was learned" if at_home == len(own) else f"in {at_home} of {len(own)} where it was learned"
        short = f"Yes {all_own}, {of_others}" if abroad else f"Yes {all_own}, not shown elsewhere"
    else:
        short = f"Not where it was learned, but {of_others}"
    told = [_largest(run.results, cells, where) for cells, where in ((own, "own kind"), (elsewhere, "another kind"))]
    if not at_home and not abroad and (alone := sum(cell.value > 0 for cell in clear_alone([*own, *elsewhere]))):
        told.append(f"By its own interval alone {counted(alone, 'gain')} would hold; more items may show it.")
    gains = counted(at_home + abroad, "gain") if at_home + abroad else "No gain"
    losses = counted(lost, "loss") if lost else "no loss"
    hold = f"{gains} and {losses} hold, {when_together(matrix.cells, 'cell')}."
    text = " ".join([hold, *(one for one in told if one)])
    tone = "bad" if lost and not (at_home or abroad) else "open" if not (at_home or abroad) else "mixed"
    return ShortAnswer(FAIRER, short, text, "good" if at_home and abroad and not lost else tone)  # type: ignore[arg-type]


def _largest(results: Results, cells: Sequence[MatrixCell], where: str) -> str:
    """The gain that holds and is largest by its interval's lower end, on cells of one sort."""
    gains = [cell for cell in cells if cell.holds and cell.value > 0]
    if not gains:
        return ""
    best = max(gains, key=lambda cell: cell.low)
    size = change_in_words(results, best)
    return f"The surest on {where}: {results.title(best.row)} on {best.column} ({size})."


def _cost(run: FinishedRun, helped: Sequence[str]) -> ShortAnswer:
    """What the rows cost that helped somewhere, one by one."""
    matrix = run.results.matrix
    assert matrix is not None
    rows = helped or matrix.rows
    abouts = [About(run, row) for row in rows]
    measured = [about for about in abouts if about.kept()]
    if not measured:
        return ShortAnswer(COST, "Not measured", "No column shows what it cost; --also names some.", "open")
    harmless = [about for about in abouts if not about.losses()]
    told = [
        f"{about.title}: {lower(about.cost().short)}. {' '.join(about.distances())}".rstrip()
        for about in abouts[:SHOWN]
    ]
    more = [f"{len(abouts) - SHOWN} more in the table."] if len(abouts) > SHOWN else []
    return ShortAnswer(
        COST,
        f"{len(harmless)} of {counted(len(abouts), 'fit')}{' that helped' if helped else ''} lost nothing clearly",
        " ".join([*told, *more]),
        "good" if helped and len(harmless) == len(abouts) else "mixed" if harmless else "bad",
    )


def _trust(run: FinishedRun) -> ShortAnswer:
    """What the marks allow for, what the cells rest on, and what was not measured."""
    matrix = run.results.matrix
    assert matrix is not None
    total = sum(math.isfinite(cell.low) for cell in matrix.cells)
    clear = [cell for cell in matrix.cells if cell.holds]
    fewest = min(matrix.cells, key=lambda cell: cell.clusters)
    told = [
        f"marks allow for {counted(total, 'look')} at once (Holm's correction)",
        f"the fewest templates, {fewest.clusters}, are behind {fewest.column}",
        "nothing was learned from any item that is measured",
    ]
    if not any(run.control(row) for row in matrix.rows):
        told.append("no control was measured: what as many random neurons would do is not known")
    return ShortAnswer(
        TRUST,
        "As far as all cells together go" if clear else "There is no clear change to trust",
        sentence("; ".join(told)),
        "mixed" if clear else "open",
    )


def _next(run: FinishedRun, helped: Sequence[str]) -> ShortAnswer:
    """The row that helped on most kinds, fitted once more beside a control; else more items."""
    matrix = run.results.matrix
    assert matrix is not None
    if not helped:
        return ShortAnswer(
            NEXT, "Conclude nothing yet", "Ask more items, or study another method.", "open", more_items(run)
        )
    unharmed = [row for row in helped if not _counted(matrix.of_row(row))[1] and not About(run, row).losses()]
    best = max(unharmed or helped, key=lambda row: _counted(matrix.of_row(row))[0])
    settings = run.record.get("settings") or {}
    model, method = (str(settings.get(name) or "") for name in ("model", "method"))
    on = best.removeprefix(f"{method}:")
    columns = ",".join(dict.fromkeys(cell.column for cell in matrix.of_row(best) if cell.column != on))
    line = command(
        *("mitigate", model, "--task", on, "--method", method),
        *(("--also", columns) if columns else ()),
        *options_of_methods(run),
    )
    return ShortAnswer(
        NEXT,
        "Confirm the best row beside a control" if unharmed else "Weigh the gains against what they cost",
        f"{run.results.title(best)} helped on most kinds. Measure it beside random neurons, and with another seed, "
        "before you rely on a cell; a gain beside a large drift may be destruction.",
        "mixed",
        (line,) if on in {cell.column for cell in matrix.cells} else (),
    )
