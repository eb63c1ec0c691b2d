"""What can be said of one method of a finished run, in four short answers.

Computed from intervals, roles, goals and the record; nothing here knows a metric or a method.
"""

import math
from collections.abc import Sequence

from biasectomy.measuring.multiplicity import holding
from biasectomy.measuring.results import DifferenceRow
from biasectomy.report.figures import DECIMALS, USUAL, number, tasks_of_first_table
from biasectomy.report.finished import FinishedRun
from biasectomy.report.short_answers import (
    COST,
    FAIRER,
    NEXT,
    TRUST,
    ShortAnswer,
    command,
    counted,
    more_items,
    out_of,
    sentence,
    upper,
)
from biasectomy.report.verdict import Words
from biasectomy.run_files import MODEL

FEW_TEMPLATES = 10  # with fewer, one unusual template decides
MARGIN = 0.02  # of what is to be kept, where the run set none
SHOWN = 2  # figures that are told one by one


class About:
    """What can be said of one method of a run."""

    def __init__(self, run: FinishedRun, method: str) -> None:
        self.run, self.results, self.method = run, run.results, method
        self.words = Words(run.results, method, run.original)
        self.tasks = list(run.results.tasks)
        self.first = self.words.changes(self.tasks[0]) if self.tasks else []
        self.others = [row for task in self.tasks[1:] for row in self.words.changes(task)]
        self.settings = run.record.get("settings") or {}

    @property
    def title(self) -> str:
        """What the method is called."""
        return self.results.title(self.method)

    @property
    def nothing_changed(self) -> bool:
        """Whether it edits neurons, and none."""
        found = self.run.neuron_sets.get(self.method)
        return found is not None and not len(found)

    def goals(self, rows: Sequence[DifferenceRow]) -> list[DifferenceRow]:
        """Those of the rows that say whether it is fairer."""
        return [row for row in rows if self.words.role(row) == "goal"]

    @property
    def gained(self) -> bool:
        """Whether a goal of the first task clearly came nearer, and none went further."""
        gains = [self.words.gain(row) for row in self.goals(self.first)]
        return any(gain > 0 for gain in gains) and not any(gain < 0 for gain in gains)

    @property
    def better(self) -> bool:
        """Whether the figure that methods were fitted to clearly came nearer its best value, as a ranking has it."""
        aim = self.results.goals.get(self.tasks[0]) if self.tasks else None
        rows = [row for row in self.first if row.metric == aim]
        return any(self.words.gain(row) > 0 for row in rows) if rows else self.gained

    @property
    def worse(self) -> bool:
        """Whether a goal of the first task clearly went further from its best value."""
        return any(self.words.gain(row) < 0 for row in self.goals(self.first))

    def fairer(self) -> ShortAnswer:
        """Whether the goals of the first task came nearer their best values, and how; then those of other tasks."""
        goals = self.goals(self.first)
        if self.nothing_changed:
            text = "No number of neurons helped on the development items, so none is changed."
            return ShortAnswer(FAIRER, "No: the model is as it was", text, "open")
        if not goals:
            return ShortAnswer(FAIRER, "It was not asked", "No figure of the first task is a goal.", "open")
        text = f"{sentence(self.words.change(goals[0]))}{self._elsewhere()}"
        how = self.words.abstention(self.first)
        if self.worse:
            return ShortAnswer(FAIRER, "No, less fair" if not self.gained else "In part", text, "bad")
        if self.gained and how:
            said = "Yes, at a price"
            if self.words.abstains(self.first):
                said = "Hardly: it mostly abstains" if "mostly" in how[0] else "In part: it also abstains more"
            return ShortAnswer(FAIRER, said, f"{text} {sentence('; '.join(how))}", "mixed")
        if self.gained:
            return ShortAnswer(FAIRER, "Yes, on these questions", text, "good")
        unclear = any(math.isfinite(row.low) for row in goals)
        return ShortAnswer(FAIRER, "Not shown" if unclear else "It cannot be said", text, "open")

    def _elsewhere(self) -> str:
        """How the goals of other tasks fared, counted."""
        gains = [self.words.gain(row) for row in self.goals(self.others)]
        if not gains:
            return ""
        better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
        return (
            f" Of {counted(len(gains), 'goal')} of other tasks {better} got clearly nearer, {worse} further, and "
            f"{len(gains) - better - worse} cannot be told from no change."
        )

    def kept(self) -> list[DifferenceRow]:
        """Changes of what was to be kept, whose figure could have got better as well as worse."""
        rows = [row for row in (*self.first, *self.others) if self.words.role(row) in ("guard", "abstention")]
        return [row for row in rows if not self._only_worse(row)]

    def _only_worse(self, row: DifferenceRow) -> bool:
        """Whether the original has the best value by construction, such as no drift from itself, so without doubt."""
        before = self.results.find(row.against, row.metric, task=row.task)
        is_best = before is not None and before.value == self.results.description(row.metric).best
        return is_best and before is not None and not before.low < before.high

    def losses(self) -> list[DifferenceRow]:
        """What clearly got worse of what was to be kept."""
        return [row for row in self.kept() if self.words.gain(row) < 0]

    def worst_case(self) -> tuple[float, DifferenceRow] | None:
        """The largest loss of a share that no interval excludes."""
        found = []
        kept = self.kept()
        guards = [row for row in kept if self.words.role(row) == "guard"]
        for row in guards or kept:
            described = self.results.description(row.metric)
            if described.unit == "share" and described.best in (0, 1) and math.isfinite(row.low):
                found.append((-row.low if described.best == 1 else row.high, row))
        return max(found, key=lambda pair: pair[0], default=None)

    @property
    def margin(self) -> float:
        """How far what is to be kept may get worse."""
        given = self.settings.get("margin")
        return float(given) if isinstance(given, int | float) else MARGIN

    def cost(self) -> ShortAnswer:
        """What clearly got worse, or how much may have; how far it moved; what answering costs."""
        kept, losses, worst = self.kept(), self.losses(), self.worst_case()
        behind = " ".join([*self.distances(), *self._answering()])
        if losses:
            told = [sentence(self.words.change(row)) for row in losses[:SHOWN]]
            if more := len(losses) - SHOWN:
                told += [f"{counted(more, 'other figure')} got clearly worse too."] if more > 0 else []
            return ShortAnswer(
                COST,
                f"{counted(len(losses), 'figure')} of {len(kept)} got worse",
                f"{' '.join(told)} {behind}".strip(),
                "bad",
            )
        if not kept:
            return ShortAnswer(
                COST, "Not measured", f"Nothing that was to be kept was measured. {behind}".strip(), "open"
            )
        text = f"Of {counted(len(kept), 'figure')} that should hold none got clearly worse."
        if worst is None or worst[0] <= self.margin:
            return ShortAnswer(COST, "Nothing that shows", f"{text} {behind}".strip(), "good")
        name = self.results.description(worst[1].metric).description
        text += f" But a loss of up to {100 * worst[0]:.1f} points of {name} is not excluded."
        return ShortAnswer(COST, "No clear loss, but room for one", f"{text} {behind}".strip(), "mixed")

    def distances(self) -> list[str]:
        """Figures that can only get worse, such as drift."""
        rows = [row for row in (*self.first, *self.others) if self.words.role(row) == "guard" and self._only_worse(row)]
        found = []
        for row in rows[:1]:
            after, described = (
                self.results.find(row.method, row.metric, task=row.task),
                self.results.description(row.metric),
            )
            if after is not None and math.isfinite(after.value):
                value = number(after.value, decimals=DECIMALS.get(described.unit, USUAL))
                found.append(f"{upper(described.description)}: {value}.")
        return found

    def _answering(self) -> list[str]:
        """How much more an answer takes than the original's."""
        costs = self.results.costs
        own, before = costs.get(self.method) or {}, costs.get(self.run.original) or {}
        read, read_before = own.get("tokens_per_answer"), before.get("tokens_per_answer")
        if read and read_before:
            if read > 1.01 * read_before:
                return [f"An answer takes {read / read_before:.1f} times the tokens."]
            return ["An answer takes no longer."] if own.get("questions_per_answer") == 1 else []
        return []

    def trust(self) -> ShortAnswer:
        """Which of the checks that a result should pass it passes."""
        goals = self.goals(self.first)
        if self.nothing_changed or not goals:
            return ShortAnswer(TRUST, "There is no change to doubt", "The model answers as it did.", "open")
        checks = self.checks()
        passed = [said for good, said in checks if good]
        failed = [said for good, said in checks if not good]
        text = sentence("; ".join([*failed, *passed]))
        if not (self.gained or self.worse):
            return ShortAnswer(TRUST, "There is no clear change to trust", text, "open")
        if not failed:
            return ShortAnswer(TRUST, "Yes, within its limits", text, "good")
        return ShortAnswer(TRUST, f"In part: {len(passed)} of {counted(len(checks), 'check')} passed", text, "mixed")

    def checks(self) -> list[tuple[bool, str]]:
        """What a change of the first goal should stand, each with whether it does."""
        goals = self.goals(self.first)
        return [*self._together(goals), *self._control(), *self.basis(goals[0])]

    def _together(self, goals: Sequence[DifferenceRow]) -> list[tuple[bool, str]]:
        """Whether a goal's change holds among all changes of its task."""
        level = float(self.results.interval.get("level", 0.95))
        tasks = tasks_of_first_table(self.results)
        rows = [
            row
            for row in self.results.differences
            if (row.method, row.against) == (self.method, self.run.original)
            and row.task in tasks
            and math.isfinite(row.low)
        ]
        if len(rows) < 2:
            return []
        held = [row for row in holding(rows, level) if row in goals]
        size = f"when all {len(rows)} differences are looked at together"
        return [(True, f"the change holds {size}")] if held else [(False, f"no change of a goal holds {size}")]

    def _control(self) -> list[tuple[bool, str]]:
        """Whether it is better than what should do nothing."""
        control = self.run.control(self.method)
        aim = self.results.goals.get(self.tasks[0])
        row = self.results.find_difference(self.method, control, aim, task=self.tasks[0]) if control and aim else None
        if row is None:
            return [(False, "no control was measured: what as many random neurons would do is not known")]
        return [(self.words.gain(row) > 0, self.words.against_random(row))]

    def basis(self, row: DifferenceRow) -> list[tuple[bool, str]]:
        """How many items it rests on, and whether anything was learned from them."""
        whole = max((one for one in self.results.metrics if one.task == row.task), key=lambda one: one.items)
        enough = whole.clusters >= FEW_TEMPLATES
        few = "" if enough else ", few enough for a single one to decide"
        found = [(enough, f"it rests on {whole.items:,} items from {counted(whole.clusters, 'template')}{few}")]
        if whole.split == "test":
            found.append((True, "nothing was learned from these items"))
        elif self.run.neuron_sets.get(self.method) is not None:
            found.append((False, "the neurons may have been found on some of these items"))
        return found

    def next(self) -> ShortAnswer:
        """What follows from the other three answers."""
        model, task = (str(self.settings.get(name) or "") for name in ("model", "task"))
        compare = command("compare", model, "--task", task)
        if self.nothing_changed or not (self.gained or self.worse):
            text = f"Nothing speaks for {self.title} here. Ask more items, or compare other methods on the same ones."
            commands = (*more_items(self.run), compare)
            return ShortAnswer(NEXT, "Keep the original for now", text, "open", commands)
        if self.worse or self.losses() or self.words.abstention(self.first):
            text = "Decide whether the gain is worth that price where the model will be used, or compare other methods."
            return ShortAnswer(NEXT, "Do not use it unseen", text, "mixed", (compare,))
        missing = [said for good, said in self.checks() if not good]
        if (worst := self.worst_case()) is not None and worst[0] > self.margin:
            missing.append(f"a loss of up to {100 * worst[0]:.1f} points is not excluded")
        if missing:
            text = f"{sentence('; '.join(missing))} More items narrow the intervals."
            return ShortAnswer(NEXT, "Measure more, then decide", text, "mixed", more_items(self.run))
        there = (self.run.folder / MODEL).is_dir()
        commands = (command("evaluate", f"{out_of(self.run)}/{MODEL}", "--task", "all"),) if there else ()
        text = "Measure it on what you will use it for; fairness on these questions says nothing of others."
        return ShortAnswer(NEXT, "Try it where it will be used", text, "good", commands)
