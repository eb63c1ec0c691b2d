"""`apply`: a checkpoint or an adapter from a model and a saved neuron set."""

from pathlib import Path

from biasectomy.commands.opening import check_neuron_set, open_model
from biasectomy.commands.replacing import refuse_output
from biasectomy.commands.settings_neurons import ApplySettings
from biasectomy.models.adapters import save_adapter, told_adapter
from biasectomy.models.saving import size_in_words
from biasectomy.narration import say
from biasectomy.neurons.neuron_set import NeuronSet


def run(settings: ApplySettings) -> Path:
    """Makes the checkpoint, or the adapter.

    Raises:
        BiasectomyError: see the tree in `errors`.
    """
    refuse_output(settings)
    neuron_set = NeuronSet.load(settings.neurons_file)
    if settings.count is not None:
        neuron_set = neuron_set.top(settings.count)
    neuron_set = neuron_set.with_strength(settings.strength)
    language_model = open_model(settings)
    check_neuron_set(neuron_set, language_model)
    if settings.save_as == "adapter":
        tried = save_adapter(language_model, settings.out, neuron_set, overwrite=settings.overwrite)
        say(told_adapter(settings.out, tried))
        return settings.out
    difference = language_model.save(settings.out, neuron_set, overwrite=settings.overwrite, dtype=settings.save_dtype)
    say(f"Wrote the model with {len(neuron_set)} neurons edited to {settings.out} ({size_in_words(settings.out)})")
    say(f"Reloaded, its option log-likelihoods differ by at most {difference:.1g}")
    return settings.out
