"""Perplexity per word of neutral text: what an edit costs in fluency.

exp(-sum of log P(paragraph) / number of words) over all paragraphs; per word, so that models with
different tokenizers compare. A paragraph's first token is not judged where nothing stands before it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from biasectomy import likelihood
from biasectomy.errors import ScoreError
from biasectomy.language_model import LanguageModel
from biasectomy.layouts import Batch
from biasectomy.neuron_set import NeuronSet
from biasectomy.processes import ALONE, Processes
from biasectomy.results import COMPARISONS, DifferenceRow, MetricRow, row_figures
from biasectomy.statistics import ClusterBootstrap, Floats, Metric

BATCH_TOKENS = 256  # every token needs the whole vocabulary's logits here, so batches are small


def text_log_likelihoods(
    language_model: LanguageModel,
    paragraphs: Sequence[str],
    neuron_set: NeuronSet | None = None,
    processes: Processes = ALONE,
) -> list[float]:
    """log P of each paragraph (natural logarithm), [paragraphs].

    Raises:
        ScoreError: a value is NaN or infinite; names the paragraph.
    """
    prompts = [language_model.prompt_format.encode_text(paragraph) for paragraph in paragraphs]
    values = [0.0] * len(prompts)

    def scored(batch: Batch) -> list[float]:
        found = language_model.score(batch)
        if not all(scores.finite for scores in found):
            culprit = likelihood.first_not_finite(language_model.model, batch.prompts, language_model.layout)
            number = batch.indices[culprit[0] if culprit else 0] + 1
            raise ScoreError(f"The log-likelihood of neutral paragraph {number} is not finite.")
        return [scores.log_likelihoods[0] for scores in found]

    with language_model.edited(neuron_set):
        for batch, found in processes.map(scored, list(language_model.layout.plan(prompts, BATCH_TOKENS))):
            for index, value in zip(batch.indices, found, strict=True):
                values[index] = value
    return values


def _columns(paragraphs: Sequence[Any], log_likelihoods: npt.NDArray[Any]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    words = np.array([len(paragraph.split()) for paragraph in paragraphs], dtype=np.float64)
    columns = np.stack([log_likelihoods, np.broadcast_to(words, log_likelihoods.shape)], axis=-1)
    return columns, np.ones(len(paragraphs), dtype=np.bool_)


def _combine(sums: Floats) -> Floats:
    return np.asarray(np.exp(-sums[..., 0] / sums[..., 1]).mean(axis=(-1, -2)))


PERPLEXITY = Metric("perplexity", "perplexity per word of neutral text", _columns, _combine, better="lower")


def perplexity_rows(
    text_name: str,
    paragraphs: Sequence[str],
    log_likelihoods: Mapping[str, Sequence[Sequence[float]]],
    *,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[list[MetricRow], list[DifferenceRow]]:
    """Perplexity of each method with its interval over paragraphs, and the paired differences.

    Args:
        text_name: what the paragraphs come from; figures of different texts do not compare.
        log_likelihoods: for each method, of each draw and paragraph.
    """
    clusters = [str(index) for index in range(len(paragraphs))]
    bootstrap = ClusterBootstrap(clusters, replicates, seed, level)
    measured = {
        method: bootstrap.measure(PERPLEXITY, paragraphs, np.array(draws, dtype=np.float64)[:, None])
        for method, draws in log_likelihoods.items()
    }
    names = (text_name, "neutral", PERPLEXITY.name)
    # Coverage would count words here, which says nothing: all paragraphs are judged.
    rows = [
        MetricRow(method, *names, **row_figures(bootstrap.estimate(side)) | {"coverage": 1.0})
        for method, side in measured.items()
    ]
    differences = [
        DifferenceRow(
            *pair, *names, **row_figures(bootstrap.difference(*(measured[side] for side in pair))) | {"coverage": 1.0}
        )
        for pair in COMPARISONS
        if set(pair) <= set(measured)
    ]
    return rows, differences
