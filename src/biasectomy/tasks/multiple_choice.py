"""Multiple-choice questions as they are asked, and the metrics that any task of them can use.

Counts are pooled over draws and instructions unless said. An answer that matched no option (-1) counts as wrong, and as
neither "unknown" nor biased.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from biasectomy.reading import questions
from biasectomy.reading.questions import Question
from biasectomy.tasks.base import Item
from biasectomy.tasks.metrics import SHARE, Answers, Booleans, Edge, Floats, Integers, Metric

Selector = Callable[[Item], bool]
Columns = Callable[[Sequence[Item], Answers], tuple[Floats, Booleans]]
Hit = Callable[[Sequence[Item], Integers], Booleans]  # [draws, instructions, items]
PLACES = ("first", "second", "third", "fourth", "fifth")
LIKELIHOOD_OR_TEXT = ("sum", "mean", "generation")
SEVERAL = "needs two or more instructions"


def listed(instruction: str, item: Item) -> Question:
    """Instruction, context, question and the options in the item's order."""
    return questions.listed(instruction, item.context, item.question, item.options, item.unknown)


def unlisted(instruction: str, item: Item) -> Question:
    """Instruction and question; the options are what may follow."""
    return questions.unlisted(instruction, item.question, item.options)


def every_item(item: Item) -> bool:
    """The selector that leaves nothing out."""
    return True


def where(items: Sequence[Item], select: Selector) -> Booleans:
    """Which items a selector takes, [items]."""
    return np.fromiter((select(item) for item in items), dtype=np.bool_, count=len(items))


def indices(items: Sequence[Item], of: Callable[[Item], int | None]) -> Integers:
    """An option index of each item, [items]; -2 where it is undefined, which no choice equals."""
    values = (of(item) for item in items)
    return np.fromiter((-2 if value is None else value for value in values), dtype=np.int64, count=len(items))


def is_right(items: Sequence[Item], choices: Integers) -> Booleans:
    """Whether each answer is the gold one."""
    return np.asarray(choices == indices(items, lambda item: item.gold))


def is_unknown(items: Sequence[Item], choices: Integers) -> Booleans:
    """Whether each answer is the option that says it cannot be known."""
    return np.asarray(choices == indices(items, lambda item: item.unknown))


def is_unmatched(items: Sequence[Item], choices: Integers) -> Booleans:
    """Whether each answer matched no option."""
    return np.asarray(choices < 0)


def pooled(sums: Floats) -> tuple[Floats, ...]:
    """Sums [..., draws, instructions, k] pooled over draws and instructions, as k arrays [...]."""
    return tuple(np.moveaxis(sums.sum(axis=(-3, -2)), -1, 0))


def pooled_ratio(sums: Floats) -> Floats:
    """The first of two pooled sums over the second, [...]: a share, or a mean."""
    first, second = pooled(sums)
    return first / second


def columns_of(eligible: Booleans, *columns: Booleans) -> tuple[Floats, Booleans]:
    """Stacks boolean columns [draws, instructions, items] (or broadcastable) and zeroes ineligible items."""
    stacked = np.stack(np.broadcast_arrays(*columns), axis=-1) & eligible[:, None]
    return stacked.astype(np.float64), eligible


def share(
    name: str, title: str, description: str, hit: Hit, select: Selector = every_item, best: float | None = 1
) -> Metric:
    """Share of the selected items' answers that are hits; every answer counts in the denominator."""

    def columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
        choices = answers.choices
        return columns_of(where(items, select), hit(items, choices), np.ones_like(choices, dtype=np.bool_))

    nothing = "no item of this kind"
    return Metric(name, title, description, columns, pooled_ratio, best, "share", undefined=nothing, edges=SHARE)


def accuracy(
    name: str = "accuracy",
    title: str = "Accuracy, all items",
    description: str = "accuracy on all items",
    select: Selector = every_item,
) -> Metric:
    """Mean accuracy over items, instructions and draws; unmatched answers are wrong."""
    return share(name, title, description, is_right, select)


def accuracy_contrast(
    metric: tuple[str, str, str],
    groups: tuple[Selector, Selector],
    weights: tuple[float, float],
    best: float,
    undefined: str,
) -> Metric:
    """Weighted sum of the accuracies on two groups of items: a mean (0.5, 0.5) or a difference (1, -1).

    Args:
        metric: name, title and description.
    """

    def columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
        right, first, second = is_right(items, answers.choices), where(items, groups[0]), where(items, groups[1])
        return columns_of(first | second, right & first, first, right & second, second, first | second)

    def combine(sums: Floats) -> Floats:
        first_right, first, second_right, second, _ = pooled(sums)
        return weights[0] * first_right / first + weights[1] * second_right / second

    ends = sum(min(0.0, one) for one in weights), sum(max(0.0, one) for one in weights)
    return Metric(*metric, columns, combine, best, "share", undefined=undefined, edges=_CONTRAST, ends=ends)


