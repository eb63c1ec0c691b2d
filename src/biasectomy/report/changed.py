"""Answers that a method changed: which way, how many, and some of them with what was asked."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from biasectomy.report.finished import FinishedRun

RIGHT, WRONG, NO_OPTION = "right", "wrong", "no option"
SHOWN_DRAW = 0  # of a method with several
Place = tuple[str, str, int]  # task, item, instruction


@dataclass(frozen=True)
class Option:
    """One option with the probability that each side gave it, among the options; NaN where that is not known.

    `marks` say what it is: "right", "unknown", "stereotype".
    """

    text: str
    before: float
    after: float
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangedAnswer:
    """An answer of the original and what a method made of it; `chosen` are places of options, -1 for none."""

    method: str
    task: str
    item: str
    instruction: int
    context: str
    question: str
    options: tuple[Option, ...]
    chosen: tuple[int, int]
    directions: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    texts: tuple[str, str] | None = None  # where they were generated


@dataclass(frozen=True)
class ChangedAnswers:
    """Those of a run.

    `shown` are spread evenly over methods and directions; `changed` and `asked` count all, by method; `counts` count
    the directions, by method and direction.
    """

    shown: tuple[ChangedAnswer, ...]
    changed: Mapping[str, int]
    asked: Mapping[str, int]
    counts: Mapping[tuple[str, str], int]
    untold: int = 0  # whose options are not in the folder: an earlier version left them out

    @property
    def directions(self) -> list[str]:
        """All that there are, the most frequent first."""
        total: Counter[str] = Counter()
        for (_, direction), count in self.counts.items():
            total[direction] += count
        return [direction for direction, _ in total.most_common()]


def changed_answers(run: FinishedRun, at_most: int) -> ChangedAnswers:
    """What the methods of a run changed of the original's answers to what it measured.

    Args:
        run: the run; its items are read once.
        at_most: how many are shown.

    Raises:
        DataError: a line of the run's files is damaged.
    """
    asked_about = run.questions()
    before: dict[Place, Mapping[str, Any]] = {}
    found: dict[tuple[str, str], list[ChangedAnswer]] = defaultdict(list)
    changed: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    untold = 0
    rules = {str(one.get("name")): str(one.get("answer_rule")) for one in run.record.get("tasks") or ()}
    for row in run.answers():
        if row.get("draw") != SHOWN_DRAW:  # while a number was chosen, answers have none
            continue
        place = str(row["task"]), str(row["item"]), int(row.get("instruction", 0))
        method = str(row["method"])
        if method == run.original:
            before[place] = row
        elif method in run.subjects and place in before and (about := _Pair(before[place], row)).judged:
            asked[method] += 1
            if not about.changed:
                continue
            told = asked_about.get(place[:2], {})
            answer = about.told(method, place, told, _rule(rules, place[0]))
            changed[method] += 1
            counts.update((method, direction) for direction in answer.directions)
            if answer.options or answer.texts:
                found[method, answer.directions[0]].append(answer)
            else:
                untold += 1
    return ChangedAnswers(tuple(_spread(list(found.values()), at_most)), changed, asked, counts, untold)


def _rule(rules: Mapping[str, str], task: str) -> str:
    """The answer rule of a task, or of the joined one that it is part of."""
    family = task.partition(":")[0]
    return rules.get(task) or next((rule for name, rule in rules.items() if name.partition(":")[0] == family), "sum")


def _spread(groups: Sequence[Sequence[ChangedAnswer]], at_most: int) -> Iterator[ChangedAnswer]:
    """So many in all, in turn from each group, and evenly over it."""
    shares = [0] * len(groups)
    left = at_most
    while left > 0 and (open_ones := [place for place, group in enumerate(groups) if shares[place] < len(group)]):
        for place in open_ones[:left]:
            shares[place] += 1
        left -= len(open_ones[:left])
    drawn = [
        [group[index * len(group) // share] for index in range(share)]
        for group, share in zip(groups, shares, strict=True)
    ]
    for turn in itertools.zip_longest(*drawn):
        yield from (answer for answer in turn if answer is not None)


class _Pair:
    """The two answers to one question."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self.before, self.after = before, after
        self.chosen = int(before.get("answer", -1)), int(after.get("answer", -1))

    @property
    def judged(self) -> bool:
        """Whether an option was chosen by either: texts that a judge alone reads have no answer that could change."""
        several = max(len(row.get("log_likelihoods") or row.get("options") or ()) for row in (self.before, self.after))
        return self.chosen != (-1, -1) and several > 1

    @property
    def changed(self) -> bool:
        """Whether another option was chosen."""
        return self.chosen[0] != self.chosen[1]

    def told(self, method: str, place: Place, asked: Mapping[str, Any], rule: str) -> ChangedAnswer:
        """With the texts, as far as they are known."""
        options = [str(one) for one in self.before.get("options") or asked.get("options") or ()]
        places = {name: asked.get(name, self.before.get(name)) for name in ("gold", "target", "unknown")}
        # Of two texts that are compared none is right; one is more stereotypical than the other.
        compared = "question" not in asked and places["target"] is not None
        named = {
            "right": None if compared else places["gold"],
            "unknown": places["unknown"],
            "stereotype": places["target"],
        }
        sides = [_probabilities(row, rule, len(options)) for row in (self.before, self.after)]
        shown = tuple(
            Option(text, left, right, tuple(name for name, at in named.items() if at == number))
            for number, (text, left, right) in enumerate(zip(options, *sides, strict=True))
        )
        texts = [" ".join(map(str, row["texts"])) if row.get("texts") else None for row in (self.before, self.after)]
        return ChangedAnswer(
            method,
            *place,
            str(asked.get("context", "")),
            str(asked.get("question", "")),
            shown,
            self.chosen,
            tuple(_directions(self.chosen, named)),
            {str(name): str(value) for name, value in (asked.get("labels") or {}).items()},
            (texts[0], texts[1]) if texts[0] is not None and texts[1] is not None else None,
        )


def _directions(chosen: tuple[int, int], named: Mapping[str, int | None]) -> Iterator[str]:
    """From what to what; what holds of the right answer comes first."""
    if named["right"] is not None:
        kinds = [RIGHT if one == named["right"] else NO_OPTION if one < 0 else WRONG for one in chosen]
        yield f"{kinds[0]} → {kinds[1]}"
    for name, words in (("unknown", "“unknown”"), ("stereotype", "the stereotype")):
        if named[name] is not None and named[name] in chosen:
            yield f"to {words}" if chosen[1] == named[name] else f"away from {words}"
    if named["right"] is None and not {named["unknown"], named["stereotype"]} & {*chosen}:
        yield "another answer"  # such as of three completions from one that is no stereotype to one that makes no sense


def _probabilities(row: Mapping[str, Any], rule: str, count: int) -> list[float]:
    """Of each option among the options, by what the task's rule compares them by; NaN where nothing was scored."""
    scores: Iterable[Any] = row.get("log_likelihoods") or ()
    values = [math.nan if one is None else float(one) for one in scores]
    if not values or len(values) != count or not all(map(math.isfinite, values)):
        return [math.nan] * count
    if rule == "mean":
        values = [
            value / max(1, length) for value, length in zip(values, row.get("tokens") or [1] * count, strict=True)
        ]
    top = max(values)
    weights = [math.exp(value - top) for value in values]
    return [weight / sum(weights) for weight in weights]
