"""What methods share that edit the neurons an attribution puts first."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from biasectomy.files import without_nan
from biasectomy.methods.base import Cost
from biasectomy.methods.looks import usual_questions
from biasectomy.methods.search import Choice, choose_count
from biasectomy.narration import heading, say, warn

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.attribution import Attribution
    from biasectomy.attribution.scores import Scores
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.neuron_set import NeuronSet
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task
    from biasectomy.tasks.metrics import Answers

DEFAULT_GRID = (0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500)


def _parse_grid(value: object) -> object:
    pieces = [piece.strip() for piece in value.split(",") if piece.strip()] if isinstance(value, str) else value
    if not isinstance(pieces, list | tuple):
        raise ValueError("whole numbers joined by commas, such as 0,1,5,20")
    try:
        counts = {int(piece) if isinstance(piece, str) else piece for piece in pieces}
    except (ValueError, TypeError):
        counts = {-1}
    if any(not isinstance(count, int) or isinstance(count, bool) or count < 0 for count in counts):
        raise ValueError("whole numbers of 0 or more joined by commas, such as 0,1,5,20")
    return tuple(sorted(counts | {0}))  # 0 is always a candidate: the tool may say that nothing helps


Grid = Annotated[tuple[int, ...], BeforeValidator(_parse_grid)]
GRID = Field(DEFAULT_GRID, description="Numbers of neurons to try, joined by commas; 0 is always among them.")
RACING = Field(
    True,
    description="Drop numbers of neurons early that are clearly worse or hardly become clearly better, and ask no more "
    "instructions than tell something.",
)
DEFINITION: Any = Field(
    "linear-output",
    description="What a neuron is: an output of a linear map, or a hidden unit of a feed-forward block.",
)
Definition = Literal["linear-output", "ffn-hidden"]


@dataclass(frozen=True)
class FittedNeurons:
    """A neuron set that is in force while the model answers, and in the weights of the checkpoint."""

    neuron_set: "NeuronSet"
    cost: Cost = field(default_factory=Cost)
    record: dict[str, Any] = field(default_factory=dict)
    draws = 1

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        with model.edited(self.neuron_set):
            yield session.answerer(model)

    def save(self, model: "LanguageModel", folder: Path, dtype: str = "auto") -> float | None:
        """See `Fitted`."""
        return model.save(folder, self.neuron_set, dtype=dtype)


@dataclass(frozen=True)
class TopNeurons:
    """Scores every neuron, then edits as many of the best as serve the goal on development items.

    `factor` is what each is multiplied by, `scored_by` the attribution's name where the method has another, and with
    `lowest` the best are those with the lowest scores.
    """

    name: str
    attribution: "Attribution"
    definition: Definition
    grid: Sequence[int]
    racing: bool
    factor: float = 0.0
    scored_by: str = ""
    lowest: bool = False

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedNeurons:
        """Scores, ranks and chooses; scores of each trial and instruction are kept in the session's folder."""
        ranking = self.ranking(model, development, session, session.neurons or max(self.grid))
        if session.neurons is not None:  # there is nothing to choose
            chosen = ranking.top(session.neurons)
            return FittedNeurons(chosen, Cost(session.asked.questions, 1.0, len(chosen)), {"chosen": len(chosen)})
        heading("Choosing n on development items")
        choice = self._choose(model, development, session, ranking)
        chosen = ranking.top(choice.neurons)
        record = {
            "search": [candidate.record() for candidate in choice.candidates],
            "chosen": len(chosen),
            "by_chance": without_nan(choice.by_chance),
        }
        return FittedNeurons(chosen, Cost(session.asked.questions, 1.0, len(chosen)), record)

    def expected_questions(self, development: "Task") -> float:
        """About how many questions' time it takes to score all neurons and to choose how many to edit.

        Raises:
            SettingsError: the attribution cannot work on these items.
        """
        return self.expected_of_sets(development) + usual_questions(len(self.grid), development, racing=self.racing)

    def expected_of_sets(self, development: "Task") -> float:
        """How many questions' time it takes to score all neurons.

        Raises:
            SettingsError: the attribution cannot work on these items.
        """
        self.attribution.check(development)
        asked = getattr(self.attribution, "expected_questions", None)
        return float(asked(development)) if asked is not None else 0.0  # those that are plugins need not say it

    def sets(
        self, model: "LanguageModel", development: "Task", session: "Session", counts: Sequence[int]
    ) -> "dict[int, NeuronSet]":
        """The best neurons by their number, of one ranking."""
        ranking = self.ranking(model, development, session, max(counts))
        return {count: ranking.top(count) for count in counts}

    def ranking(self, model: "LanguageModel", development: "Task", session: "Session", count: int) -> "NeuronSet":
        """So many of the best neurons, the best first."""
        from biasectomy.attribution.scores import attribute

        heading("Finding neurons")
        scores = attribute(
            model,
            development,
            self.attribution,
            definition=self.definition,
            session=session,
            name=self.scored_by or self.name,
        )
        return self._ranked(scores, session, count)

    def _ranked(self, scores: "Scores", session: "Session", count: int) -> "NeuronSet":
        best = scores.top(count, lowest=self.lowest)
        ranking = best.with_strength(1 - self.factor)  # they are found with the factor 0
        for file, save in (("scores.safetensors", scores.save), ("ranking.json", ranking.save)):
            path = session.path(file)
            if path is not None and session.processes.main:
                save(path)
        say(
            f"{'Lowest' if self.lowest else 'Highest'} scores: "
            + ", ".join(f"{n.module}[{n.unit}] {n.score:.3g}" for n in ranking.top(3))
        )
        return ranking

    def _choose(
        self, model: "LanguageModel", development: "Task", session: "Session", ranking: "NeuronSet"
    ) -> "Choice":
        total = len(model.neurons(self.definition))
        grid = [count for count in self.grid if count <= total]
        if len(grid) < len(self.grid):
            warn(f"The model has {total:,} neurons; numbers of --{self.name}.grid above that are left out.")
        return choose(self.name, model, development, session, {n: ranking.top(n) for n in grid}, racing=self.racing)


