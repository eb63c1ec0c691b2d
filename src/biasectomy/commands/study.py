"""`study`: several fits and measurements that answer one question; the studies are in `commands/studies`."""

from pathlib import Path
from typing import Any

from biasectomy.commands.outcome import Outcome
from biasectomy.commands.studies import STUDIES
from biasectomy.models.language_model import LanguageModel
from biasectomy.tasks import Task


def study(
    name: str,
    model: LanguageModel | str = "smollm2",
    task: Task | str | None = None,
    out: Path | str | None = None,
    **options: Any,
) -> Outcome:
    """Runs a study, such as "transfer".

    Args:
        name: one of `STUDIES`.
        model: a loaded model, or what `load` takes.
        task: a task, or what `load_tasks` takes; None leaves it to the study.
        out: a run folder; None keeps nothing but what is returned.
        options: those of `biasectomy study NAME` with underscores, and those of a method as a dictionary under its
            name: `on="bbq:age,bbq:ses", method="crispr", crispr={"trials": 2}`.

    Raises:
        BiasectomyError: see the tree in `errors`; what was computed before stays in the run folder.
    """
    kind = STUDIES[name]
    settings = kind.Settings.of(**({"out": out} if out is not None else {}), **options)
    outcome: Outcome = kind.run(settings, model, task, keep=out is not None)
    return outcome
