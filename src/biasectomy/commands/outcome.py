"""What a command found, for those who go on with it in Python."""

from dataclasses import dataclass, field
from pathlib import Path

from biasectomy.measuring.results import Results
from biasectomy.methods.base import Fitted
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.tasks.base import Task
from biasectomy.tasks.metrics import Answers


@dataclass(frozen=True)
class Outcome:
    """Figures, what was fitted, and the answers behind the figures.

    `fitted` is by method, in the order they were fitted; `answers` by task and method; `folder` is the run's, where
    there is one.
    """

    results: Results
    tasks: tuple[Task, ...]
    fitted: dict[str, Fitted] = field(default_factory=dict)
    answers: dict[str, dict[str, Answers]] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def neurons(self) -> NeuronSet | None:
        """The neurons of the first method that edits some; None where none does."""
        return next((one.neuron_set for one in self.fitted.values() if one.neuron_set is not None), None)

    def __str__(self) -> str:
        """Verdict and headline figures, as the command line shows them."""
        from biasectomy.report.screen import screen

        return screen(self.results, self.folder)

    def tables(self) -> str:
        """All figures, as the command line shows them with --full."""
        from biasectomy.report.text import rendered

        return rendered(self.results)
