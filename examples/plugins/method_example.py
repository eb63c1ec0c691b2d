"""A method of your own: what the first feed-forward blocks add is dampened."""

from pydantic import Field

from biasectomy import METHODS, Neuron, NeuronSet
from biasectomy.methods.base import Profile
from biasectomy.methods.neuron_edit import FittedNeurons
from biasectomy.options import Options


@METHODS.register("dampened")
class Dampened:
    """Dampens the down projections of the first layers."""

    title = "Dampened"
    profile = Profile("weights", "nothing to fit", ("weights",), checkpoint=True)

    class Settings(Options):
        """Options of the method: --dampened.factor on the command line, [dampened] in a file."""

        factor: float = Field(0.9, ge=0, le=2, description="What each neuron is multiplied by.")
        layers: int = Field(1, ge=1, description="How many layers.")

    def __init__(self, settings):
        self.settings = settings

    def expected_questions(self, development):
        return 0  # nothing is asked while fitting

    def fit(self, model, development, session):
        groups = [one for one in model.neurons() if one.kind.endswith("down_proj") and one.layer < self.settings.layers]
        chosen = [Neuron(one.module, unit, 0.0, self.settings.factor) for one in groups for unit in range(one.units)]
        return FittedNeurons(NeuronSet(tuple(chosen), "linear-output", model.description()))
