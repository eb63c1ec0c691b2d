"""How much of a forward pass could be reused between candidates of the search for n."""

import dataclasses

from benchmarks.base import Line, Settings, benchmark
from biasectomy import attribute, load, load_task, split
from biasectomy.attribution.crispr import Crispr
from biasectomy.attribution.scores import Scores
from biasectomy.methods.neuron_edit import DEFAULT_GRID
from biasectomy.models.language_model import LanguageModel
from biasectomy.neurons.discovery import DEFINITIONS
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.reading.forest import plan_forests
from biasectomy.reading.memory import weights_bytes
from biasectomy.tasks import Task

INSTANCES = 3
INSTRUCTIONS = 2


@benchmark("reuse")
def reuse(settings: Settings) -> list[Line]:
    """Share of layers below the lowest edited one, over the candidates of the default grid."""
    language_model = load(settings.model, device="cpu")
    whole = split(load_task(settings.task)).development
    development = dataclasses.replace(whole, instructions=whole.instructions[:INSTRUCTIONS])
    instances = settings.items or INSTANCES
    lines = []
    for definition in DEFINITIONS:
        crispr = Crispr(Crispr.Settings(instances=instances, trials=1))
        scores = attribute(language_model, development, crispr, definition=definition)
        lowest = {count: lowest_layer(scores, scores.top(count)) for count in DEFAULT_GRID if count}
        shares = [layer / scores.neurons.layers for layer in lowest.values()]
        lines.append(
            Line(
                "reuse",
                f"layers below the lowest edited one, {definition}",
                sum(shares) / len(shares),
                "share",
                "float32",
                low=min(shares),
                high=max(shares),
                details={
                    "layers": scores.neurons.layers,
                    "lowest_edited_layer_by_n": lowest,
                    "instances": instances,
                    "instructions": INSTRUCTIONS,
                    "note": "what reuse could save at most: keeping the layers' outputs costs time and memory",
                },
            )
        )
    if settings.quick:
        whole = development.limited(2 * instances, INSTRUCTIONS)
    return [*lines, _price(language_model, whole)]


def _price(language_model: LanguageModel, development: Task) -> Line:
    """What the outputs of one layer would take if they were kept for the prompts of all development items."""
    model = language_model.model
    prompts = [language_model.encode(question) for question in development.questions()]
    tokens = sum(len(forest) for forest in plan_forests(prompts, language_model.batch_tokens))
    kept = int(tokens * model.config.get_text_config().hidden_size * model.dtype.itemsize)
    weights = weights_bytes(model)
    return Line(
        "reuse",
        "outputs of one layer, kept for all development prompts",
        kept / weights,
        "weights",
        "float32",
        tokens=tokens,
        details={"prompts": len(prompts), "bytes": kept, "weights_bytes": weights},
    )


def lowest_layer(scores: Scores, chosen: NeuronSet) -> int:
    """Number of the lowest layer that holds a chosen neuron: the layers below it compute what they always do."""
    return min(group.layer for group in scores.neurons if group.module in chosen.by_module())
