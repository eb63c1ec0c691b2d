"""What the page shows of the neurons that methods edit."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from biasectomy.report.description import shown
from biasectomy.report.edits import groups
from biasectomy.report.figures import Cell, Grid
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures import Picture
from biasectomy.report.places import layer_of
from biasectomy.report.searches import searches

PICTURES = ("neurons", "factors")
SHOWN, TOKENS, PROMPTS = 12, 6, 2


def neurons_section(run: FinishedRun, left: dict[str, Picture]) -> dict[str, Any] | None:
    """Pictures, how many neurons of which kind, the first of them, and how their number was chosen.

    Args:
        run: a finished run.
        left: pictures by name; those that are shown here are taken out.
    """
    drawn = [left.pop(name) for name in PICTURES if name in left]
    sets = [_of_set(run, name) for name in run.neuron_sets]
    tried = searches(run.results, run.record)
    if not (drawn or sets or tried):
        return None
    return {"pictures": drawn, "sets": sets, "searches": tried}


def _of_set(run: FinishedRun, method: str) -> dict[str, Any]:
    neurons = run.neuron_sets[method]
    told = run.described(method) or {}
    known = {(str(one.get("module")), one.get("unit")): one for one in told.get("neurons") or ()}
    all_rows = [asdict(one) for one in neurons]
    rows = [_row(row, known.get((row["module"], row["unit"]), {})) for row in all_rows[:SHOWN]]
    counted = tuple((kind, (Cell(f"{count:,}"), Cell(layers))) for kind, count, layers in groups(all_rows))
    return {
        "title": run.results.title(method),
        "name": method,
        "count": len(neurons),
        "groups": Grid("Kind", ("Neurons", "Layers (neurons in each)"), counted),
        "rows": rows,
        "described": any(row["towards"] or row["prompts"] for row in rows),
        "silent": list(dict.fromkeys(row["silent"] for row in rows if row["silent"])),
    }


def _row(neuron: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    score, factor = neuron.get("score"), float(neuron["factor"])
    tokens = dict.fromkeys(shown(str(one["token"])) for one in told.get("writes_towards") or ())
    return {
        "layer": layer_of(neuron),
        "module": neuron["module"],
        "unit": neuron["unit"],
        "factor": f"{factor:.3g}",
        "effect": "removed"
        if factor == 0
        else "reversed"
        if factor < 0
        else "weakened"
        if factor < 1
        else "strengthened",
        "score": f"{score:.3g}" if isinstance(score, int | float) else "",
        "towards": list(tokens)[:TOKENS],
        "prompts": (told.get("most_active") or [])[:PROMPTS],
        "silent": told.get("no_tokens_because") or "",
    }
