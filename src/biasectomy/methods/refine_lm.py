"""REFINE-LM: a small layer over the probabilities of the options, trained by how even its answers are.

Qureshi, Es-Sebbani, Galarraga, Graham, Couceiro and Bouraoui 2024, "REFINE-LM: Mitigating Language Model Stereotypes
via Reinforcement Learning" (arXiv 2408.09489). The model is left alone. The k largest probabilities, in their order, go
through one linear layer of k x k and a softmax: a policy that answers. It asks UnQover's quadruples, and its reward is

    r = -|C|,

C being the comparative bias of what the policy answers (Li et al. 2020; see `tasks.unqover_scores`): what places do and
questions that go unheard cancels. The paper's k tokens are those of a vocabulary; here the options of a question take
their place, by their renormalised probabilities, so there is a layer for each number of options that was learned from,
and questions with another number, whole texts and what is written freely are answered as they are.

The policy gradient is exact, for the answers are few enough to sum over all of them; in the authors' released code the
logarithm of a distance between the quadruples of a batch stands where the logarithm of a policy would. By default the
layer sees logarithms and begins as the identity, so that before it has learned the model is as it was; theirs sees
probabilities (`--refine-lm.preset paper`, with their rate and their batches in one pass). Nothing in the reward
speaks for right answers: a policy that finds all options alike has no bias either.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from biasectomy.errors import ScoreError, SettingsError
from biasectomy.methods.base import METHODS, Cost, OnlyInference, Profile
from biasectomy.narration import heading, say
from biasectomy.options import Options, with_preset
from biasectomy.reading.questions import Answer, Answerer, Question

if TYPE_CHECKING:
    from biasectomy.learning.option_policy import Layer
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "refine-lm"
FILE = "layers.json"
PAPER: dict[str, Any] = {"steps": 0, "batch": 20, "rate": 5e-5, "inputs": "probabilities"}
Inputs = Literal["logarithms", "probabilities"]


@METHODS.register(NAME)
class RefineLm:
    """Learns a small layer over the options' probabilities by a reward for even answers (Qureshi et al. 2024)."""

    title: ClassVar[str] = "REFINE-LM"
    profile: ClassVar[Profile] = Profile("answers", "answers to some quadruples of UnQover, and seconds of training")

    class Settings(Options):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"items": 200, "steps": 60}}

        preset: Literal["default", "paper"] = Field(
            "default", description="The authors' settings as a whole: probabilities, their rate and batches, one pass."
        )
        items: int = Field(800, ge=4, description="Learn from at most so many items; four are a quadruple.")
        steps: int = Field(200, ge=0, description="Steps of training; 0 with preset paper stands for one pass.")
        batch: int = Field(20, ge=1, description="Quadruples in a step.")
        rate: float = Field(0.02, gt=0, le=1, description="Rate of training (AdamW).")
        inputs: Inputs = Field("logarithms", description="What the layer sees of the options.")

    def __init__(self, settings: "RefineLm.Settings") -> None:
        self.settings = with_preset(settings, {"paper": PAPER})

    def expected_questions(self, development: "Task") -> float:
        """Every quadruple is asked under every instruction.

        Raises:
            SettingsError: the items are no quadruples.
        """
        from biasectomy.tasks.unqover_scores import PLACES, QUADRUPLE

        if any(QUADRUPLE not in item.extra or PLACES not in item.extra for item in development.items):
            raise SettingsError(
                f"{self.title} learns from UnQover's quadruples, and '{development.name}' is not made of them; "
                "--task unqover-unknown:gender, in front of others, would be right (three options, one is 'unknown')."
            )
        return float(min(self.settings.items, len(development.items)) * len(development.instructions))

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> "FittedLayers":
        """Asks the quadruples once, then learns; the layers are kept in the session's folder.

        Raises:
            SettingsError: the items are no quadruples, or none is whole.
            ScoreError: the reward is not finite.
        """
        from biasectomy.files import write_json
        from biasectomy.learning.option_policy import layer_of, learned

        self.expected_questions(development)
        settings = self.settings
        heading(f"Learning {self.title}")
        asked = development.limited(settings.items, seed=session.seed)
        asked = replace(asked, answer_rules=("sum",), judges={})
        data = _quadruples(asked, session.ask(asked, session.answerer(model)).log_likelihoods)
        layers: dict[int, Layer] = {}
        record: dict[str, Any] = {"learned_from": len(asked.items), "layers": []}
        for count, (values, places) in sorted(data.items()):
            begun = layer_of(count, logarithms=settings.inputs == "logarithms")
            passes = math.ceil(len(values) / settings.batch)
            layers[count], before, after = learned(
                begun, values, places, settings.steps or passes, settings.batch, settings.rate, session.seed
            )
            if not math.isfinite(after):
                raise ScoreError(f"{self.title}: the reward is not finite; a lower --{NAME}.rate would be right.")
            say(f"{count} options, {len(values)} quadruples: mean |C| {before:.4f} -> {after:.4f} where it was learned")
            if not after < before:
                say(f"Nothing was gained with {count} options.")
            record["layers"].append({"options": count, "quadruples": len(values), "before": before, "after": after})
        file = session.path(FILE)
        if file is not None and session.processes.main:
            write_json(file, {str(count): one.to_json() for count, one in layers.items()})
        numbers = sum(one.numbers for one in layers.values())
        return FittedLayers(layers, Cost(session.asked.questions, 1.0, numbers), record)


