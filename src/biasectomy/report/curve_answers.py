"""The four short answers to a study whose result is a curve: what its points show when they are looked at together."""

from collections.abc import Sequence

from biasectomy.measuring.results import DifferenceRow
from biasectomy.report.about_method import About
from biasectomy.report.finished import FinishedRun
from biasectomy.report.short_answers import COST, FAIRER, NEXT, TRUST, ShortAnswer, command, counted, lower, sentence
from biasectomy.report.words import goal_differences, holding_together, is_nearer, line_of, listed

SHOWN = 3  # points that are told one by one


class CurveAnswers:
    """Which points of a curve serve the goal, which more than their control does, and which at no clear loss."""

    def __init__(self, run: FinishedRun) -> None:
        self.run, self.results = run, run.results
        held = holding_together(self.results)
        compared = goal_differences(self.results)
        self.points = [row for row in compared if row.against == run.original and line_of(row.method) != row.method]
        nearer = [row for row in held if is_nearer(self.results, row)]
        self.gained = [row for row in self.points if row in nearer]
        self.controls = {row.method: run.control(row.method) for row in self.gained}
        beaten = {(row.method, row.against) for row in nearer}
        self.ahead = [one for one, control in self.controls.items() if control and (one, control) in beaten]
        self.abouts = {row.method: About(run, row.method) for row in self.gained}
        self.harmless = [name for name, one in self.abouts.items() if not one.losses() and not self._abstains(one)]
        controlled = any(self.controls.values())
        self.usable = [name for name in self.harmless if name in self.ahead or not controlled]

    def answers(self) -> list[ShortAnswer]:
        """The four answers, in the order in which they are asked."""
        return [self._fairer(), self._cost(), self._trust(), self._next()]

    def _fairer(self) -> ShortAnswer:
        short = f"At {len(self.gained)} of {counted(len(self.points), 'point')}" if self.gained else "Not shown"
        tone = "good" if self.usable else "mixed" if self.gained else "open"
        return ShortAnswer(FAIRER, short, " ".join(self.results.verdict[:2]), tone)

    def _cost(self) -> ShortAnswer:
        if not self.gained:
            return ShortAnswer(COST, "Nothing to weigh", "No point shows a gain that could have a price.", "open")
        told = [
            f"{one.title}: {'mostly or in part abstention' if self._abstains(one) else lower(one.cost().short)}"
            for one in list(self.abouts.values())[:SHOWN]
        ]
        if (more := len(self.abouts) - SHOWN) > 0:
            told.append(f"{more} more in the tables")
        short = f"{len(self.harmless)} of {len(self.gained)} lost nothing clearly"
        every = len(self.harmless) == len(self.gained)
        tone = "good" if every else "mixed" if self.harmless else "bad"
        return ShortAnswer(COST, short, sentence("; ".join(told)), tone)

    def _trust(self) -> ShortAnswer:
        basis = self._basis(self.gained or self.points)
        if not self.gained:
            return ShortAnswer(TRUST, "There is nothing to trust yet", basis, "open")
        controls = list(dict.fromkeys(self.results.title(line_of(one)) for one in self.controls.values() if one))
        if not controls:
            return ShortAnswer(TRUST, "As far as its intervals go", f"No control stands beside it. {basis}", "mixed")
        if not self.ahead:
            text = f"No point can be told from {listed(controls)}: such a change may do as much. {basis}"
            return ShortAnswer(TRUST, "Not beyond its control", text, "bad")
        titles = listed([self.results.title(one) for one in self.ahead])
        return ShortAnswer(TRUST, "Yes, within its limits", f"Better than its control: {titles}. {basis}", "good")

    def _basis(self, rows: Sequence[DifferenceRow]) -> str:
        first = rows[0] if rows else None
        smallest = f" The figures rest on {first.items:,} items from {first.clusters:,} templates." if first else ""
        return f"All points are looked at together (Holm's correction).{smallest}"

    def _next(self) -> ShortAnswer:
        if not self.usable:
            text = "No point is clearly better at no clear price. Ask more items, or keep the original."
            return ShortAnswer(NEXT, "Choose none of them yet", text, "mixed" if self.gained else "open")
        settings = self.run.record.get("settings") or {}
        model, task, method = (str(settings.get(name) or "") for name in ("model", "task", "method"))
        text = f"{self.results.title(self.usable[0])} is the first that serves; make a model and measure it."
        line = command("mitigate", model, "--task", task, "--method", method)
        return ShortAnswer(NEXT, "Make a model", text, "good", (line,))

    def _abstains(self, about: About) -> bool:
        return bool(about.words.abstains(about.first))
