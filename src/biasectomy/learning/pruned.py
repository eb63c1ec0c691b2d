"""Factors learned along a path from all neurons to few, with a candidate at the end of every budget."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from biasectomy.kept_tensors import keep_tensors, kept_tensors
from biasectomy.learning.factors import Factors
from biasectomy.learning.path import Path, Stretch
from biasectomy.learning.training import CHECKPOINT, STEPS_A_CHECKPOINT, Progress, Training, recent
from biasectomy.measuring.session import Session
from biasectomy.narration import progress

Importance = Literal["change", "loss"]
STEP, FREE, VALUES, SHOWN = "step_number", "free", "candidate", "shown"
Candidate = tuple[Tensor, Progress]


@dataclass
class PrunedFactors:
    """Training of factors of which fewer and fewer may differ from 1.

    Those stay whose `importance` is largest: "change" is |factor - 1|; "loss" is what putting the factor back to 1
    would cost by the gradients' mean square, F (factor - 1)^2 (optimal brain damage, LeCun et al. 1989, with the
    empirical Fisher information F in place of the second derivative).
    """

    training: Training
    factors: Factors
    path: Path
    importance: Importance
    session: Session

    def candidates(self) -> Iterator[tuple[Stretch, Tensor, Progress]]:
        """At the end of each budget: its stretch, the factors then, and mean loss and drift of the last steps.

        What is kept in the session's folder is gone on with; the candidates that were found before come first.
        """
        start, shown, ends = self._resumed()
        for stretch in self.path.stretches:
            if stretch.end in ends:
                yield stretch, *ends[stretch.end]
        with progress("Learning", self.path.steps, "steps") as advance:
            advance(start)
            for step in range(start, self.path.steps):
                found = self.training.step(step, self.path.rate_at(step), self.factors.free)
                stretch = self.path.stretch(step)
                self._prune(stretch.allowed(step))
                shown = recent(shown, found)
                advance(1, f"loss {shown.loss:.3f}, drift {shown.drift:.3f}, {len(self.factors):,} neurons")
                if step + 1 == stretch.end:
                    ends[step + 1] = self.factors.values.detach().clone(), shown
                    yield stretch, *ends[step + 1]
                if (step + 1) % STEPS_A_CHECKPOINT == 0 or step + 1 == stretch.end:
                    self._keep(step + 1, shown, ends)

    def _prune(self, allowed: int) -> None:
        if allowed >= len(self.factors):
            return
        values = self.factors.values.detach()
        weight = (values - 1).abs()
        if self.importance == "loss":
            weight = self.training.optimizer.state[self.factors.values]["exp_avg_sq"].sqrt() * weight
        weight = weight.masked_fill(~self.factors.free, -1.0)
        chosen = torch.zeros_like(self.factors.free)
        chosen[weight.topk(allowed).indices] = True
        self.factors.keep(chosen)
        self.training.forget(~self.factors.free)

    def _keep(self, step: int, shown: Progress, ends: Mapping[int, Candidate]) -> None:
        file = self.session.path(CHECKPOINT)
        if file is None or not self.session.processes.main:
            return
        further = {STEP: torch.tensor(step), FREE: self.factors.free, SHOWN: _tensor(shown)}
        for end, (values, then) in ends.items():
            further |= {f"{VALUES}.{end}": values, f"{SHOWN}.{end}": _tensor(then)}
        keep_tensors(file, self.training.state() | further)

    def _resumed(self) -> tuple[int, Progress | None, dict[int, Candidate]]:
        """The step to go on with, what was shown at the one before, and the candidates found so far."""
        kept = self.session.processes.once(lambda: kept_tensors(self.session.path(CHECKPOINT)))
        if kept is None:
            return 0, None, {}
        self.training.load(kept)
        self.factors.keep(kept[FREE].to(self.factors.free.device))
        ends = [int(name.rpartition(".")[2]) for name in kept if name.startswith(f"{VALUES}.")]
        found = {end: (kept[f"{VALUES}.{end}"], _progress(kept[f"{SHOWN}.{end}"])) for end in ends}
        return int(kept[STEP]), _progress(kept[SHOWN]), found


def _tensor(shown: Progress) -> Tensor:
    return torch.tensor([shown.loss, shown.drift], dtype=torch.float64)


def _progress(kept: Tensor) -> Progress:
    loss, drift = kept.tolist()
    return Progress(loss, drift)
