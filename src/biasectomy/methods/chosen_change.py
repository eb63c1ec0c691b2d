"""What methods share that make several changes of a model and keep the one that validation items speak for."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from biasectomy.files import without_nan
from biasectomy.learning.settings import DRIFT, JUDGED_BY, validated_questions
from biasectomy.methods.base import METHODS, Cost
from biasectomy.methods.search import Choice, choose_count
from biasectomy.narration import heading, progress, say, warn
from biasectomy.options import Options

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task
    from biasectomy.tasks.metrics import Answers

TRIES = 6  # of a strength
NEAR_ENOUGH = 0.7  # of the drift allowed: a strength that goes so far is strong enough


class Change(Protocol):
    """A change of a model that can be made and taken back."""

    @property
    def key(self) -> Any:
        """What JSON can hold and no other change has: made of what it does, not of what it is called."""

    @property
    def described(self) -> dict[str, Any]:
        """What tells it from other candidates, as JSON-like values."""

    @property
    def numbers(self) -> int:
        """How many numbers it is stored as."""

    @property
    def by_itself(self) -> bool:
        """Whether it acts alike whoever asks the model, and not only where this library does."""

    def made(self, model: "LanguageModel") -> AbstractContextManager[None]:
        """A block in which it is in force."""

    def save(self, model: "LanguageModel", folder: Path, dtype: str) -> float | None:
        """Writes a checkpoint; see `Fitted.save`."""


class ChoosingSettings(Options):
    """Options of choosing among candidates."""

    items: int = Field(200, ge=1, description="Learn from at most so many items.")
    validation_share: float = Field(
        0.3, gt=0, lt=1, description="Share of development templates that only choose among the candidates."
    )
    validation_items: int = Field(120, ge=1, description="At most so many items choose.")
    racing: bool = Field(
        True, description="Drop candidates early that are clearly worse or hardly become clearly better."
    )


@dataclass(frozen=True)
class FittedChange:
    """A change that is in force while the model answers; None leaves the model as it is."""

    change: Change | None
    cost: Cost
    record: dict[str, Any] = field(default_factory=dict)
    draws = 1
    neuron_set = None

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        with in_force(model, self.change):
            answerer = session.answerer(model)
            by_itself = self.change is None or self.change.by_itself
            yield answerer if by_itself else lambda questions, wanted=None: answerer(questions, wanted)

    def save(self, model: "LanguageModel", folder: Path, dtype: str = "auto") -> float | None:
        """See `Fitted`."""
        return self.change.save(model, folder, dtype) if self.change is not None else model.save(folder, dtype=dtype)


@contextmanager
def in_force(model: "LanguageModel", change: Change | None) -> Iterator[None]:
    """A block in which a model is changed; None changes nothing."""
    if change is None:
        yield
        return
    with model.changed(lambda: change.made(model), change.key):
        yield


def expected(settings: ChoosingSettings, candidates: int, development: "Task") -> float:
    """About how many questions' time so many candidates take: to be learned, measured and asked."""
    read = 2 * min(settings.items, len(development.items)) + JUDGED_BY * candidates
    if candidates == 1:
        return read
    validated = validated_questions(development, settings.validation_share, settings.validation_items)
    return read + validated * (candidates + 1)


def fit_chosen(
    name: str,
    model: "LanguageModel",
    development: "Task",
    session: "Session",
    settings: ChoosingSettings,
    made: "Callable[[Task, Drifts], Sequence[Change]]",
    *,
    settled: str | None = None,
) -> FittedChange:
    """Makes candidates of some development templates, and chooses by others, among those within the drift allowed.

    The one with the least drift is taken that is as good as the best; none, if none clearly helps.

    Args:
        name: of the method.
        model: to be changed.
        development: the items.
        session: whose goal, drift, seed and folder count.
        settings: of the choice.
        made: the candidates that are learned from some items, perhaps as strong as the drift allows.
        settled: which settings leave one candidate, for messages; None where they do: it is taken without a choice.

    Raises:
        DataError: there are too few templates to learn from some and choose by others.
    """
    from biasectomy.learning.setting_up import learned_and_validated

    title = METHODS[name].title
    if settled is None:
        learning, validation = development.limited(settings.items, seed=session.seed), None
    else:
        learning, validation = learned_and_validated(
            development,
            settings.validation_share,
            settings.items,
            settings.validation_items,
            session.seed,
            settled,
        )
    heading(f"Learning {title}")
    drifts = Drifts(model, session.drift or DRIFT)
    numbered = list(enumerate(drifts.in_order(made(learning, drifts)), start=1))
    shown = [{"n": n, **one.described, "drift": without_nan(drift)} for n, (one, drift) in numbered]
    record: dict[str, Any] = {"learned_from": len(learning.items), "candidates": shown}
    for n, (one, drift) in numbered:
        say(f"n = {n}: {told(one)}: drift {drift:.3f} nats")
    allowed = drifts.allowed
    near = {n: one for n, (one, drift) in numbered if drift <= allowed}  # written so that NaN is no candidate
    change: Change | None = numbered[0][1][0] if numbered else None
    if validation is None and not near:
        warn(f"{title} drifts {numbered[0][1][1]:.3f} nats from the original, which is above {allowed:g} (--drift).")
    if validation is not None:
        change, chosen = None, None
        if near:
            words = {n: told(one) for n, one in near.items()}

            @contextmanager
            def answering(number: int) -> "Iterator[Answerer]":
                with in_force(model, near.get(number)):
                    yield session.answerer(model)

            chosen = chosen_among(name, validation, session, words, answering, racing=settings.racing)
            change = near.get(chosen.neurons)
            record |= chosen_record(chosen, validation)
        else:
            warn(none_within(title, allowed))
    record |= {"chosen": change.described if change is not None else None}
    cost = Cost(session.asked.questions, 1.0, change.numbers if change is not None else 0)
    return FittedChange(change, cost, record)


