"""Experts and anti-experts: by hand, against one token at a time, learned and given."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from biasectomy.errors import DataError, SettingsError
from biasectomy.learning import neutral, unpruned
from biasectomy.measuring.session import Session
from biasectomy.methods import chosen_change, search
from biasectomy.methods.base import Cost
from biasectomy.methods.expert_models import ANTI_EXPERT, EXPERT, items_of
from biasectomy.methods.experts import Experts, FittedExperts
from biasectomy.models.decoding import Companion
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.reading.following import outside_nucleus
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.crows_pairs import METRICS
from biasectomy.tasks.metrics import Goal
from biasectomy.tasks.pairs import whole_texts
from tests.conftest import build_llama, save_tiny
from tests.models import decoders
from tests.models.test_decoding import QUESTIONS

QUICK = {"steps": 6, "items_a_step": 4, "rate": 0.2, "alpha": 2}


def fitted(model, task, session=None, **settings):
    return Experts(Experts.Settings(**QUICK | settings)).fit(model, task, session or Session())


def asked(method, model, questions=QUESTIONS, session=None):
    with method.answering(model, session or Session()) as answerer:
        found = {index: answer for batch in answerer(questions) for index, answer in batch}
    return [found[index] for index in range(len(questions))]


def parts(variant):
    return {part: Companion() for part in (EXPERT, ANTI_EXPERT) if variant == "both" or part.startswith(variant)}


@pytest.mark.parametrize(
    ("variant", "logits"),
    [
        ("both", [1 + 2 * (0.5 - 3), 0.5 + 2 * (2 - 0), -1 + 2 * (0 - 1)]),
        ("anti", [1 + 2 * (1 - 3), 0.5 + 2 * (0.5 - 0), -1 + 2 * (-1 - 1)]),
        ("expert", [1 + 2 * (0.5 - 1), 0.5 + 2 * (2 - 0.5), -1 + 2 * (0 + 1)]),
    ],
)
def test_three_tokens_by_hand(variant, logits):
    """From logits that are not log-probabilities: what makes them such falls out."""
    given = {EXPERT: [0.5, 2.0, 0.0], ANTI_EXPERT: [3.0, 0.0, 1.0]}
    method = FittedExperts(parts(variant), {"alpha": 2.0, "nucleus": 1.0}, Cost())
    rows = [torch.tensor(given[part]).log_softmax(-1) for part in method.companions]
    found = method.steered(torch.tensor([1.0, 0.5, -1.0]).log_softmax(-1), rows)
    assert found.exp().tolist() == pytest.approx(torch.tensor(logits).softmax(-1).tolist(), rel=1e-5)


def test_tokens_that_the_model_cannot_say_stay_so_and_vocabularies_may_be_filled_up():
    method = FittedExperts(parts("both"), {"alpha": 2.0, "nucleus": 1.0}, Cost())
    own = torch.tensor([0.5, 0.3, 0.2, 0.0]).log()
    expert, anti = torch.tensor([0.2, 0.7, 0.1]).log(), torch.tensor([0.4, 0.4, 0.1, 0.05, 0.05]).log()
    expected = np.array([0.5 * (0.2 / 0.4) ** 2, 0.3 * (0.7 / 0.4) ** 2, 0.2, 0])
    found = method.steered(own, [expert, anti]).exp()
    assert found.tolist() == pytest.approx(list(expected / expected.sum()), rel=1e-5)


def combined(model, encoded, readers, alpha, nucleus=1.0):
    """The paper's formula, by the logits of each model alone."""

    def next_one(behind):
        own = decoders.next_token(model.model, encoded, behind)
        expert, anti = (read(encoded, behind) for read in readers)
        found = (own + alpha * (expert - anti)).log_softmax(-1)
        return found.masked_fill(outside_nucleus(own[None], nucleus)[0], -torch.inf) if encoded.new_tokens else found

    return next_one


def test_learned_experts_answer_as_the_models_that_were_kept(tiny, toy_task, tmp_path):
    """The kept neuron sets, put into the weights, are the experts; the model is as before when they are gone."""
    before = {path: weight.clone() for path, weight in tiny.model.state_dict().items()}
    method = fitted(tiny, toy_task(), Session(folder=tmp_path), alpha=1.5)
    assert method.cost == Cost(2 * 6 * 4, 3.0, 2 * 80)
    sets = [NeuronSet.load(tmp_path / part / "neurons.json") for part in (EXPERT, ANTI_EXPERT)]

    def reader(one):
        def read(encoded, behind):
            with tiny.edited(one):
                return decoders.next_token(tiny.model, encoded, behind)

        return read

    readers = [reader(one) for one in sets]
    for question, answer in zip(QUESTIONS, asked(method, tiny), strict=True):
        following = combined(tiny, tiny.encode(question), readers, 1.5, 0.9)
        decoders.same(answer, decoders.answer(tiny, question, following), within=1e-3)
    after = tiny.model.state_dict()
    assert all(torch.equal(after[path], before[path]) for path in before)