def _quadruples(task: "Task", values: Any) -> dict[int, tuple[Any, Any]]:
    """By number of options: log-likelihoods [quadruples, 4, options], places of the subjects [quadruples, 4, 2].

    Raises:
        SettingsError: no quadruple is whole.
    """
    from biasectomy.tasks.unqover_scores import Quadruples

    found = Quadruples.of(task.items)
    counts = np.array([len(item.options) for item in task.items])
    data = {}
    for count in sorted(set(counts[found.asked].ravel().tolist())):
        own = (counts[found.asked] == count).all(axis=1)
        several = values[0][:, found.asked[own], :count]  # [instructions, quadruples, 4, options]
        places = np.broadcast_to(found.places[own], (len(several), *found.places[own].shape))
        data[count] = (several.reshape(-1, 4, count), places.reshape(-1, 4, 2))
    if not any(len(one) for one, _ in data.values()):
        raise SettingsError(f"No quadruple of '{task.name}' is whole among the items; more items would be right.")
    return {count: one for count, one in data.items() if len(one[0])}


@dataclass(frozen=True)
class FittedLayers(OnlyInference):
    """Layers by the number of options they are for."""

    layers: "Mapping[int, Layer]"
    cost: Cost
    record: dict[str, Any] = field(default_factory=dict)
    title: ClassVar[str] = RefineLm.title

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> Iterator[Answerer]:
        """See `Fitted`."""
        yield Refined(session.answerer(model), self.layers)


@dataclass(frozen=True)
class Refined:
    """Another answerer's answers, weighed anew where there is a layer for so many options."""

    answerer: Answerer
    layers: "Mapping[int, Layer]"

    def __call__(
        self, questions: Sequence[Question], wanted: Collection[int] | None = None
    ) -> Iterator[list[tuple[int, Answer]]]:
        """See `Answerer`."""
        for batch in self.answerer(questions, wanted):
            yield [(index, self._refined(questions[index], answer)) for index, answer in batch]

    def _refined(self, question: Question, answer: Answer) -> Answer:
        layer = self.layers.get(len(answer.log_likelihoods))
        if layer is None or question.text is None or question.plain:
            return answer
        # Of whole options, so each counts as one token under any rule.
        values = layer.of(np.array(answer.log_likelihoods))
        return replace(answer, log_likelihoods=tuple(values.tolist()), tokens=(1,) * len(values))