class Drifts:
    """How far changes take a model from the original on neutral texts, in nats a token; each is measured once."""

    def __init__(self, model: "LanguageModel", allowed: float) -> None:
        from biasectomy.learning.neutral import judged_by

        self.model, self.allowed = model, allowed
        self._texts = judged_by(model)
        self._known: dict[str, float] = {}

    def of(self, change: Change) -> float:
        """The drift of a change; NaN where the model says nothing finite under it."""
        key = json.dumps(change.key)
        if key not in self._known:
            with in_force(self.model, change):
                self._known[key] = self._texts.mean_drift()
        return self._known[key]

    def strongest(self, changes: Callable[[float], Change], most: float = math.inf) -> float:
        """About the largest strength that keeps within what is allowed, up to the most; 0 where none tried does.

        For small strengths the drift goes with the square, by which the next one to be tried is guessed.
        """
        strength, within, beyond = 1.0, 0.0, math.inf
        for _ in range(TRIES):
            drift = self.of(changes(strength))
            if drift <= self.allowed:
                within = strength
                if drift >= NEAR_ENOUGH * self.allowed or drift == 0 or strength == most:
                    break
            else:
                beyond = strength
            wanted = math.sqrt((1 + NEAR_ENOUGH) / 2 * self.allowed / drift) if drift > 0 else 0.1  # of NaN too
            guess = strength * min(10.0, max(0.1, wanted))
            strength = min(most, guess if within < guess < beyond else (within + beyond) / 2)
        return _rounded_down(within)

    def in_order(self, changes: Sequence[Change]) -> list[tuple[Change, float]]:
        """Changes with their drifts, the nearest to the original first."""
        drifts = []
        with progress("Measuring drift", len(changes), "candidates") as advance:
            for one in changes:
                drifts.append(self.of(one))
                advance(1)
        order = sorted(range(len(changes)), key=lambda place: (math.isnan(drifts[place]), drifts[place]))
        return [(changes[place], drifts[place]) for place in order]


def chosen_among(
    name: str,
    items: "Task",
    session: "Session",
    words: Mapping[int, str],
    answering: "Callable[[int], AbstractContextManager[Answerer]]",
    *,
    racing: bool = True,
) -> Choice:
    """The candidate, by its number, that validation items speak for, and says so; 0 is the model as it is.

    Args:
        name: of the method.
        items: that choose.
        session: whose goal, level and seed count.
        words: what each candidate is called, by its number.
        answering: a block in which a candidate answers; of 0, the model.
        racing: whether those are dropped early that are clearly worse or hardly become clearly better.
    """
    heading("Choosing on validation items")

    def examine(parts: "Sequence[Task]", number: int) -> "list[Answers]":
        with answering(number) as answerer:
            who = {"method": name, "candidate": number}
            return session.ask_parts(items, parts, answerer, split="validation", who=who)

    found = choose_count(
        examine, items, list(words), session.goal(items), racing=racing, level=session.level, seed=session.seed
    )
    say(_told(found, words, session.level))
    return found


def chosen_record(choice: Choice, items: "Task") -> dict[str, Any]:
    """How the choice went, for the record of a run."""
    return {
        "validated_on": len(items.items),
        "search": [one.record() for one in choice.candidates],
        "by_chance": without_nan(choice.by_chance),
    }


def none_within(title: str, allowed: float) -> str:
    """What is said where every candidate goes too far from the original."""
    return f"{title}: no candidate stays within a drift of {allowed:g} nats; a larger --drift would allow some."


def _rounded_down(value: float) -> float:
    """To three significant digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2) if value > 0 else 1.0
    return float(f"{math.floor(value / unit + 1e-9) * unit:.3g}")


def told(change: Change) -> str:
    """A candidate in words."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in change.described.items())


def _told(choice: Choice, words: Mapping[int, str], level: float) -> str:
    """What was chosen, and what its gain on validation items is worth."""
    before, best = choice.candidates[0].value, choice.best
    if not choice.neurons:
        nearest = max(choice.candidates[1:], key=lambda one: (one.within_margin, one.difference), default=best)
        tried = f"; the nearest, {words[nearest.neurons]}, brings the goal from {before:.3f} to {nearest.value:.3f}"
        tried += choice.too_few
        return f"Chosen: the model as it is, for none of {len(words)} candidates clearly helps{tried}"
    return (
        f"Chosen: {words[choice.neurons]}; the goal on validation items {before:.3f} -> {best.value:.3f}, a gain "
        f"of at least {best.bound:.3f} ({100 * level:g} %, for all tried at once). Judge it by the test items"
    )