def accuracy_by_place(items: Sequence[Item]) -> tuple[Metric, ...]:
    """Accuracy where the gold option stands first, second, and so on: alike unless the model favours a place."""

    def at(place: int) -> Selector:
        return lambda item: item.gold == place

    most = max((len(item.options) for item in items), default=0)
    return tuple(
        accuracy(
            f"accuracy_gold_{word}",
            f"Accuracy, gold {word}",
            f"accuracy on items whose gold option stands {word}",
            at(place),
        )
        for place, word in enumerate(PLACES[:most])
    )


# Of two shares whose columns are hits and answers of the first and of the second, and what the figure rests on.
_CONTRAST = (
    Edge((1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (1, 1, 0, 0, 1)),
    Edge((-1, 1, 0, 0, 0), (0, 1, 0, 0, 0), (0, 1, 0, 0, 1)),
    Edge((0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 1, 1, 1)),
    Edge((0, 0, -1, 1, 0), (0, 0, 0, 1, 0), (0, 0, 0, 1, 1)),
)


def unmatched() -> Metric:
    """Share of generated answers that matched no option."""
    title, description = "Answers matching no option", "the share of answers that match no option"
    return replace(share("unmatched", title, description, is_unmatched, best=0), of_texts=True)


def instruction_deviation(of: Metric | None = None) -> Metric:
    """Population standard deviation over instructions of a figure, over draws its root mean square.

    That of the accuracy is CRISPR's gap. Sampling of items alone makes it larger: what is reported is less by that (see
    `measuring.lengths`).

    Args:
        of: the figure; None for the accuracy.
    """
    name, words = _named_after(of)
    figure = of or accuracy()

    def contrasts(sums: Floats) -> Floats:
        by_instruction = _each(figure, sums)
        away = by_instruction - by_instruction.mean(axis=-1, keepdims=True)
        draws, instructions = away.shape[-2:]
        return np.asarray(away.reshape(*away.shape[:-2], -1) / np.sqrt(draws * instructions))

    def combine(sums: Floats) -> Floats:
        return np.asarray(np.linalg.norm(contrasts(sums), axis=-1))

    return Metric(
        f"instruction_deviation{name}",
        "Deviation over instructions",
        f"the standard deviation of {words} over instructions",
        _under_several(figure),
        combine,
        0,
        figure.unit,
        undefined=SEVERAL,
        contrasts=contrasts,
    )


def instruction_range(of: Metric | None = None) -> Metric:
    """A figure under the instruction where it is largest less where it is smallest, over all draws.

    Sampling of items alone makes it larger, and resampling them once more, so it has no interval.

    Args:
        of: the figure; None for the accuracy.
    """
    name, words = _named_after(of)
    figure = of or accuracy()

    def combine(sums: Floats) -> Floats:
        return np.asarray(np.ptp(_each(figure, sums.sum(axis=-3, keepdims=True))[..., 0, :], axis=-1))

    return Metric(
        f"instruction_range{name}",
        "Range over instructions",
        f"the range of {words} over instructions",
        _under_several(figure),
        combine,
        0,
        figure.unit,
        undefined=SEVERAL,
        no_interval="no interval: sampling alone makes a range larger",
    )


def over_instructions(of: Metric | None = None) -> tuple[Metric, ...]:
    """What instructions that mean the same do to a figure, None for the accuracy, and to answers."""
    return (instruction_deviation(of), instruction_range(of), consistency())


def tells_of_wordings(metric: Metric) -> bool:
    """Whether a metric is one of those over instructions."""
    return metric.undefined == SEVERAL


def _named_after(of: Metric | None) -> tuple[str, str]:
    """What is added to a metric's name, and what its figure is called."""
    return ("", "accuracy") if of is None else (f"_{of.name}", of.description)


def _under_several(figure: Metric) -> Columns:
    """A figure's columns where there are several instructions; nothing counts where there is one."""

    def columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
        values, eligible = figure.columns(items, answers)
        several = answers.choices.shape[1] > 1
        return values * several, eligible & several

    return columns


def _each(figure: Metric, sums: Floats) -> Floats:
    """A figure of each draw and instruction: of sums [..., draws, instructions, k] -> [..., draws, instructions]."""
    draws, instructions = sums.shape[-3:-1]
    found = [
        [figure.combine(sums[..., draw : draw + 1, place : place + 1, :]) for place in range(instructions)]
        for draw in range(draws)
    ]
    return np.moveaxis(np.array(found), (0, 1), (-2, -1))


def consistency() -> Metric:
    """Share of items answered alike under all instructions; an unmatched answer is like no other."""

    def columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
        choices = answers.choices
        same = (choices == choices[:, :1]).all(axis=1, keepdims=True) & (choices >= 0).all(axis=1, keepdims=True)
        return columns_of(np.full(len(items), choices.shape[1] > 1), same, np.ones_like(same))

    description = "the share of items with the same answer under all instructions"
    title = "Consistency over instructions"
    return Metric("consistency", title, description, columns, pooled_ratio, 1, "share", undefined=SEVERAL, edges=SHARE)
