"""A study's curve in four short answers: where it is best, whether that holds, what it cost there, what comes next.

Points of a curve are methods as others are, such as "crispr:100", and beside each may stand as many random neurons.
Where the line has figures of its own, its points are draws of one thing: then they are judged together.
"""

from dataclasses import replace
from functools import cached_property

from biasectomy.measuring.results import CurvePoint, DifferenceRow
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
)
from biasectomy.report.words import (
    change_in_words,
    clear_alone,
    ends_of,
    goal_differences,
    holding_together,
    is_nearer,
    line_of,
    listed,
    no_answer_changed,
    when_together,
)
from biasectomy.run_files import NEURONS, of_method


class CurveAnswers:
    """What a curve says; there is something to say only where its points were compared with the original."""

    def __init__(self, run: FinishedRun) -> None:
        self.run, self.results = run, run.results
        assert run.results.curve is not None
        self.over = run.results.curve.over
        self.points: dict[str, CurvePoint] = {one.row: one for one in run.results.curve.points}
        compared = goal_differences(run.results)
        self.tried = [row for row in compared if row.against == run.original and row.method in self.points]
        self.controlled = [row for row in compared if self._is_control(row)]
        self.held = holding_together(run.results)

    def answers(self) -> list[ShortAnswer]:
        """The four answers, in the order in which they are asked."""
        if not self.tried or no_answer_changed(self.tried):
            return self._of_nothing()
        if self.pooled is not None:
            return self._of_draws(self.pooled)
        return [self._fairer(), self._cost(), self._trust(), self._next()]

    @cached_property
    def better(self) -> list[DifferenceRow]:
        """The points that serve the goal when all of them are looked at together."""
        return [row for row in self.tried if row in self.held and is_nearer(self.results, row)]

    @cached_property
    def worse(self) -> list[DifferenceRow]:
        """Those that harm it."""
        return [row for row in self.tried if row in self.held and not is_nearer(self.results, row)]

    @cached_property
    def best(self) -> DifferenceRow:
        """The point whose figure is nearest to the best value, of those that hold where some do."""
        return min(self.better or self.tried, key=self._distance)

    @cached_property
    def pooled(self) -> DifferenceRow | None:
        """What all points of the line are worth together, where they are draws of one thing."""
        lines = {line_of(row.method) for row in self.tried}
        rows = (row for row in goal_differences(self.results) if row.against == self.run.original)
        return next((row for row in rows if row.method in lines), None)

    def _is_control(self, row: DifferenceRow) -> bool:
        """Whether a point is held against what should do nothing, at the same number."""
        one, other = self.points.get(row.method), self.points.get(row.against)
        return one is not None and other is not None and one.x == other.x and one.method != other.method

    def _distance(self, row: DifferenceRow) -> float:
        best, ends = self.results.description(row.metric).best, ends_of(self.results, row)
        return abs(ends[1] - best) if ends is not None and best is not None else -row.value

    def _names(self, rows: list[DifferenceRow]) -> str:
        """The numbers of points, where these are amounts; else what the points are called."""
        return listed(
            [f"{self.points[row.method].x:,g}" if self._rising else self.results.title(row.method) for row in rows]
        )

    def _place(self, row: DifferenceRow) -> str:
        """A point in a few words: of amounts the number with its unit."""
        return f"{self.points[row.method].x:,g} {self.over}" if self._rising else lower(self.results.title(row.method))

    @property
    def _goal(self) -> str:
        return self.results.description(self.tried[0].metric).description

    def _fairer(self) -> ShortAnswer:
        """Where the curve is best, and at which numbers a gain holds."""
        best, title = self.best, self.results.title(self.best.method)
        words = About(self.run, best.method).words
        how = words.abstention(words.changes(best.task))
        together = when_together(self.tried)
        told = " ".join([f"{words.change(best)}.", *map(sentence, how)])
        others = f" It gets worse with {self._names(self.worse)}." if self.worse else ""
        among = f"{len(self.tried)} numbers ({self.over})" if self._rising else f"{len(self.tried)} points"
        if not self.better:
            alone = [row for row in clear_alone(self.tried) if is_nearer(self.results, row)]
            would = f" Each by itself, {self._names(alone)} would hold; more items may show it." if alone else ""
            text = f"With none of {among} a gain in {self._goal} holds, {together}."
            return ShortAnswer(
                FAIRER,
                "No, less fair" if self.worse else f"Not shown with any of {len(self.tried)}",
                f"{text} Nearest comes {title}: {told}{would}{others}",
                "bad" if self.worse else "open",
            )
        text = f"Best is {title}: {told} Of {among} a gain holds with {self._names(self.better)}"
        return ShortAnswer(
            FAIRER,
            f"{'Best' if how else 'Yes, most'} with {self._place(best)}",
            f"{text}, {together}.{others}",
            "mixed" if how or self.worse else "good",
        )

    def _cost(self) -> ShortAnswer:
        """What the best point cost, and how many of the others cost something."""
        cost = About(self.run, self.best.method).cost()
        losses = [row for row in self.tried if About(self.run, row.method).losses()]
        told = f" Something got clearly worse with {self._names(losses)}." if losses else ""
        return ShortAnswer(
            COST, cost.short, f"With {self.results.title(self.best.method)}: {cost.text}{told}", cost.tone
        )

    def _trust(self) -> ShortAnswer:
        """Whether the best point is outside what random neurons do; that it was picked by what is told of it."""
        about = About(self.run, self.best.method)
        several = len(self.tried) > 1
        picked = (
            f"the best of {len(self.tried)} was picked on the items that it is judged by, which flatters its figure"
        )
        if not self.better:
            text = sentence("; ".join(said for _, said in about.basis(self.best)))
            return ShortAnswer(TRUST, "There is no clear change to trust", text, "open")
        checks = [*self._control(), *about.basis(self.best)]
        failed, passed = ([said for good, said in checks if good == wanted] for wanted in (False, True))
        text = sentence("; ".join([*failed, *([picked] if several else []), *passed]))
        if failed:
            return ShortAnswer(
                TRUST, f"In part: {len(passed)} of {counted(len(checks), 'check')} passed", text, "mixed"
            )
        short = "That it helps, yes; how much, not yet" if several else "Yes, within its limits"
        return ShortAnswer(TRUST, short, text, "mixed" if several else "good")

    def _control(self) -> list[tuple[bool, str]]:
        """Whether the best point is better than its control, and which others are."""
        if not self.controlled:
            return [(False, "no control was measured: what as many random neurons would do is not known")]
        ahead = [row for row in self.controlled if row in self.held and is_nearer(self.results, row)]
        own = next((row for row in self.controlled if row.method == self.best.method), None)
        if own is None:
            return [(False, "beside the best there is no control")]
        size = change_in_words(self.results, own)
        if own in ahead:
            count = f"{len(ahead)} of {len(self.controlled)} points are"
            return [(True, f"it is ahead of as many random neurons ({size}); {count}")]
        where = f"; ahead of them: {self._names(ahead)}" if ahead else ", and no other is ahead of them"
        return [(False, f"it cannot be told from as many random neurons ({size}){where}")]

    def _next(self) -> ShortAnswer:
        """What follows: another draw of items for the best point, more items, or larger numbers."""
        if not self.better:
            text = "No number speaks for it. Ask more items, or study another method."
            return ShortAnswer(NEXT, "Conclude nothing yet", text, "open", more_items(self.run))
        at_end = self._rising and self.best.method == max(self.tried, key=lambda row: self.points[row.method].x).method
        text = "Confirm the best on other items before you report its figure" + (
            "; it is the largest that was tried, and a larger one may do better." if at_end else "."
        )
        return ShortAnswer(NEXT, "Confirm it on other items", text, "mixed", self._confirming())

    @property
    def _rising(self) -> bool:
        """Whether numbers are amounts, of which more can be tried; not so of layers."""
        assert self.results.curve is not None
        return self.results.curve.logarithmic

    def _confirming(self) -> tuple[str, ...]:
        """The best point once more with another split; a set of neurons that no command finds is measured elsewhere."""
        settings = self.run.record.get("settings") or {}
        model, task, method = (str(settings.get(name) or "") for name in ("model", "task", "method"))
        neurons = self.run.neuron_sets.get(self.best.method)
        if line_of(self.best.method) == method:
            number = ("--neurons", str(len(neurons))) if neurons is not None else ()
            words = ("--method", method, *number, "--seed", str(int(settings.get("seed") or 0) + 1))
            return (command("mitigate", model, "--task", task, *words, *options_of_methods(self.run)),)
        if neurons is None:
            return ()
        file = str(of_method(self.run.folder, self.best.method) / NEURONS)
        return (command("evaluate", model, "--neurons", file, "--task", "all"),)

    def _of_draws(self, pooled: DifferenceRow) -> list[ShortAnswer]:
        """Of points that are draws of one thing: what they are worth together, and how far they are apart."""
        about = About(self.run, pooled.method)
        alone = [row for row in clear_alone(self.tried) if is_nearer(self.results, row)]
        harmed = [row for row in clear_alone(self.tried) if not is_nearer(self.results, row)]
        fairer, trust, follow = about.fairer(), about.trust(), about.next()
        count = f"{len(alone)} of {len(self.tried)} by themselves gain clearly" + (
            f", and {len(harmed)} lose" if harmed else ""
        )
        agree = len(alone) == len(self.tried) or len(harmed) == len(self.tried)
        spread = "all of them agree" if agree else "whether a gain is shown depends on the draw"
        return [
            ShortAnswer(
                FAIRER, fairer.short, f"{self.results.title(pooled.method)}: {fairer.text} {count}.", fairer.tone
            ),
            about.cost(),
            ShortAnswer(
                TRUST,
                trust.short
                if agree or not self.better
                else f"It depends on the draw: {len(alone)} of {len(self.tried)}",
                f"{count}: {spread}. {trust.text}",
                trust.tone if agree else "mixed",
            ),
            self._after_draws(about, follow),
        ]

    def _after_draws(self, about: About, follow: ShortAnswer) -> ShortAnswer:
        """Of a method that helps over all draws: a run of it, which learns from all items and has a control."""
        if not about.gained:
            return replace(follow, commands=more_items(self.run) or follow.commands)
        text = "It then learns from all development items, and stands beside as many random neurons."
        settings = self.run.record.get("settings") or {}
        model, task, method, number = (str(settings.get(one) or "") for one in ("model", "task", "method", "neurons"))
        words = ("--method", method, *(("--neurons", number) if number else ()), *options_of_methods(self.run))
        return ShortAnswer(
            NEXT, "Make it beside a control", text, "mixed", (command("mitigate", model, "--task", task, *words),)
        )

    def _of_nothing(self) -> list[ShortAnswer]:
        text = f"At no number ({self.over}) a figure of the goal differs from the original's."
        return [
            ShortAnswer(FAIRER, "No: nothing changed", text, "open"),
            ShortAnswer(COST, "Nothing, as far as the goal shows", "Other figures stand in the table.", "open"),
            ShortAnswer(TRUST, "There is no change to doubt", "The model answers as it did.", "open"),
            ShortAnswer(NEXT, "Try other numbers, or another method", "The study can be given others.", "open"),
        ]