@pytest.fixture
def others(tmp_path):
    """Two folders of models with the tokens of `tiny`; one has places for tokens that there are not."""
    folders = save_tiny(tmp_path / "one", seed=1), save_tiny(tmp_path / "other", seed=2, layers=1)
    vocabulary = load(str(folders[0])).model.config.vocab_size
    build_llama(vocabulary + 6, seed=3).save_pretrained(folders[0])
    return [str(folder) for folder in folders]


def test_given_models_are_read_beside_it(tiny, toy_task, others):
    method = fitted(tiny, toy_task(), expert=others[0], anti_expert=others[1], alpha=0.7, nucleus=1)
    assert method.cost == Cost(0, 3.0, 0)
    width = tiny.model.config.vocab_size

    def reader(folder):
        inner = load(folder).model
        return lambda encoded, behind: decoders.next_token(inner, encoded, behind)[:width]

    readers = [reader(folder) for folder in others]
    original = {index: answer for batch in tiny(QUESTIONS) for index, answer in batch}
    found = asked(method, tiny)
    for question, answer in zip(QUESTIONS, found, strict=True):
        decoders.same(answer, decoders.answer(tiny, question, combined(tiny, tiny.encode(question), readers, 0.7)))
    assert all(answer != original[index] for index, answer in enumerate(found))


def test_a_model_of_other_tokens_is_refused(tiny, toy_task, others, tmp_path):
    other = load(others[0])
    other.tokenizer.add_tokens(["forgotten"])
    other.tokenizer.save_pretrained(others[0])
    with pytest.raises(SettingsError, match=r"The anti-expert '.*one' has other tokens than the model"):
        fitted(tiny, toy_task(), variant="anti-only", anti_expert=others[0])


def test_a_model_that_is_given_and_not_read_is_refused():
    with pytest.raises(SettingsError, match=r"anti-only reads no expert; leave --experts\.expert out"):
        Experts(Experts.Settings(variant="anti-only", expert="some"))


def test_a_question_that_an_expert_cannot_read_is_refused_before_anything_is_computed(tiny, toy_task, tmp_path):
    short = save_tiny(tmp_path / "short", max_position_embeddings=16)
    method = fitted(tiny, toy_task(), variant="anti-only", anti_expert=str(short))
    with pytest.raises(DataError, match="the model takes at most 16") as refused:
        asked(method, tiny)
    assert refused.value.question == QUESTIONS[0]


def test_alpha_0_is_the_original(tiny, toy_task):
    task, session = toy_task(clusters=2), Session()
    leaving, steering = (fitted(tiny, task, alpha=alpha, nucleus=1, steps=2) for alpha in (0, 2))
    with leaving.answering(tiny, session) as answerer, steering.answering(tiny, session) as other:
        assert answerer.computing.key == tiny.key != other.computing.key
    original = {index: answer for batch in tiny(QUESTIONS) for index, answer in batch}
    assert asked(leaving, tiny, session=session) == [original[index] for index in range(len(QUESTIONS))]
    assert asked(steering, tiny, session=session)[0] != original[0]
    assert leaving.cost.questions_per_answer == 1 and steering.cost.questions_per_answer == 3


def test_of_several_alphas_the_validation_items_choose_among_those_within_the_drift(tiny, toy_task, monkeypatch):
    asked_of = []

    def choose(examine, task, grid, goal, **_):
        asked_of.extend(examine([task.limited(2)], place)[0].log_likelihoods.tolist() for place in (0, *grid))
        return search.Choice(grid[-1], [search.Candidate(place) for place in (0, *grid)], 0.0)

    monkeypatch.setattr(chosen_change, "choose_count", choose)
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)
    task, alphas = toy_task(clusters=6), {"alpha": "3,0.01,0.02", "drift": 0.01}
    drift = alphas.pop("drift")
    found = fitted(tiny, task, Session(drift=drift), **alphas)
    rows = found.record["candidates"]
    assert [row["alpha"] for row in rows] == [0.01, 0.02, 3]
    assert rows[1]["drift"] <= drift < rows[2]["drift"]
    assert found.record["alpha"] == 0.02 and len(asked_of) == 3  # 3 goes too far and is not asked
    assert asked_of[0] != asked_of[1] != asked_of[2]
    questions = neutral.judging_questions(tiny)
    measured = [value for answer in asked(found, tiny, questions) for value in answer.divergences]
    assert rows[1]["drift"] == pytest.approx(np.mean(measured))


