"""Many token sequences as one row, each shared prefix stored once.

A forest is a row of tokens in which every token knows its parent. Prompts that begin alike share
their beginning, options share their prompt, and nothing is padded. A token attends to its ancestors
and itself, and its position is its depth, so a transformer computes for each path exactly what it
would for that path alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biasectomy.reading.prompts import EncodedPrompt


@dataclass
class Forest:
    """Tokens with parents (-1 for a root); a parent always stands before its children."""

    share_prompts: bool = True
    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    members: list["Member"] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)  # of each member's own tokens
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, index: int, encoded: EncodedPrompt) -> None:
        """Grows the forest by one prompt with its options; `index` is handed back with the scores."""
        if not self.share_prompts:
            self._children.clear()
        self.starts.append(len(self))
        prompt = self._grow(-1, encoded.prompt)
        # The last token of an option is only ever predicted, never read.
        paths = tuple(tuple(self._grow(prompt[-1], option[:-1])) for option in encoded.options)
        self.members.append(Member(index, encoded, tuple(prompt), paths))

    def _grow(self, parent: int, tokens: Sequence[int]) -> list[int]:
        path = []
        for token in tokens:
            node = self._children.get((parent, token))
            if node is None:
                node = len(self.tokens)
                self._children[parent, token] = node
                self.tokens.append(token)
                self.parents.append(parent)
            path.append(node)
            parent = node
        return path

    def depths(self) -> list[int]:
        """Distance of each token from its root: its position id."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return depths

    def visible(self) -> npt.NDArray[np.bool_]:
        """Which tokens each token sees: its ancestors and itself; [tokens, tokens]."""
        visible = np.eye(len(self), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                visible[node, :node] = visible[parent, :node]
        return visible


def additive_mask(visible: npt.NDArray[np.bool_], dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
    """0 where something is seen, the lowest number elsewhere; made on the device, where less has to be sent."""
    seen = torch.from_numpy(visible).to(device)
    return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, torch.finfo(dtype).min)


@dataclass(frozen=True, slots=True)
class Member:
    """Where one prompt and its options stand in a forest.

    `paths[c]` are the nodes of option c's tokens but the last; the prediction of its t-th token is
    read at the node before it, which for t = 0 is the last node of the prompt.
    """

    index: int
    encoded: EncodedPrompt
    prompt_nodes: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    def predicting_nodes(self, option: int) -> tuple[int, ...]:
        """The nodes whose logits predict the option's tokens, in order."""
        return (self.prompt_nodes[-1], *self.paths[option])


def plan_forests(
    prompts: Sequence[EncodedPrompt], budget: int, *, share_prompts: bool = True, keep_order: bool = False
) -> Iterator[Forest]:
    """Packs prompts into forests of at most `budget` tokens (one prompt may exceed it alone).

    Prompts are sorted by their tokens, so those that begin alike stand together; the plan depends on
    the prompts and the budget only, never on time or on what was computed before.
    """
    order = range(len(prompts)) if keep_order else sorted(range(len(prompts)), key=lambda index: prompts[index].prompt)
    forest = Forest(share_prompts)
    for index in order:
        forest_size = len(forest)
        if forest_size and forest_size + _new_tokens(forest, prompts[index]) > budget:
            yield forest
            forest = Forest(share_prompts)
        forest.add(index, prompts[index])
    if len(forest):
        yield forest


def _new_tokens(forest: Forest, encoded: EncodedPrompt) -> int:
    length = len(encoded.prompt) + sum(len(option) - 1 for option in encoded.options)
    if not forest.share_prompts:
        return length
    parent, shared = -1, 0
    for token in encoded.prompt:
        node = forest._children.get((parent, token))
        if node is None:
            break
        parent, shared = node, shared + 1
    return length - shared
