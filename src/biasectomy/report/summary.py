"""A finished run in four short answers: is it fairer, what did it cost, can it be trusted, what comes next."""

from biasectomy.report.about_method import About
from biasectomy.report.as_it_is import figures_in_words
from biasectomy.report.curve_answers import CurveAnswers
from biasectomy.report.finished import FinishedRun
from biasectomy.report.matrix_answers import matrix_answers
from biasectomy.report.short_answers import COST, FAIRER, NEXT, TRUST, ShortAnswer, command, counted, lower, sentence
from biasectomy.report.verdict import ranking

SHOWN = 3  # methods or figures that are told one by one


def summary(run: FinishedRun) -> list[ShortAnswer]:
    """The four answers, in the order in which they are asked."""
    if run.results.matrix is not None:
        return matrix_answers(run)
    if run.results.curve is not None:
        return CurveAnswers(run).answers()
    if not run.subjects:
        return _of_none(run)
    if run.subject is None:
        return _of_several(run)
    about = About(run, run.subject)
    return [about.fairer(), about.cost(), about.trust(), about.next()]


def _of_none(run: FinishedRun) -> list[ShortAnswer]:
    """Of a run that measured a model, and changed nothing."""
    results = run.results
    goals = [row for row in results.metrics if results.goals.get(row.task) and row.task in results.tasks]
    task = goals[0].task if goals else ""
    most = max((row.items for row in results.metrics), default=0)
    model = str((run.record.get("settings") or {}).get("model") or "")
    return [
        ShortAnswer(
            FAIRER,
            "No verdict: nothing was changed",
            " ".join(figures_in_words(results)) or "No figure that was measured has a role.",
            "open",
        ),
        ShortAnswer(COST, "Nothing: nothing was changed", "One model was measured as it is.", "open"),
        ShortAnswer(
            TRUST,
            "As far as the intervals go",
            "That a figure is clearly away from its best value says that there is something to mend, not why. "
            f"No figure rests on more than {most:,} items; the tables say how many each has.",
            "open",
        ),
        ShortAnswer(
            NEXT,
            "Compare ways to make it fairer" if task else "Measure it on a task that methods can be fitted to",
            "They are fitted to half of the items of a task and measured on the others.",
            "open",
            (command("compare", model, "--task", task) if task else command("ls", "tasks"),),
        ),
    ]


def _of_several(run: FinishedRun) -> list[ShortAnswer]:
    """Of methods that were compared, none of them first."""
    results = run.results
    abouts = [About(run, method) for method in run.subjects]
    better = [one for one in abouts if one.better]
    silent = [one for one in better if one.words.abstains(one.first)]
    unharmed = [one for one in better if not one.losses() and one not in silent]
    sentences = " ".join(ranking(results, original=run.original))
    fairer = ShortAnswer(
        FAIRER,
        f"With {len(better)} of {counted(len(abouts), 'method')}" if better else "Not shown for any method",
        sentences,
        "good" if unharmed else "mixed" if better else "open",
    )
    told = [f"{one.title}: {lower(one.cost().short)}" for one in (better or abouts)[:SHOWN]]
    if (more := len(better or abouts) - SHOWN) > 0:
        told.append(f"{more} more in the tables")
    harmless = [one for one in better if not one.losses()]
    cost = ShortAnswer(
        COST,
        f"{len(harmless)} of {len(better)} lost nothing clearly" if better else "See each method",
        sentence("; ".join(told)),
        "good" if better and len(harmless) == len(better) else "mixed" if harmless else "open" if not better else "bad",
    )
    best = (unharmed or better or abouts)[0]
    trust = best.trust()
    trust = ShortAnswer(TRUST, trust.short, f"{best.title}: {lower(trust.text)}", trust.tone)
    model, task = (str(best.settings.get(name) or "") for name in ("model", "task"))
    if unharmed:
        line = command("mitigate", model, "--task", task, "--method", best.method)
        text = f"Make a model with {best.title}, which measures it beside a control, too."
        follow = ShortAnswer(NEXT, f"Go on with {best.title}", text, "good", (line,))
    else:
        text = "No method is clearly better at no clear price. Ask more items, or keep the original."
        follow = ShortAnswer(NEXT, "Choose none of them yet", text, "mixed" if better else "open")
    return [fairer, cost, trust, follow]
