"""Training within a budget of capability: what is kept is the best that has not gone too far from the original.

Every few steps the model is judged on neutral texts that are not learned from: its drift, KL(original || model), and
its perplexity. Of what was within the budget then, that with the lowest loss is kept; two judgements in a row beyond
it end the training. Where nothing was within it, or nothing better than the original, the model stays the original.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from biasectomy.kept_tensors import keep_tensors, kept_tensors
from biasectomy.learning.neutral import judged_by
from biasectomy.learning.settings import DRIFT, LAST_RATE
from biasectomy.learning.training import CHECKPOINT, Progress, Training, recent
from biasectomy.measuring.session import Session
from biasectomy.narration import progress, say, warn

EVERY = 10  # steps
BEYOND = 2  # judgements in a row that end the training
# Bytes of parameters from which on only every so-many-th judgement writes what is there, four times as much; and those
# from which on only the end does.
LARGE, SELDOM, HUGE = 1e8, 5, 1e9
STEP, SHOWN, JUDGED, BEST, ENDED = "step_number", "shown", "judged", "best", "ended"


@dataclass(frozen=True)
class Budget:
    """How far a model may go: mean drift in nats a token, and its perplexity as a multiple of the original's.

    It is judged after every so many steps.
    """

    drift: float = math.inf
    perplexity: float = math.inf
    every: int = EVERY

    @classmethod
    def of(cls, session: Session, preset: str, perplexity: float, every: int = EVERY) -> "Budget":
        """What --drift allows, else what is usual; without it the authors' settings have no limit of drift."""
        usual = math.inf if preset == "paper" else DRIFT
        return cls(usual if session.drift is None else session.drift, perplexity, every)

    def allows(self, judged: "Judged") -> bool:
        """Whether a judgement is within the budget; what is not a number is not."""
        return judged.drift <= self.drift and judged.perplexity <= self.perplexity and judged.loss < math.inf


@dataclass(frozen=True)
class Judged:
    """What was found after some steps: the loss, mean drift (nats), perplexity as a multiple of the original's."""

    step: int
    loss: float
    drift: float
    perplexity: float


@dataclass(frozen=True)
class Trained:
    """How training within a budget went: steps that were taken, and those after which what is kept was there."""

    taken: int
    kept: int  # 0: nothing was learned
    judged: tuple[Judged, ...]

    @property
    def best(self) -> Judged | None:
        """What was found of what is kept; None where that is the original."""
        return next((one for one in self.judged if one.step == self.kept > 0), None)

    def record(self) -> dict[str, Any]:
        """For the record of a run; values that are not finite are None."""
        finite = [
            {name: value if math.isfinite(value) else None for name, value in asdict(one).items()}
            for one in self.judged
        ]
        return {"steps_taken": self.taken, "steps_kept": self.kept, "judged": finite}

    def tell(self) -> None:
        """Says what was kept; warns where nothing was."""
        best = self.best
        if best is None:
            warn(
                "Nothing was learned: after no step was the model better and within the budget of drift and "
                "perplexity; a lower rate, or a larger --drift, may allow some."
            )
            return
        say(
            f"Kept after {self.kept} of {self.taken} steps: loss {best.loss:.3f}, drift {best.drift:.3f} nats, "
            f"perplexity {best.perplexity:.3f} times the original's"
        )


