"""Prompts packed into one row: a forest in which every shared beginning is computed once."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.reading.forest import Forest, additive_mask, plan_forests
from biasectomy.reading.forest_attention import forest_attention
from biasectomy.reading.layouts.base import Batch, Place, Positions, Reading, Size, placement
from biasectomy.reading.layouts.rows import RowLayout
from biasectomy.reading.prompts import EncodedPrompt


class PackedLayout:
    """For decoder-only models that take any attention mask and positions."""

    name = "packed"

    def plan(self, prompts: Sequence[EncodedPrompt], budget: int, *, separate: bool = False) -> Iterator[Batch]:
        """See `Layout.plan`; the budget is in tokens that are really computed."""
        for forest in plan_forests(prompts, budget, share_prompts=not separate, keep_order=separate):
            indices = tuple(member.index for member in forest.members)
            yield Batch(indices, tuple(prompts[index] for index in indices), _size(forest))

    def read(self, model: nn.Module, batch: Batch, *, separate: bool = False) -> Reading:
        """One row; the vocabulary product only at tokens that predict an option's token.

        A batch with more tokens on a path than the model's attention window is read in rows: the mask of a forest
        knows no window.
        """
        longest = max(len(one.prompt) + max(map(len, one.options)) - 1 for one in batch.prompts)
        if longest > attention_window(model):
            return RowLayout().read(model, batch, separate=separate)
        forest = _grown(batch, separate=separate)
        nodes = sorted(_predicting(forest))
        device, dtype = placement(model)
        visible = forest.visible()
        with forest_attention(model, forest, visible, dtype, device):
            output = model(
                input_ids=torch.tensor([forest.tokens], device=device),
                attention_mask=additive_mask(visible, dtype, device)[None, None],
                position_ids=torch.tensor([forest.depths()], device=device),
                logits_to_keep=torch.tensor(nodes, device=device),
                use_cache=False,
            )
        log_probabilities = torch.log_softmax(output.logits[0].float(), dim=-1)  # [nodes, vocabulary]
        return PackedReading(forest, {node: row for row, node in enumerate(nodes)}, log_probabilities)

    def size(self, batch: Batch, *, separate: bool = False) -> Size:
        """See `Layout.size`."""
        return batch.size or _size(_grown(batch, separate=separate))


def _grown(batch: Batch, *, separate: bool) -> Forest:
    forest = Forest(share_prompts=not separate)
    for index, encoded in zip(batch.indices, batch.prompts, strict=True):
        forest.add(index, encoded)
    return forest


def _size(forest: Forest) -> Size:
    """A token sees as many as it is deep, and itself."""
    return Size(len(forest), len(_predicting(forest)), len(forest) + sum(forest.depths()))


def _predicting(forest: Forest) -> set[int]:
    """The tokens that an option's token is predicted from."""
    return {
        node
        for member in forest.members
        for option in range(len(member.paths))
        for node in member.predicting_nodes(option)
    }


def attention_window(model: nn.Module) -> float:
    """The fewest tokens that any layer of a model looks back, itself included; infinite where all are seen."""
    untyped: Any = model
    config = untyped.config.get_text_config() if hasattr(model, "config") else None
    names = ("sliding_window", "attention_chunk_size", "window_size")
    windows = [getattr(config, name, None) for name in names]
    return min((window for window in windows if isinstance(window, int)), default=math.inf)


@dataclass(frozen=True)
class PackedReading:
    """Log-probabilities [nodes, vocabulary] at the predicting nodes of a forest."""

    forest: Forest
    row: dict[int, int]
    log_probabilities: Tensor

    def log_likelihoods(self) -> list[list[Tensor]]:
        """See `Reading`.

        All are taken out at once: going back, each taking would fill a table of the whole vocabulary.
        """
        members = self.forest.members
        options = [option for member in members for option in member.encoded.options]
        rows = [
            self.row[node]
            for member in members
            for number in range(len(member.paths))
            for node in member.predicting_nodes(number)
        ]
        tokens = [token for option in options for token in option]
        taken = iter(torch.split(self.log_probabilities[rows, tokens], [len(option) for option in options]))
        return [[next(taken).sum() for _ in member.encoded.options] for member in members]

    def distributions(self) -> list[list[Tensor]]:
        """See `Reading`."""
        return [
            [
                self.log_probabilities[[self.row[node] for node in member.predicting_nodes(number)]]
                for number in range(len(member.paths))
            ]
            for member in self.forest.members
        ]

    def positions(self, member: int, option: int, place: Place) -> Positions:
        """See `Reading`; a label's own tokens are all but its last, whose output can influence nothing."""
        found = self.forest.members[member]
        return Positions(found.prompt_nodes, found.paths[option])
