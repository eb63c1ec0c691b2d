"""Find the neurons that make a language model answer with a stereotype, take them out, prove what changed.

    outcome = biasectomy.mitigate("smollm2", "bbq:age", out="run", max_items=200)
    print(outcome)

    model = biasectomy.load("smollm2")
    development, test = biasectomy.split(biasectomy.load_task("bbq:age"))
    neurons = biasectomy.find_neurons(model, development)
    print(biasectomy.evaluate(model, test, neurons.top(20)))

Names are imported when first used, so that importing the package itself costs nothing. Nothing is printed but what is
fetched; `logging.getLogger("biasectomy")` has the rest, and `watching` shows progress.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biasectomy.attribution import ATTRIBUTIONS as ATTRIBUTIONS
    from biasectomy.attribution.scores import attribute as attribute
    from biasectomy.commands.compare import compare as compare
    from biasectomy.commands.describe import describe as describe
    from biasectomy.commands.evaluate import evaluate as evaluate
    from biasectomy.commands.find import find_neurons as find_neurons
    from biasectomy.commands.mitigate import mitigate as mitigate
    from biasectomy.commands.outcome import Outcome as Outcome
    from biasectomy.commands.push import push as push
    from biasectomy.commands.replay import replay as replay
    from biasectomy.commands.study import study as study
    from biasectomy.errors import BiasectomyError as BiasectomyError
    from biasectomy.measuring.results import Results as Results
    from biasectomy.measuring.session import Session as Session
    from biasectomy.methods import METHODS as METHODS
    from biasectomy.methods.random_neurons import random_neurons as random_neurons
    from biasectomy.models.language_model import LanguageModel as LanguageModel
    from biasectomy.models.language_model import load as load
    from biasectomy.narration import watching as watching
    from biasectomy.neurons.discovery import discover_neurons as discover_neurons
    from biasectomy.neurons.neuron_set import Neuron as Neuron
    from biasectomy.neurons.neuron_set import NeuronSet as NeuronSet
    from biasectomy.plugins import load_plugin as load_plugin
    from biasectomy.reading.questions import Answer as Answer
    from biasectomy.reading.questions import Question as Question
    from biasectomy.tasks import TASKS as TASKS
    from biasectomy.tasks import Item as Item
    from biasectomy.tasks import Task as Task
    from biasectomy.tasks import load_task as load_task
    from biasectomy.tasks import split as split
    from biasectomy.tasks.judges import JUDGES as JUDGES
    from biasectomy.tasks.metrics import SHARE as SHARE
    from biasectomy.tasks.metrics import Answers as Answers
    from biasectomy.tasks.metrics import Goal as Goal
    from biasectomy.tasks.metrics import Metric as Metric
    from biasectomy.tasks.option_order import rotate_options as rotate_options

_HOMES = {
    "ATTRIBUTIONS": "attribution",
    "Answer": "reading.questions",
    "Answers": "tasks.metrics",
    "BiasectomyError": "errors",
    "Goal": "tasks.metrics",
    "Item": "tasks",
    "JUDGES": "tasks.judges",
    "LanguageModel": "models.language_model",
    "METHODS": "methods",
    "Metric": "tasks.metrics",
    "Neuron": "neurons.neuron_set",
    "NeuronSet": "neurons.neuron_set",
    "Outcome": "commands.outcome",
    "Question": "reading.questions",
    "Results": "measuring.results",
    "SHARE": "tasks.metrics",
    "Session": "measuring.session",
    "TASKS": "tasks",
    "Task": "tasks",
    "attribute": "attribution.scores",
    "compare": "commands.compare",
    "describe": "commands.describe",
    "discover_neurons": "neurons.discovery",
    "evaluate": "commands.evaluate",
    "find_neurons": "commands.find",
    "load": "models.language_model",
    "load_plugin": "plugins",
    "load_task": "tasks",
    "mitigate": "commands.mitigate",
    "push": "commands.push",
    "random_neurons": "methods.random_neurons",
    "replay": "commands.replay",
    "rotate_options": "tasks.option_order",
    "split": "tasks",
    "study": "commands.study",
    "watching": "narration",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("biasectomy")
    if name not in _HOMES:
        raise AttributeError(f"module 'biasectomy' has no attribute '{name}'")
    return getattr(importlib.import_module(f"biasectomy.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
