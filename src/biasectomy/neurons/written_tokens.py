"""The tokens that a neuron writes towards, and away from: its direction in the residual stream, unembedded.

Geva et al. 2022 ("Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in the Vocabulary Space",
arXiv 2203.14680, section 3): a hidden unit of a feed-forward part adds its column of the down projection, times its
activation, to the stream, and the unembedding says which tokens that raises. Where the activation is negative, it is
the other way round. An output of a map that itself writes into the stream is a direction of the stream.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neurons.discovery import NeuronGroup, Neurons
from biasectomy.neurons.linear_maps import in_attention, is_down_projection, linear_shape, siblings
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.neurons.unembedding import Unembedding, unembedding
from biasectomy.neurons.weights import owned_slices

AT_ONCE = 64  # neurons, each with a value for every token
_INTO_HEADS = re.compile(r"(^|\.)(q|k|v|query|key|value)(_proj)?$")


@dataclass(frozen=True, slots=True)
class WrittenTokens:
    """Tokens with the highest and the lowest values of one neuron, the outermost first.

    A value is in standard deviations from the mean over the vocabulary, since logits count up to a common number.
    """

    highest: tuple[tuple[int, float], ...] = ()  # token, value
    lowest: tuple[tuple[int, float], ...] = ()
    reason: str = ""  # why there are none


def written_tokens(
    model: nn.Module, neurons: NeuronSet, known: Neurons, count: int = 10, vocabulary: int | None = None
) -> list[WrittenTokens]:
    """Tokens of each neuron of a set, in its order; a neuron that writes towards none has the reason in words.

    Args:
        known: the model's neurons under the set's definition.
        count: how many tokens on either side.
        vocabulary: how many tokens there are; rows of the unembedding beyond them stand for none.

    Raises:
        NeuronSetError: the model lacks a neuron.
    """
    neurons.check(model, known)
    groups = {group.module: group for group in known if group.module in neurons.by_module()}
    reasons = {module: silent_because(model, group) for module, group in groups.items()}
    writers = {group.owner for module, group in groups.items() if not reasons[module]}
    found: dict[tuple[str, int], WrittenTokens] = {}
    if writers:
        try:
            lens = unembedding(model, writers)
        except ModelError as error:
            reasons = {module: reason or str(error) for module, reason in reasons.items()}
        else:
            for module, units in _chunks(neurons, reasons):
                values = _values(model, groups[module], units, lens, vocabulary)
                for unit, tokens in zip(units, _outermost(values, count), strict=True):
                    found[module, unit] = tokens
    return [found.get((one.module, one.unit)) or WrittenTokens(reason=reasons[one.module]) for one in neurons]


def silent_because(model: nn.Module, group: NeuronGroup) -> str:
    """Why the units of a group write towards no tokens, in words; empty where they do."""
    if group.place == "input":
        return "it lies in the encoder, whose residual stream is not unembedded"
    weight = getattr(model.get_submodule(group.owner), group.parameter)
    if not weight.is_floating_point() or weight.device.type == "meta":
        return "its weights are quantised or not in memory; the full-precision model tells"
    if group.side == "input" or writes_into_stream(model, group):
        return ""
    return "it does not write into the residual stream; what it puts out is used inside its block first"


def writes_into_stream(model: nn.Module, group: NeuronGroup) -> bool:
    """Whether the output of a group's module is added to the residual stream."""
    if group.expert is not None:
        return group.parameter == "down_proj"
    block = model.get_submodule(f"{group.stack}.{group.layer}")
    width = int(model.get_input_embeddings().embedding_dim)  # type: ignore[operator]
    if not in_attention(group.kind):
        return is_down_projection(group.kind, block.get_submodule(group.kind), block, width)
    # The way out of attention is the last of its maps that puts out the stream's width.
    outwards = [path for path, shape in siblings(group.kind, block).items() if shape[1] == width]
    return outwards[-1:] == [group.kind] and not _INTO_HEADS.search(group.kind)


def _chunks(neurons: NeuronSet, reasons: dict[str, str]) -> Iterator[tuple[str, list[int]]]:
    for module, chosen in neurons.by_module().items():
        units = [one.unit for one in chosen]
        for start in range(0, 0 if reasons[module] else len(units), AT_ONCE):
            yield module, units[start : start + AT_ONCE]


@torch.no_grad()
def _values(
    model: nn.Module, group: NeuronGroup, units: Sequence[int], lens: Unembedding, vocabulary: int | None
) -> Tensor:
    """Values [vocabulary, units]."""
    if group.side == "input":
        directions = next(owned_slices(model, group, torch.tensor(units))).read()  # columns
    else:
        shape = linear_shape(model.get_submodule(group.owner))
        width = shape[1] if shape else group.units
        directions = torch.eye(width)[:, list(units)]
    return lens(directions, group.owner, vocabulary or len(lens.weight))


def _outermost(values: Tensor, count: int) -> Iterator[WrittenTokens]:
    """Of values [vocabulary, units] each unit's tokens."""
    count = min(count, len(values))
    for column in values.T:
        spread = float(column.std(correction=0))
        if not spread > 0:
            yield WrittenTokens(reason="it writes nothing: its weights are zero, or raise all tokens alike")
            continue
        standard = (column - column.mean()) / spread
        highest, lowest = (_pairs(*standard.topk(count, largest=largest)) for largest in (True, False))
        yield WrittenTokens(highest, lowest)


def _pairs(values: Tensor, tokens: Tensor) -> tuple[tuple[int, float], ...]:
    return tuple(zip(map(int, tokens), map(float, values), strict=True))
