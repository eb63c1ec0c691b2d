"""`find`: the neurons an attribution puts first, as a file."""

from pathlib import Path
from typing import Any

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.attribution.crispr import NAME as CRISPR
from biasectomy.attribution.scores import Scores, attribute
from biasectomy.commands.opening import MODEL, TASKS, describe_neurons, open_model, open_tasks, split_task
from biasectomy.commands.replacing import refuse_output
from biasectomy.commands.settings_neurons import FindSettings
from biasectomy.files import writing
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import heading, say, stages
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.processes import join
from biasectomy.tasks import Task

FINDING = "finding"  # a stage of the command


def find_neurons(
    model: LanguageModel, development: Task, attribution: str = CRISPR, count: int = 500, **options: Any
) -> NeuronSet:
    """The neurons with the highest scores, best first.

    Args:
        model: a loaded model.
        development: the items that may be used; all of them.
        attribution: one of `ATTRIBUTIONS`.
        count: how many neurons.
        options: those of the attribution (`instances=10, trials=1`), and `definition` and `seed`.

    Raises:
        UnknownNameError: there is no such attribution or definition.
        SettingsError: an option is not usable, or there are too few items.
        ScoreError: a log-likelihood or a score is not finite.
    """
    _ = ATTRIBUTIONS[attribution]
    own = {name: options.pop(name) for name in ("definition", "seed") if name in options}
    settings = FindSettings.of(attribution=attribution, **{attribution: options}, **own)
    return _found(settings, model, development, Session(seed=settings.seed)).top(count)


def run(settings: FindSettings) -> NeuronSet:
    """Scores the neurons of a model on the development items of a task and saves the top ones.

    Raises:
        BiasectomyError: see the tree in `errors`.
    """
    with join(settings.device, settings.shard) as processes, stages(TASKS, MODEL, FINDING):
        processes.once(lambda: refuse_output(settings))
        processes.once(lambda: _make_folder(settings.out.parent))
        _ = ATTRIBUTIONS[settings.attribution]
        development = split_task(open_tasks(settings, processes)[0], settings).development
        language_model = open_model(settings, processes)
        describe_neurons(language_model, settings.definition)
        session = Session(processes=processes, seed=settings.seed)
        heading("Finding neurons", FINDING)
        found = _found(settings, language_model, development, session).top(settings.count)
        if processes.main:
            found.save(settings.out)
    say(f"Wrote the top {len(found)} neurons to {settings.out}")
    return found


def _found(settings: FindSettings, model: LanguageModel, development: Task, session: Session) -> Scores:
    name = settings.attribution
    attribution = ATTRIBUTIONS[name](settings.section(name))
    return attribute(model, development, attribution, definition=settings.definition, session=session, name=name)


def _make_folder(folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
