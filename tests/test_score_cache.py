"""Answers kept across runs: found again for the same question only."""

import pytest
import torch

from biasectomy import evaluation
from biasectomy.errors import RunError
from biasectomy.evaluation import ORIGINAL, Examiner, Subject
from biasectomy.language_model import LanguageModel, load
from biasectomy.neuron_set import Neuron, NeuronSet
from biasectomy.score_cache import FILE, ScoreCache, subject_checksum, weights_checksum
from tests.test_evaluation import EDITED, refuse


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """How many prompts of each batch were computed."""
    counts: list[int] = []
    score, generate = LanguageModel.score, evaluation.generate

    def counted(language_model, batch):
        counts.append(len(batch.prompts))
        return score(language_model, batch)

    def counted_texts(language_model, batch):
        counts.append(len(batch.prompts))
        return generate(language_model, batch)

    monkeypatch.setattr(LanguageModel, "score", counted)
    monkeypatch.setattr(evaluation, "generate", counted_texts)
    return counts


@pytest.mark.parametrize("rule", ["sum", "mean", "generation"])
@pytest.mark.parametrize("subject", [ORIGINAL, EDITED])
def test_what_another_run_asked_is_not_asked_again(tiny, toy_task, tmp_path, rule, subject, asked):
    task = toy_task(2, instructions=2)
    first = Examiner(tiny, rule, cache=ScoreCache(tmp_path))
    answers = first.answers(task, subject)
    assert sum(asked) > 0
    asked.clear()
    done: list[int] = []
    second = Examiner(tiny, rule, cache=ScoreCache(tmp_path))
    assert (second.answers(task, subject, advance=done.append) == answers).all()
    assert not asked and sum(done) == answers.size
    assert second.journal._known == first.journal._known


def test_both_likelihood_rules_share_their_scores_and_new_items_are_asked(tiny, toy_task, tmp_path, asked):
    Examiner(tiny, "sum", cache=ScoreCache(tmp_path)).answers(toy_task(2))
    asked.clear()
    other = Examiner(tiny, "mean", cache=ScoreCache(tmp_path))
    assert (other.answers(toy_task(2)) == Examiner(tiny, "mean").answers(toy_task(2))).all()
    asked.clear()
    other.answers(toy_task(3))
    assert sum(asked) > 0


def test_another_edit_other_weights_and_another_format_are_other_questions(tiny, tiny_folder):
    weights = weights_checksum(tiny.model)
    assert weights == weights_checksum(load(str(tiny_folder)).model)
    assert weights != weights_checksum(load(str(tiny_folder), dtype="bfloat16").model)
    changed = load(str(tiny_folder)).model
    with torch.no_grad():
        changed.model.layers[1].mlp.down_proj.weight[3, 5] += 1e-3
    assert weights != weights_checksum(changed)
    neurons = [Neuron("a", 1, 0.0), Neuron("a", 2, 0.0), Neuron("b", 1, 0.0)]
    keys = {
        subject_checksum(weights, None, "likelihood"),
        subject_checksum(weights, None, "generation"),
        subject_checksum(weights, NeuronSet(tuple(neurons)), "likelihood"),
        subject_checksum(weights, NeuronSet(tuple(neurons[:2])), "likelihood"),
        subject_checksum(weights, NeuronSet(tuple(neurons), "ffn-hidden"), "likelihood"),
        subject_checksum(weights, NeuronSet((Neuron("a", 1, 0.0, 0.5), *neurons[1:])), "likelihood"),
    }
    assert len(keys) == 6
    backwards = subject_checksum(weights, NeuronSet(tuple(neurons[::-1])), "likelihood")
    assert backwards in keys and subject_checksum(weights, NeuronSet(()), "likelihood") in keys


def test_a_cached_answer_is_used_and_not_only_counted(tiny, toy_task, tmp_path, monkeypatch):
    cache = ScoreCache(tmp_path)
    Examiner(tiny, cache=cache).answers(toy_task(2))
    monkeypatch.setattr(LanguageModel, "score", refuse)
    Examiner(tiny, cache=cache).answers(toy_task(2))
    with pytest.raises(AssertionError, match="computed again"):
        Examiner(tiny, cache=cache).answers(toy_task(2), Subject("Edited", 30, 0, EDITED.neuron_set))


def test_a_file_that_is_no_cache(tmp_path):
    (tmp_path / FILE).write_text("not a database, and long enough to be taken for one" * 40)
    with pytest.raises(RunError, match=r"scores\.sqlite' cannot be used: .*\. Delete it or name another folder"):
        ScoreCache(tmp_path)
