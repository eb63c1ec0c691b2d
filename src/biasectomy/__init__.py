"""Find the neurons that make a language model answer with a stereotype, take them out, prove what changed.

    model = biasectomy.load("smollm2")
    development, test = biasectomy.split(biasectomy.load_task("bbq:age"))
    neurons = biasectomy.find_neurons(model, development)
    with model.edited(neurons.top(20)):
        print(biasectomy.evaluate(model, test))

Names are imported when first used, so that importing the package itself costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biasectomy.attribution import ATTRIBUTIONS as ATTRIBUTIONS
    from biasectomy.controls import random_neurons as random_neurons
    from biasectomy.errors import BiasectomyError as BiasectomyError
    from biasectomy.evaluation import Evaluation as Evaluation
    from biasectomy.evaluation import evaluate as evaluate
    from biasectomy.finding import attribute as attribute
    from biasectomy.finding import find_neurons as find_neurons
    from biasectomy.language_model import LanguageModel as LanguageModel
    from biasectomy.language_model import load as load
    from biasectomy.neuron_set import Neuron as Neuron
    from biasectomy.neuron_set import NeuronSet as NeuronSet
    from biasectomy.neurons import discover_neurons as discover_neurons
    from biasectomy.results import Results as Results
    from biasectomy.tasks import TASKS as TASKS
    from biasectomy.tasks import Item as Item
    from biasectomy.tasks import Task as Task
    from biasectomy.tasks import load_task as load_task
    from biasectomy.tasks import split as split

_HOMES = {
    "ATTRIBUTIONS": "attribution",
    "BiasectomyError": "errors",
    "Evaluation": "evaluation",
    "Item": "tasks",
    "LanguageModel": "language_model",
    "Neuron": "neuron_set",
    "NeuronSet": "neuron_set",
    "Results": "results",
    "TASKS": "tasks",
    "Task": "tasks",
    "attribute": "finding",
    "discover_neurons": "neurons",
    "evaluate": "evaluation",
    "find_neurons": "finding",
    "load": "language_model",
    "load_task": "tasks",
    "random_neurons": "controls",
    "split": "tasks",
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
