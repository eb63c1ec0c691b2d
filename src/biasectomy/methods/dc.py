"""Domain-context calibration: what a model says to random words of the task is divided out of its answers.

Fei, Hou, Chen and Bosselut: Mitigating Label Biases for In-context Learning, ACL 2023 (arXiv 2305.19148), section 4:
the prior is the average over 20 texts of random words from the unlabelled texts of the task, each as long as these are
on average, and an option's probability is divided by it as in contextual calibration (see `cc`). Words are drawn as the
authors' code draws them: in lower case, split at spaces, each word as often as it stands in the texts, one more than
the average length, with " ." behind them; of texts in two parts, such as context and question, each part by itself. The
texts are those of the development items, whose answers are not looked at.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from biasectomy.errors import SettingsError
from biasectomy.methods.base import METHODS, Cost, OnlyInference, Profile
from biasectomy.methods.cc import Calibrated, refuse_generated
from biasectomy.options import Options
from biasectomy.reading.questions import Answerer, Question

if TYPE_CHECKING:
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task
NAME = "dc"


@METHODS.register(NAME)
class DomainContextCalibration(OnlyInference):
    """Divides each option's probability by what it is with random words of the task (Fei et al. 2023)."""

    title: ClassVar[str] = "Domain-context calibration"
    profile: ClassVar[Profile] = Profile(
        "answers", "twenty questions of random words for each different set of options and instruction", sharded=True
    )

    class Settings(Options):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"texts": 5}}

        texts: int = Field(20, ge=1, description="How many texts of random words the prior is averaged over.")

    def __init__(self, settings: "DomainContextCalibration.Settings") -> None:
        self.settings = settings
        self.cost = Cost(questions_per_answer=1.0 + settings.texts)
        self.record: dict[str, Any] = {}
        self.texts: list[tuple[str, ...]] = []  # each with one text for each place of an item

    def expected_questions(self, development: "Task") -> float:
        """None: only words are drawn.

        Raises:
            SettingsError: the items ask for texts, or have no words in a prompt.
        """
        _questions(development)
        return 0

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> Self:
        """Draws words from the development items."""
        fitted = copy.copy(self)
        fitted.texts = random_texts(_questions(development), self.settings.texts, session.seed)
        fitted.record = {"texts": [list(text) for text in fitted.texts]}
        return fitted

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> Iterator[Answerer]:
        """See `Fitted`."""
        yield Calibrated(session.answerer(model), self.texts)


def random_texts(questions: Sequence[Question], number: int, seed: int) -> list[tuple[str, ...]]:
    """Texts of random words, each with one text for each place of the item that the questions have.

    Args:
        questions: at least one with words in a place of the item.
        number: of texts.
        seed: of what is drawn.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    places = zip_longest(*(question.contents for question in questions))
    words = [[text.lower().split() for text in place if text is not None] for place in places]
    pools = [[word for text in texts for word in text] for texts in words]
    lengths = [int(np.mean([len(text) for text in texts])) + 1 for texts in words]
    return [
        tuple(
            " ".join([*generator.choice(pool, length).tolist(), "."]) if pool else ""
            for pool, length in zip(pools, lengths, strict=True)
        )
        for _ in range(number)
    ]


def _questions(development: "Task") -> list[Question]:
    """Those of all items under the first instruction.

    Raises:
        SettingsError: they ask for texts, or have no words in a place of the item.
    """
    questions = [development.question(development.instructions[0], item) for item in development.items]
    refuse_generated(questions)
    if not any(text.strip() for question in questions for text in question.contents):
        raise SettingsError(
            "Domain-context calibration draws its words from what a prompt says of an item, and "
            f"'{development.name}' has no prompts; fit it on a task that is asked with an instruction, such as bbq."
        )
    return questions
