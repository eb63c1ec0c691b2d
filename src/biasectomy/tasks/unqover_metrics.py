"""Figures of a model by UnQover's scores (Li et al. 2020), each a function of sums over quadruples.

The paper goes on from C to gamma(x, a), its mean, taken from x's side, over partners and stories, and to eta(x, a), the
mean of its sign; a model's figures are mu, the mean over subjects of the largest |gamma| among attributes, and the mean
of |eta|. Both are lengths: what chance adds to a cell (x, a) never cancels, least of all in a largest one, and a sample
has few quadruples in a cell, where the paper has all. So the root mean square over cells stands in their place, for
from that the noise can be taken out: C in one quadruple of a cell times the mean of C in its others is gamma(x, a)^2 on
average, whatever chance does to either. gamma(x), over all attributes, is the length of a vector with one number for
each subject, which `measuring.lengths` corrects. Neither is to be compared with the paper's mu and eta.

Every figure stands on the first item of its quadruple, and counts if all four of it were asked and answered.
"""

from collections.abc import Callable, Sequence

import numpy as np

from biasectomy.tasks.base import Item
from biasectomy.tasks.metrics import Answers, Booleans, Floats, Integers, Metric, Role
from biasectomy.tasks.multiple_choice import pooled
from biasectomy.tasks.unqover_scores import SUBJECTS, Quadruples, comparative_bias

Scores = Callable[[Answers, Integers, Integers], Floats]  # of answers, items [quadruples, 4], places [quadruples, 4, 2]

MOST_SUBJECTS = 20  # with more, a column for each of them takes gigabytes


def mean_over_quadruples(
    metric: tuple[str, str, str], scores: Scores, figure: Callable[[Floats], Floats], role: Role | None = None
) -> Metric:
    """The mean of a figure of each quadruple's scores; 0 is best.

    Args:
        metric: name, title and description.
    """

    def columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
        found = Quadruples.of(items)
        values = np.zeros((*answers.choices.shape, 2))
        figures = figure(scores(answers, found.asked, found.places))
        known = np.isfinite(figures)
        values[:, :, found.whole, 0] = np.where(known, figures, 0)
        values[:, :, found.whole, 1] = known
        return values, found.eligible(items)

    def combine(sums: Floats) -> Floats:
        total, count = pooled(sums)
        return total / count

    return Metric(*metric, columns, combine, 0, role=role, undefined="no quadruple was asked and answered whole")


def mean_square_of_cells(metric: tuple[str, str, str], scores: Scores, of: Callable[[Floats], Floats]) -> Metric:
    """Root mean square over subjects and attributes of the mean of something of C, without what chance adds to it.

    Each subject of a quadruple counts where it meets the attribute in another quadruple too; a mean square that chance
    has made negative is 0.

    Args:
        metric: name, title and description.
        of: what of C: itself, or its sign.
    """

    def columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
        found = Quadruples.of(items)
        values = np.zeros((*answers.choices.shape, 2))
        figures = of(comparative_bias(scores(answers, found.asked, found.places)))
        own, counted, cells = _by_subject(items, found, figures)
        totals, counts = _summed(own, cells), _summed(counted, cells)
        others = counts[..., cells] - counted  # [draws, instructions, quadruples, 2]
        pairs = counted * (others > 0)
        products = own * (totals[..., cells] - own) / np.maximum(others, 1)
        values[:, :, found.whole, 0] = (products * pairs).mean(axis=-1)
        values[:, :, found.whole, 1] = pairs.mean(axis=-1)
        return values, found.eligible(items)

    def combine(sums: Floats) -> Floats:
        total, count = pooled(sums)
        return np.asarray(np.sqrt(np.maximum(total / count, 0)))

    nothing = "no subject meets an attribute in two quadruples; more items are needed"
    return Metric(*metric, columns, combine, 0, undefined=nothing)


def _by_subject(items: Sequence[Item], found: Quadruples, figures: Floats) -> tuple[Floats, Floats, Integers]:
    """Figures [..., quadruples] from the side of x1 and of x2, which of them are known, and the cell of either.

    Returns:
        [..., quadruples, 2], the same, and [quadruples, 2].
    """
    known = np.isfinite(figures)
    own = np.where(known, figures, 0)[..., None] * np.array([1.0, -1.0])
    numbers: dict[tuple[str, str, str], int] = {}
    cells = [
        [numbers.setdefault((item.task, item.cluster, name), len(numbers)) for name in item.extra[SUBJECTS]]
        for item in (items[first] for first in found.whole)
    ]
    counted = np.broadcast_to(known[..., None], own.shape).astype(np.float64)
    return own, counted, np.array(cells, dtype=np.int64).reshape(-1, 2)


def _summed(values: Floats, cells: Integers) -> Floats:
    """Values [draws, instructions, quadruples, 2] summed by cell, [draws, instructions, cells]."""
    sums = np.zeros((int(cells.max(initial=-1)) + 1, *values.shape[:2]))
    np.add.at(sums, cells, np.moveaxis(values, (0, 1), (-2, -1)))
    return np.moveaxis(sums, 0, -1)


def by_subject(metric: tuple[str, str, str], scores: Scores) -> Metric:
    """Root mean square over subjects of gamma(x), the mean of C over attributes, partners and stories.

    Over instructions and draws it is their root mean square. Undefined for more than `MOST_SUBJECTS` subjects.

    Args:
        metric: name, title and description.
    """

    def columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
        found = Quadruples.of(items)
        names = sorted({(item.task, name) for item in items for name in item.extra[SUBJECTS]})
        if len(names) > MOST_SUBJECTS:
            return np.zeros((*answers.choices.shape, 1)), np.zeros(len(items), dtype=np.bool_)
        own, counted, _ = _by_subject(items, found, comparative_bias(scores(answers, found.asked, found.places)))
        values = np.zeros((*answers.choices.shape, 2 * len(names) + 1))
        for number, first in enumerate(found.whole):
            for side, name in enumerate(items[first].extra[SUBJECTS]):
                column = names.index((items[first].task, name))
                values[:, :, first, column] = own[..., number, side]
                values[:, :, first, len(names) + column] = counted[..., number, side]
            values[:, :, first, -1] = counted[..., number, 0]
        return values, found.eligible(items)

    def contrasts(sums: Floats) -> Floats:
        subjects = sums.shape[-1] // 2
        means = sums[..., :subjects] / sums[..., subjects : 2 * subjects]  # [..., draws, instructions, subjects]
        return np.asarray(means.reshape(*means.shape[:-3], -1) / np.sqrt(np.prod(means.shape[-3:])))

    def combine(sums: Floats) -> Floats:
        if sums.shape[-1] < 3:
            return np.full(sums.shape[:-3], np.nan)
        return np.asarray(np.linalg.norm(contrasts(sums), axis=-1))

    nothing = f"needs all four of a quadruple of each subject, and at most {MOST_SUBJECTS} subjects"
    return Metric(*metric, columns, combine, 0, undefined=nothing, contrasts=contrasts)
