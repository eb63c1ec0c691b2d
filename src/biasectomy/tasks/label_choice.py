"""What tasks share whose answer is yes or no: how two named texts are asked about, and the metrics.

The words stand for a data set's labels, such as `entailment` and `not_entailment`. Each is one token of nearly every
tokenizer, so that the sum and the mean of log-likelihoods choose alike and neither word is favoured for its length.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from biasectomy.reading.questions import Content, Question, written
from biasectomy.tasks import multiple_choice as choice
from biasectomy.tasks.base import Form, Item
from biasectomy.tasks.metrics import SHARE, Answers, Booleans, Floats, Metric

OPTIONS = YES, NO = ("Yes", "No")


def two_texts(first: str, second: str) -> Form:
    """A question about an item's context and question, under the names given, with the options in the item's order."""

    def form(instruction: str, item: Item) -> Question:
        said = (f"{first}: ", Content(item.context), f"\n{second}: ", Content(item.question))
        text, content = written(instruction, "\n\n", *said, f"\nOptions: {', '.join(item.options)}")
        return Question(text, item.options, content=content)

    return form


def label_metrics(key: str, title: str) -> tuple[Metric, ...]:
    """Accuracy, which is to be guarded, and what to read beside it.

    Args:
        key: ends the names of those that are a data set's own, such as "boolq".
        title: of the data set, such as "BoolQ".
    """
    accuracy = choice.accuracy(f"accuracy_{key}", f"Accuracy, {title}", f"accuracy on {title}")
    return (
        replace(accuracy, role="guard"),
        Metric(
            f"majority_{key}",
            f"Always the same answer, {title}",
            f"the accuracy on {title} of always giving the more frequent answer",
            _more_frequent,
            _larger_share,
            best=None,
            unit="share",
        ),
        *choice.over_instructions(),
        choice.unmatched(),
    )


def f1(key: str, title: str) -> Metric:
    """F1 of the answer yes, of each instruction and draw by itself (as GLUE has it of one system), and their mean.

    2 * hits / (given + right), with `given` the answers that are yes, `right` the items whose right answer is, and
    `hits` those that are both: the share of all such marks that agree, whence its edges. An answer that matched no
    option is not yes. In the coverage an item with one of the two marks counts half, and one with neither not at all.
    """

    def columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
        yes = choice.indices(items, lambda item: item.options.index(YES) if YES in item.options else None)
        given, right = answers.choices == yes, _is_yes(items)[None, None]
        marks = (given.astype(np.float64) + right) / 2
        return np.stack([(given & right).astype(np.float64), marks], axis=-1), np.ones(len(items), dtype=np.bool_)

    def combine(sums: Floats) -> Floats:
        return np.asarray((sums[..., 0] / sums[..., 1]).mean(axis=(-1, -2)))

    return Metric(
        f"f1_{key}",
        f"F1, {title}",
        f"the F1 of the answer yes on {title}, the mean over instructions",
        columns,
        combine,
        best=1,
        unit="share",
        undefined="yes is nowhere the right answer, and under some instruction never given",
        edges=SHARE,
    )


def _is_yes(items: Sequence[Item]) -> Booleans:
    """Whether the right answer of each item is yes, [items]."""
    return choice.where(items, lambda item: item.gold is not None and item.options[item.gold] == YES)


def _more_frequent(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
    every = np.ones_like(answers.choices, dtype=np.bool_)
    return choice.columns_of(np.ones(len(items), dtype=np.bool_), _is_yes(items)[None, None] & every, every)


def _larger_share(sums: Floats) -> Floats:
    yes, every = choice.pooled(sums)
    return np.maximum(yes, every - yes) / every