def test_where_every_alpha_goes_too_far_the_model_stays_and_that_is_said(tiny, toy_task, monkeypatch, caplog):
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)
    with caplog.at_level(logging.WARNING, "biasectomy"):
        found = fitted(tiny, toy_task(clusters=6), Session(drift=1e-9), alpha=(1, 2))
    assert found.record["alpha"] == 0 and "no candidate stays within a drift" in caplog.text


def test_the_authors_weight_is_2_unless_another_is_set_beside_it():
    assert Experts(Experts.Settings(preset="paper")).settings.alpha == (2.0,)
    assert Experts(Experts.Settings(preset="paper", alpha="3.2")).settings.alpha == (3.2,)


def test_two_fits_never_read_each_others_answers(tiny, toy_task):
    task = toy_task(clusters=2)
    keys = set()
    for settings in ({}, {"rate": 0.1}, {"variant": "anti-only"}, {"nucleus": 0.5}):
        with fitted(tiny, task, **{"steps": 1} | settings).answering(tiny, Session()) as answerer:
            keys.add(answerer.computing.key)
    assert len(keys) == 4


def test_the_anti_expert_learns_the_biased_answers(tiny, toy_task):
    """Of the items whose biased answer is not the right one; the expert learns all right ones."""
    task = toy_task(clusters=4)
    task = replace(task, items=(replace(task.items[0], target=task.items[0].gold), *task.items[1:]))
    biased = items_of(ANTI_EXPERT, task)
    assert items_of(EXPERT, task) is task
    assert [item.identifier for item in biased.items] == [item.identifier for item in task.items[1:]]
    assert [item.gold for item in biased.items] == [item.target for item in task.items[1:]]
    method = fitted(tiny, task, steps=30, drift_weight=0)

    def credited(companion, items):
        """The mean log-probability of the options that are gold, among an item's options."""
        with companion.in_force():
            scores = {index: answer.log_likelihoods for batch in tiny(items.questions()) for index, answer in batch}
        gold = [item.gold for item in items.items] * len(items.instructions)
        return np.mean([torch.tensor(scores[index]).log_softmax(0)[one] for index, one in enumerate(gold)])

    for part, items in ((EXPERT, task), (ANTI_EXPERT, biased)):
        assert credited(method.companions[part], items) > credited(Companion(), items) + 1


def pairs():
    texts = [(f"The old {one} found the way.", f"The old {one} forgot the way.") for one in ("man", "king", "baker")]
    items = tuple(Item(f"p/{n}", f"p/{n}", "p", options=two, gold=0, target=1) for n, two in enumerate(texts))
    items = tuple(replace(item, labels={"direction": "stereo"}) for item in items)
    return Task("p", items, ("",), METRICS, "1", whole_texts, {"even": Goal(METRICS[0].name)}, ("sum", "mean"))


def test_of_pairs_they_learn_one_side_each_and_move_the_odds(tiny):
    task = pairs()
    assert Experts(Experts.Settings(**QUICK)).expected_questions(task) == 2 * 6 * 4 * 3
    method = fitted(tiny, task)
    before = [answer.log_likelihoods for answer in asked(fitted(tiny, task, alpha=0), tiny, task.questions())]
    after = [answer.log_likelihoods for answer in asked(method, tiny, task.questions())]
    assert np.diff(after).mean() < np.diff(before).mean() - 0.5


def test_without_biased_answers_there_is_a_sentence(tiny, toy_task):
    task = toy_task(clusters=2)
    right = replace(task, items=tuple(replace(item, target=item.gold) for item in task.items))
    with pytest.raises(SettingsError, match="No item of 'toy:age' has a biased answer other than the right one"):
        Experts(Experts.Settings()).expected_questions(right)
    for settings in ({"variant": "expert-only"}, {"anti_expert": "some"}):
        assert Experts(Experts.Settings(alpha=1, **settings)).expected_questions(right) == 60 * 8 * 3


def test_what_is_interrupted_goes_on_and_ends_alike(tiny, toy_task, tmp_path, monkeypatch):
    task = toy_task(clusters=2)
    whole = fitted(tiny, task)
    monkeypatch.setattr(unpruned, "STEPS_A_CHECKPOINT", 2)
    step, taken = unpruned.Training.step, []

    def interrupted(training, number, *given):
        taken.append(number)
        return step(training, number, *given) if len(taken) <= 10 else 1 / 0  # in the anti-expert

    monkeypatch.setattr(unpruned.Training, "step", interrupted)
    with pytest.raises(ZeroDivisionError):
        fitted(tiny, task, Session(folder=tmp_path))
    monkeypatch.setattr(unpruned.Training, "step", lambda *given: taken.append(given[1]) or step(*given))
    taken.clear()
    assert fitted(tiny, task, Session(folder=tmp_path)).record == whole.record
    assert taken == [4, 5]
