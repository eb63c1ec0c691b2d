"""Log-likelihoods of options: log P(option | prompt) as a sum over the option's tokens.

Prompts are packed into forests (see `forest`), so a beginning that several prompts share is computed
once for all of them and for all their options, and the vocabulary product is taken only at tokens that
predict an option's token. A model that cannot read a forest (no free attention mask or positions) gets
one padded row for each option instead.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from biasectomy.forest import Forest, plan_forests
from biasectomy.prompts import EncodedPrompt


@dataclass(frozen=True, slots=True)
class OptionScores:
    """Scores of one prompt's options: summed log-probabilities (natural log) and numbers of tokens."""

    log_likelihoods: tuple[float, ...]
    tokens: tuple[int, ...]

    @property
    def finite(self) -> bool:
        """Whether every log-likelihood is a finite number."""
        return all(math.isfinite(value) for value in self.log_likelihoods)


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts that are computed together: their indices and how to compute them."""

    indices: tuple[int, ...]
    forest: Forest


def plan(prompts: Sequence[EncodedPrompt], budget: int) -> Iterator[Batch]:
    """Batches of at most `budget` tokens; the same prompts and budget always give the same batches."""
    for forest in plan_forests(prompts, budget):
        yield Batch(tuple(member.index for member in forest.members), forest)


@torch.inference_mode()
def score(model: nn.Module, batch: Batch, *, packed: bool = True) -> list[OptionScores]:
    """Scores of a batch's prompts, in the order of `batch.indices`.

    Args:
        packed: read the forest as one row; otherwise one padded row for each option.
    """
    forest = batch.forest
    if not packed:
        return [score_in_rows(model, member.encoded) for member in forest.members]
    nodes = sorted(
        {node for member in forest.members for c in range(len(member.paths)) for node in member.predicting_nodes(c)}
    )
    row = {node: index for index, node in enumerate(nodes)}
    logits = forest_logits(model, forest, nodes)  # [nodes, vocabulary]
    normaliser = torch.logsumexp(logits, dim=-1)  # [nodes]
    scores = []
    for member in forest.members:
        sums, counts = [], []
        for c, option in enumerate(member.encoded.options):
            rows = torch.tensor([row[node] for node in member.predicting_nodes(c)], device=logits.device)
            targets = torch.tensor(option, device=logits.device)
            sums.append(float((logits[rows, targets] - normaliser[rows]).double().sum()))
            counts.append(len(option))
        scores.append(OptionScores(tuple(sums), tuple(counts)))
    return scores


def forest_logits(model: nn.Module, forest: Forest, nodes: Sequence[int]) -> Tensor:
    """Logits in float32 at the given nodes of a forest; [nodes, vocabulary]."""
    device, dtype = _placement(model)
    output = model(
        input_ids=torch.tensor([forest.tokens], device=device),
        attention_mask=forest.attention_mask(dtype).to(device),
        position_ids=torch.tensor([forest.depths()], device=device),
        logits_to_keep=torch.tensor(nodes, device=device),
        use_cache=False,
    )
    logits: Tensor = output.logits[0]
    return logits.float()


def score_in_rows(model: nn.Module, encoded: EncodedPrompt) -> OptionScores:
    """Scores of one prompt with a row for each option: no shared work, but any causal model can do it."""
    device, _ = _placement(model)
    sequences = [encoded.prompt + option for option in encoded.options]
    longest = max(map(len, sequences))
    tokens = torch.zeros(len(sequences), longest - 1, dtype=torch.long, device=device)
    mask = torch.zeros_like(tokens)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence) - 1] = torch.tensor(sequence[:-1], device=device)
        mask[row, : len(sequence) - 1] = 1
    logits: Tensor = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    start = len(encoded.prompt) - 1
    sums = []
    for row, option in enumerate(encoded.options):
        log_probabilities = torch.log_softmax(logits[row, start : start + len(option)].float(), dim=-1)
        chosen = log_probabilities[torch.arange(len(option)), torch.tensor(option, device=device)]
        sums.append(float(chosen.double().sum()))
    return OptionScores(tuple(sums), tuple(len(option) for option in encoded.options))


def first_not_finite(model: nn.Module, prompts: Sequence[EncodedPrompt]) -> tuple[int, OptionScores] | None:
    """Which of some prompts has a log-likelihood that is NaN or infinite when asked alone, with its scores.

    In a forest such a value spreads to every prompt of the row, so the culprit shows only by itself.
    """
    for index, encoded in enumerate(prompts):
        scores = score(model, next(plan([encoded], 1)), packed=False)[0]
        if not scores.finite:
            return index, scores
    return None


@torch.inference_mode()
def reads_forests(model: nn.Module, vocabulary: int) -> bool:
    """Whether a forest gives this model's own scores, found by trying on a few made-up tokens."""
    prompt = tuple((7 * position + 3) % vocabulary for position in range(12))
    options = tuple(tuple((11 * position + 5 + c) % vocabulary for position in range(2 + c)) for c in range(3))
    encoded = EncodedPrompt(prompt, options)
    batch = next(plan([encoded], 1024))
    try:
        in_forest = score(model, batch)[0]
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False
    in_rows = score_in_rows(model, encoded)
    tolerance = 1e-3 if _placement(model)[1] == torch.float32 else 0.3
    return all(
        not abs(left - right) > tolerance  # a model whose weights are NaN fails later, with a better message
        for left, right in zip(in_forest.log_likelihoods, in_rows.log_likelihoods, strict=True)
    )


def _placement(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    parameter = next(parameter for parameter in model.parameters() if parameter.is_floating_point())
    return parameter.device, parameter.dtype