def train_within(
    training: Training,
    steps: int,
    rate: float,
    session: Session,
    budget: Budget,
    *,
    judge: Callable[[], float] | None = None,
    last_rate: float = LAST_RATE,
) -> Trained:
    """Trains; afterwards the parameters are the best that were within the budget, or those there were at first.

    What is kept in the session's folder is gone on with, to the last bit. Beside gradients and what Adam remembers it
    takes one copy of the parameters, in ordinary memory.

    Args:
        training: what is trained.
        steps: at most so many.
        rate: of the first; it falls linearly.
        session: where it is kept.
        budget: how far the model may go.
        judge: the loss by which the best is chosen, and that must be lower than the original's; asked of the changed
            model in the main process alone. None for the running mean of what is learned from.
        last_rate: of the last step, as a share of the first's.
    """
    run = _Run(training, session, budget, judge)
    start = run.resumed()
    if judge is not None and not run.judged:
        run.judge_at(0)
    with progress("Learning", steps, "steps") as advance:
        advance(start)
        for step in range(start, steps):
            if run.ended:
                break
            falling = 1 - (1 - last_rate) * step / max(1, steps - 1)
            run.shown = recent(run.shown, training.step(step, rate * falling))
            advance(1, f"loss {run.shown.loss:.3f}, drift {run.shown.drift:.3f}")
            if (step + 1) % budget.every == 0 or step + 1 == steps:
                run.judge_at(step + 1)
                run.keep(step + 1, last=run.ended or step + 1 == steps)
    run.load_best()
    return Trained(run.judged[-1].step if run.judged else 0, run.kept, tuple(run.judged))


class _Run:
    def __init__(self, training: Training, session: Session, budget: Budget, judge: Callable[[], float] | None) -> None:
        self.training, self.session, self.budget, self.loss = training, session, budget, judge
        self.texts = judged_by(training.model)
        self.shown: Progress | None = None
        self.judged: list[Judged] = []
        self.kept = 0
        self.best = _copies(training)

    @property
    def ended(self) -> bool:
        """Whether the last judgements in a row were beyond the budget."""
        last = self.judged[-BEYOND:]
        return len(last) == BEYOND and not any(self.budget.allows(one) for one in last)

    def judge_at(self, step: int) -> None:
        """Judges what is there after a step, and keeps it where it is the best."""
        found = self.session.processes.agreed(lambda: self._judgement(step))
        known = min((one.loss for one in self.judged if self.budget.allows(one)), default=math.inf)
        self.judged.append(found)
        if self.budget.allows(found) and found.loss < known:
            self.kept, self.best = step, _copies(self.training)

    def _judgement(self, step: int) -> Judged:
        with self.training.model.changed(self.training.change, {"learning": step}), torch.no_grad():
            gone = self.texts.capability()
            loss = self.loss() if self.loss is not None else self.shown.loss if self.shown is not None else math.inf
        return Judged(step, loss, gone.drift, gone.perplexity)

    def keep(self, step: int, *, last: bool) -> None:
        """Writes what the next step depends on; at the end only what is kept."""
        file = self.session.path(CHECKPOINT)
        if file is None or not self.session.processes.main or self.shown is None:
            return
        size = sum(one.numel() * one.element_size() for one in self.training.parameters)
        seldom = size > HUGE or (size > LARGE and len(self.judged) % SELDOM)
        if seldom and not last:
            return
        rows = [[one.step, one.loss, one.drift, one.perplexity] for one in self.judged]
        found = {
            STEP: torch.tensor(step),
            SHOWN: torch.tensor([self.shown.loss, self.shown.drift], dtype=torch.float64),
            JUDGED: torch.tensor(rows, dtype=torch.float64),
            BEST: torch.tensor(self.kept),
            ENDED: torch.tensor(last),
        }
        found |= {f"{BEST}.{index}": one for index, one in enumerate(self.best)}
        keep_tensors(file, found if last else found | self.training.state())

    def resumed(self) -> int:
        """The step to go on with."""
        kept = self.session.processes.once(lambda: kept_tensors(self.session.path(CHECKPOINT)))
        if kept is None:
            return 0
        if not kept[ENDED]:
            self.training.load(kept)
        loss, drift = kept[SHOWN].tolist()
        self.shown = Progress(loss, drift)
        self.judged = [Judged(int(step), *rest) for step, *rest in kept[JUDGED].tolist()]
        self.kept = int(kept[BEST])
        self.best = [kept[f"{BEST}.{index}"] for index in range(len(self.best))]
        return int(kept[STEP])

    @torch.no_grad()
    def load_best(self) -> None:
        """Puts the parameters to the best."""
        for parameter, value in zip(self.training.parameters, self.best, strict=True):
            parameter.copy_(value)


def _copies(training: Training) -> list[Tensor]:
    """What is trained, in ordinary memory."""
    return [one.detach().to("cpu", copy=True) for one in training.parameters]
