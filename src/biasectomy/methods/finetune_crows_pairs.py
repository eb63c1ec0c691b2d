"""Fine-tuning on CrowS-Pairs as instructions: the more stereotypical sentence is rewritten, or a gap in it is filled.

Blanckaert et al. 2023, "Evaluating Scalability of Bias Mitigation Techniques on Large Language Models", with their
notebooks (github.com/Wazzabeee/Bias-Mitigation-In-LLM): Flan-T5 learns to rewrite, BLOOMZ to fill a gap. They
find less bias, and models that forget what they could do. `preset paper` has their settings: all weights, no limit on
what is forgotten; to rewrite 75 epochs of 64 pairs a step at 0.01, of which the epoch with the lowest loss on 114 pairs
is kept; to fill 5 epochs of 40 pairs at 0.00003; rates that fall to 0. As theirs it turns the 218 pairs marked
`antistereo` round, so that 14.5 % of what is learned is to write the stereotype: `sent_more` is the more stereotypical
sentence in these too. What it does not repeat: dropout, weight decay (0.01, to fill), and the labels of their BLOOMZ,
which stand beside the prompt's own tokens instead of behind them.

By default nothing is turned round, only the answer's tokens behind the whole prompt are learned, and drift and
perplexity on neutral texts bound how far the model goes. The authors of CrowS-Pairs ask that it not be used to train
models, and figures of it are then of data that was trained on: do not judge this method by them.
"""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.learning.settings import LAST_RATE, QUESTIONS_A_LEARNED_ITEM, BudgetedSettings
from biasectomy.methods.base import METHODS, Cost, Profile
from biasectomy.methods.learned_adapter import FittedAdapter
from biasectomy.narration import heading, say, warn
from biasectomy.options import with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.learning.instruction_pairs import Form
    from biasectomy.learning.within_budget import Lesson
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Item, Task

NAME, FAMILY = "finetune-crows-pairs", "crows_pairs"
FEWEST = 5  # pairs of which one can be kept back
PAPER: dict[str, dict[str, Any]] = {
    "rewrite": {"rate": 1e-2, "epochs": 75, "items_a_step": 64, "validation_items": 114},
    "fill": {"rate": 3e-5, "epochs": 5, "items_a_step": 40, "validation_items": 0},
}
ALSO = {"kind": "full", "drift_weight": 0.0, "perplexity": math.inf}


@METHODS.register(NAME)
class FinetuneCrowsPairs:
    """Trains the model to rewrite stereotyped sentences, or to fill gaps in them (Blanckaert et al. 2023)."""

    title: ClassVar[str] = "Fine-tuning on CrowS-Pairs"
    profile: ClassVar[Profile] = Profile(
        "weights", "some hundred steps of training, with data of its own", ("weights", "gradients"), checkpoint=True
    )

    class Settings(BudgetedSettings):
        """Options of the method."""

        form: Literal["auto", "rewrite", "fill"] = Field(
            "auto",
            description="What is to be done with a sentence; auto is the authors': encoder-decoders rewrite, other "
            "models fill a gap.",
        )
        epochs: int = Field(1, ge=1, description="How often each pair is learned from.")
        data: str | None = Field(
            None, min_length=1, description="Folder with the pairs. [default: BIASECTOMY_DATA, or a pinned package]"
        )

    def __init__(self, settings: "FinetuneCrowsPairs.Settings") -> None:
        self.settings = settings

    def expected_questions(self, development: "Task") -> float:
        """Every step learns from some pairs; those that choose are asked every few steps.

        Raises:
            SourceError, DataError: the pairs are not there or cannot be used.
        """
        settings, pairs = self._settings("rewrite"), len(self._pairs(development)[0])
        learned = settings.epochs * min(pairs, settings.items or pairs)
        judged = learned / settings.items_a_step / settings.judged_every * min(settings.validation_items, pairs // 5)
        return float(learned * QUESTIONS_A_LEARNED_ITEM + judged)

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedAdapter:
        """Learns from CrowS-Pairs; from its development items alone where they are the task.

        Raises:
            SettingsError: the model has nothing that could be trained so, or `peft` is not installed.
            SourceError, DataError: the pairs are not there or cannot be used.
            ScoreError: a loss is not finite.
        """
        from biasectomy.learning.within_budget import taught

        encoder_decoder = bool(model.model.config.is_encoder_decoder)
        form: Form = "rewrite" if encoder_decoder else "fill"
        form = form if self.settings.form == "auto" else self.settings.form
        settings = self._settings(form)
        pairs, sources = self._pairs(development)
        heading(f"Learning {self.title}")
        self._tell(len(pairs), held_out=pairs == development.items)
        lesson = self._lesson(settings, form, pairs, session)
        learned, found = taught(self.title, settings, model, session, lesson)
        chosen = sum(len(items) for _, items in lesson.choosing.steps)
        asked = found.taken * settings.items_a_step + len(found.judged) * chosen
        record = {
            "learned_from": len(lesson.learning.task.items),
            "form": form,
            "kind": settings.kind,
            "data": [dict(one) for one in sources],
            "trained_on": FAMILY,
            "numbers": len(learned),
        }
        return FittedAdapter(learned, Cost(session.asked.questions + asked, 1.0, len(learned)), record | found.record())

    def _settings(self, form: "Form") -> Any:
        """Those in force."""
        return with_preset(self.settings, {"paper": ALSO | PAPER[form]})

    def _pairs(self, development: "Task") -> "tuple[tuple[Item, ...], Sequence[dict[str, Any]]]":
        """The pairs, and where they are from."""
        from biasectomy.tasks import load_task

        if all(item.task.partition(":")[0] == FAMILY for item in development.items):
            return development.items, development.sources
        folder = Path(self.settings.data) if self.settings.data is not None else None
        task = load_task(FAMILY, data_folder=folder)
        return task.items, task.sources

    def _tell(self, pairs: int, *, held_out: bool) -> None:
        if held_out:
            say(f"Learns from the {pairs:,} development pairs; those of the test are not among them")
        else:
            warn(f"{self.title} learns from CrowS-Pairs: figures of {FAMILY} beside it are of data it was trained on.")
        if self.settings.preset == "paper":
            warn("As the authors have it, pairs marked antistereo are turned round, and are learned the wrong way.")

    def _lesson(self, settings: Any, form: "Form", pairs: "Sequence[Item]", session: "Session") -> "Lesson":
        """What is learned, in which steps, and what chooses."""
        from dataclasses import replace

        from biasectomy.learning.batches import Batches
        from biasectomy.learning.budgeted import Budget
        from biasectomy.learning.instruction_pairs import answer_loss, as_instructions
        from biasectomy.learning.within_budget import RATES, Lesson, Prepared

        paper = settings.preset == "paper"
        task = as_instructions(pairs, form, authors=paper).limited(settings.items, seed=session.seed)
        shuffled = random.Random(f"{session.seed}/{NAME}").sample(task.items, len(task.items))
        back = min(settings.validation_items, len(shuffled) // FEWEST)
        learning = replace(task, items=tuple(shuffled[back:]))
        batches = Batches(learning, settings.items_a_step, session.seed)
        epoch = -(-len(learning.items) // settings.items_a_step)
        steps = settings.epochs * epoch
        judged = settings.judged_every if not paper else epoch if back else steps
        return Lesson(
            Prepared(learning, [batches.at(step) for step in range(steps)]),
            Prepared(task, [(task.instructions[0], shuffled[:back])] if back else []),
            answer_loss,
            Budget.of(session, settings.preset, settings.perplexity, judged),
            settings.rate or RATES[settings.kind],
            0.0 if paper else LAST_RATE,
        )