class Ranking:
    """What methods share whose neurons are the first of a ranking, `_top`."""

    def expected_of_sets(self, development: "Task", counts: Sequence[int]) -> float:
        """See `OfAnySize`."""
        return self._top.expected_of_sets(development)

    def sets(
        self, model: "LanguageModel", development: "Task", session: "Session", counts: Sequence[int]
    ) -> "dict[int, NeuronSet]":
        """See `OfAnySize`."""
        return self._top.sets(model, development, session, counts)

    @property
    def _top(self) -> TopNeurons:
        raise NotImplementedError


def choose(
    name: str,
    model: "LanguageModel",
    items: "Task",
    session: "Session",
    candidates: "Mapping[int, NeuronSet]",
    *,
    racing: bool,
    split: str = "development",
) -> "Choice":
    """Which of some neuron sets, by their size, serves the session's goal on some items, and says so (see `search`)."""

    def examine(parts: "Sequence[Task]", count: int) -> "list[Answers]":
        with model.edited(candidates.get(count)):
            who = {"method": name, "neurons": count}
            return session.ask_parts(items, parts, session.answerer(model), split=split, who=who)

    goal = session.goal(items)
    choice = choose_count(examine, items, list(candidates), goal, racing=racing, level=session.level, seed=session.seed)
    say(_told(choice, goal.metric.replace("_", " "), session.level))
    return choice


def _told(choice: "Choice", goal: str, level: float) -> str:
    """What was chosen, and what its gain on development items is worth."""
    tried = [one.neurons for one in choice.candidates if one.neurons]
    before, best = choice.candidates[0].value, choice.best
    chance = "" if math.isnan(choice.by_chance) else f"; by chance alone the best would gain {choice.by_chance:.3f}"
    if not choice.neurons:
        nearest = max(choice.candidates[1:], key=lambda one: (one.within_margin, one.difference), default=best)
        return (
            f"Chosen: n = 0, for none of {len(tried)} numbers of neurons clearly helps; the nearest, n = "
            f"{nearest.neurons}, brings {goal} on development items from {before:.3f} to {nearest.value:.3f}"
            f"{choice.too_few or chance}"
        )
    return (
        f"Chosen: n = {choice.neurons} of {len(tried)} numbers tried up to {max(tried)}; {goal} on development items "
        f"{before:.3f} -> {best.value:.3f}, a gain of at least {best.bound:.3f} ({100 * level:g} %, for all tried at "
        f"once){chance}. Judge it by the test items: these were used to choose"
    )
