"""Training of parameters of which none is given up: so many steps, kept every few, gone on with when interrupted."""

import torch

from biasectomy.kept_tensors import keep_tensors, kept_tensors
from biasectomy.learning.settings import LAST_RATE
from biasectomy.learning.training import CHECKPOINT, STEPS_A_CHECKPOINT, Progress, Training, recent
from biasectomy.measuring.session import Session
from biasectomy.narration import progress

STEP = "step_number"


def train(training: Training, steps: int, rate: float, session: Session) -> Progress | None:
    """All steps, at a rate that falls linearly to a fifth; loss and drift of the last ones that were taken here."""
    kept = session.processes.once(lambda: kept_tensors(session.path(CHECKPOINT)))
    start, shown = 0, None
    if kept is not None:
        training.load(kept)
        start = int(kept[STEP])
    with progress("Learning", steps, "steps") as advance:
        advance(start)
        for step in range(start, steps):
            falling = 1 - (1 - LAST_RATE) * step / max(1, steps - 1)
            shown = recent(shown, training.step(step, rate * falling))
            advance(1, f"loss {shown.loss:.3f}, drift {shown.drift:.3f}")
            file = session.path(CHECKPOINT)
            if (
                file is not None
                and session.processes.main
                and ((step + 1) % STEPS_A_CHECKPOINT == 0 or step + 1 == steps)
            ):
                keep_tensors(file, training.state() | {STEP: torch.tensor(step + 1)})
    return shown
