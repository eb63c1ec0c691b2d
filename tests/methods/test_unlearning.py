"""Methods that leave other weights: unlearning, task vectors and PCGU. The posts are made up."""

import logging
from dataclasses import replace

import pytest
import torch

from biasectomy import compare, load_task
from biasectomy.errors import DataError, SettingsError, SourceError, UnknownNameError
from biasectomy.learning import negation, neutral
from biasectomy.learning.contrast import PartitionedTraining
from biasectomy.learning.full_weights import TrainedWeights
from biasectomy.learning.negation import biased_answers, negated, task_vector
from biasectomy.learning.text_training import TextTraining
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS, chosen_change, search
from biasectomy.models.language_model import load
from biasectomy.reading.questions import Question
from tests.tasks.made_posts import write_mirrors

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])
QUICK = {
    "unlearn": {"steps": 2, "items_a_step": 4, "rate": 0.01, "perplexity": 1e9},
    "task-vector": {"steps": 2, "items_a_step": 4, "rate": 0.01, "strengths": (1.0,)},
    "pcgu": {"steps": 2, "pairs_a_step": 4, "partitions": 30, "rate": 1e-3, "perplexity": 1e9, "chosen_by": 0},
}
STEPS = {"unlearn": TextTraining, "pcgu": PartitionedTraining}


@pytest.fixture(autouse=True)
def few_texts(monkeypatch, tmp_path):
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)
    monkeypatch.setenv("BIASECTOMY_DATA", str(write_mirrors(tmp_path / "data")))


def fitted(name, model, task, session=None, **settings):
    kind = METHODS[name]
    return kind(kind.Settings(**(QUICK[name] | settings))).fit(model, task, session or Session(drift=1e9))


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def weights(model) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in model.model.named_parameters()}


@pytest.mark.parametrize("name", QUICK)
class TestEachMethod:
    def test_it_is_in_force_for_a_block_and_its_checkpoint_answers_so(self, tiny, toy_task, tmp_path, name):
        before, own = logits(tiny.model), weights(tiny)
        found, key = fitted(name, tiny, toy_task(clusters=4)), tiny.key
        with found.answering(tiny, Session()):
            changed = logits(tiny.model)
            assert tiny.key != key and (changed - before).abs().max() > 1e-4
        assert all(torch.equal(one, own[path]) for path, one in weights(tiny).items()) and tiny.key == key
        assert found.save(tiny, tmp_path / "model") < 1e-4
        torch.testing.assert_close(logits(load(str(tmp_path / "model")).model), changed, rtol=1e-4, atol=1e-4)

    def test_nothing_beyond_the_budget_is_kept_and_that_is_said(self, tiny, toy_task, name, caplog):
        more = {"strengths": (0.5, 1.0)} if name == "task-vector" else {}  # one alone is settled
        with caplog.at_level(logging.WARNING, "biasectomy"):
            found = fitted(name, tiny, toy_task(clusters=6), Session(drift=1e-7), **more)
        assert found.cost.numbers == 0
        assert "Nothing was learned" in caplog.text or "no candidate stays within a drift" in caplog.text


@pytest.mark.parametrize("name", STEPS)
def test_what_is_interrupted_goes_on_and_ends_alike(tiny, toy_task, tmp_path, monkeypatch, name):
    task, kind, more = toy_task(clusters=4), STEPS[name], {"steps": 4, "judged_every": 2}
    whole = fitted(name, tiny, task, **more)
    step, session = kind.step, Session(drift=1e9, folder=tmp_path / "run")
    monkeypatch.setattr(kind, "step", lambda *given: step(*given) if given[1] < 3 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fitted(name, tiny, task, session, **more)
    taken = []
    monkeypatch.setattr(kind, "step", lambda *given: taken.append(given[1]) or step(*given))
    assert fitted(name, tiny, task, session, **more).adapter.key == whole.adapter.key and taken == [2, 3]


class TestUnlearning:
    def test_harmful_tokens_of_posts_that_were_not_learned_from_become_less_likely(self, tiny, toy_task):
        record = fitted("unlearn", tiny, toy_task(clusters=2), steps=6).record
        assert record["log_probability"]["after"] < record["log_probability"]["before"] - 0.1
        assert (record["group"], record["tokens"], record["learned_from"]) == ("Women", "rationale", 5)

    def test_which_tokens_count_is_a_setting(self, tiny, toy_task):
        task = toy_task(clusters=2)
        words = fitted("unlearn", tiny, task, steps=1, tokens="lexicon", lexicon="goose, silly geese")
        assert words.record["learned_from"] + words.record["held_out"] == 5  # of seven, five say so
        whole = fitted("unlearn", tiny, task, steps=1, tokens="all").record
        assert whole["learned_from"] + whole["held_out"] == 7

    @pytest.mark.parametrize("kind", ["frozen-layers", "peft"])
    def test_only_a_part_is_trained_where_a_part_is_asked_for(self, tiny, toy_task, kind):
        own = weights(tiny)
        found = fitted("unlearn", tiny, toy_task(clusters=2), kind=kind, blocks=1, rate=0.05)
        with found.answering(tiny, Session()):
            moved = {name for name, one in weights(tiny).items() if not torch.equal(one, own[name])}
        expected = "model.layers.1." if kind == "frozen-layers" else ".down_proj.weight"
        assert moved and all(expected in name for name in moved)

    def test_the_papers_settings_have_nothing_that_holds_the_model_but_what_is_set(self):
        kind = METHODS["unlearn"]
        theirs = kind(kind.Settings(preset="paper")).settings
        assert (theirs.kind, theirs.drift_weight, theirs.perplexity) == ("full", 0, float("inf"))
        assert kind(kind.Settings(preset="paper", drift_weight=2.0)).settings.drift_weight == 2

    def test_what_cannot_work_is_refused_before_anything_is_computed(self, tiny, toy_task, tmp_path, monkeypatch):
        kind, task = METHODS["unlearn"], toy_task(clusters=4)
        with pytest.raises(UnknownNameError, match="did you mean 'Women'"):
            kind(kind.Settings(group="woman")).expected_questions(task)
        for wrong in ({"tokens": "lexicon"}, {"lexicon": "geese"}):
            with pytest.raises(SettingsError, match="belong together"):
                kind(kind.Settings(**wrong)).expected_questions(task)
        with pytest.raises(DataError, match="Only 1 of 1 hateful posts against 'Jewish'"):
            kind(kind.Settings(group="Jewish")).check_data(None)
        monkeypatch.setattr(type(tiny), "answer", lambda *given: 1 / 0)
        monkeypatch.delenv("BIASECTOMY_DATA")
        (tmp_path / "empty").mkdir()
        with pytest.raises(SourceError, match="Put HateXplain"):
            compare(tiny, task, "unlearn", also="none", data=tmp_path / "empty")

    def test_data_come_from_the_folder_of_the_command(self, tiny, toy_task, tmp_path, monkeypatch):
        monkeypatch.delenv("BIASECTOMY_DATA")
        found = compare(
            tiny, toy_task(clusters=4), "unlearn", also="none", data=tmp_path / "data", drift=1e9,
            unlearn=QUICK["unlearn"],
        )  # fmt: skip
        assert "unlearn" in {row.method for row in found.results.metrics}


class TestTaskVectors:
    def test_a_vector_is_what_was_added_and_is_taken_off_times_the_strength(self, tiny):
        name = "model.layers.0.mlp.down_proj.weight"
        own = dict(tiny.model.named_parameters())[name].detach().clone()
        added = torch.full_like(own, 0.25)
        added[0] = -1.0
        vector = task_vector(tiny, TrainedWeights({name: own + added}))
        assert vector.keys() == {name}
        torch.testing.assert_close(vector[name], added, rtol=0, atol=1e-6)
        for strength in (0.5, 2.0):
            taken = negated(tiny, {name: added}, strength)
            assert torch.equal(taken.values[name], own - strength * added)

    def test_half_precision_is_rounded_once(self, tiny):
        tiny.model.to(torch.bfloat16)
        name = "model.norm.weight"
        own = dict(tiny.model.named_parameters())[name].detach()
        added = torch.linspace(-1, 1, own.numel())
        assert torch.equal(negated(tiny, {name: added}, 0.3).values[name], (own.float() - 0.3 * added).bfloat16())

    def test_what_is_fitted_is_the_fine_tuned_model_negated(self, tiny, toy_task, monkeypatch):
        seen = []

        def watched(model, learned):
            seen.append(learned)
            return task_vector(model, learned)

        monkeypatch.setattr(negation, "task_vector", watched)
        found = fitted("task-vector", tiny, toy_task(clusters=4), strengths=(0.5,))
        (tuned,) = seen
        own = weights(tiny)
        assert found.change.vector.keys() == tuned.values.keys()
        with found.answering(tiny, Session()):
            changed = weights(tiny)
        for name in tuned.values:
            value = changed[name]
            torch.testing.assert_close(value, own[name] - 0.5 * (tuned.values[name] - own[name]), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("source", ["items", "texts"])
    def test_what_is_taught_becomes_likelier_and_less_likely_when_it_is_taken_off(self, tiny, toy_task, source):
        task = toy_task(clusters=4)
        answers = biased_answers(task)
        post = Question(None, ("those women are silly geese today",))
        questions = answers.questions() if source == "items" else [post]
        assert source == "texts" or all(len(one.options) == 1 for one in questions)

        def mean() -> float:
            found = [answer for batch in tiny(questions) for _, answer in batch]
            return sum(one.log_likelihoods[0] / one.tokens[0] for one in found) / len(found)

        before = mean()
        more = {"source": source, "tokens": "all"} if source == "texts" else {"source": source}
        found = fitted("task-vector", tiny, task, steps=6, **more)
        with found.answering(tiny, Session()):
            assert mean() < before - 0.05

    def test_of_several_strengths_none_is_taken_where_none_helps(self, tiny, toy_task):
        found = fitted("task-vector", tiny, toy_task(clusters=6), rate=1e-6, strengths=(1.0, 0.5))
        assert found.change is None and found.record["chosen"] is None
        assert [one["strength"] for one in found.record["candidates"]] == [0.5, 1]
        assert all(one["drift"] < 1e-3 for one in found.record["candidates"])

    def test_every_strength_is_asked_with_its_own_weights_and_the_chosen_one_is_taken(
        self, tiny, toy_task, monkeypatch
    ):
        asked = []

        def choose(examine, task, grid, goal, **_):
            asked.extend(examine([task.limited(2)], place)[0].log_likelihoods.tolist() for place in (0, *grid))
            return search.Choice(grid[-1], [search.Candidate(place) for place in (0, *grid)], 0.0)

        monkeypatch.setattr(chosen_change, "choose_count", choose)
        found = fitted("task-vector", tiny, toy_task(clusters=6), strengths=(0.5, 1.0))
        assert found.change.strength == 1 and len(asked) == 3
        assert asked[0] != asked[1] != asked[2] != asked[0]

    def test_items_without_a_biased_answer_are_refused(self, toy_task):
        kind, task = METHODS["task-vector"], toy_task(clusters=2)
        bare = replace(task, items=tuple(replace(item, target=None) for item in task.items))
        with pytest.raises(SettingsError, match="has a biased answer"):
            kind(kind.Settings()).expected_questions(bare)
        with pytest.raises(ValueError, match="greater than 0"):
            kind.Settings(strengths="0,1")
        assert kind.Settings(strengths="1, 0.5").strengths == (1.0, 0.5)


class TestPartitionedUnlearning:
    def test_few_partitions_move_and_they_are_counted(self, tiny, toy_task):
        own = weights(tiny)
        found = fitted("pcgu", tiny, toy_task(clusters=4), steps=1)
        assert found.record["partitions_moved"] == 30 < found.record["partitions"]
        rows = numbers = 0
        for name, value in found.adapter.values.items():
            differs = value != own[name]
            rows += int(differs.any(-1).sum()) if value.dim() > 1 else 1
            numbers += int(differs.sum())
        assert rows == 30 and numbers == found.cost.numbers

    def test_the_biased_answer_becomes_less_likely_against_the_right_one(self, tiny, toy_task):
        task = toy_task(clusters=4, instructions=1)

        def apart() -> float:
            found = {index: answer for batch in tiny(task.questions()) for index, answer in batch}
            return sum(
                found[place].log_likelihoods[item.target] - found[place].log_likelihoods[item.gold]
                for place, item in enumerate(task.items)
            ) / len(task.items)  # fmt: skip

        before = apart()
        found = fitted("pcgu", tiny, task, steps=5, update="both", pairs_a_step=8, chosen_by=20)
        assert (found.record["pairs"], found.record["chosen_by"]) == (12, 4)  # one template of four chooses
        with found.answering(tiny, Session()):
            assert apart() < before - 0.1

    def test_the_papers_settings_are_the_released_codes(self):
        kind = METHODS["pcgu"]
        theirs = kind(kind.Settings(preset="paper")).settings
        assert (theirs.partitions, theirs.rate, theirs.pairs_a_step, theirs.update) == (
            10_000,
            1e-5,
            16,
            "lower-target",
        )

    def test_whole_texts_are_pairs_too(self, tiny, crows_pairs):
        task = load_task("crows_pairs", data_folder=crows_pairs)
        found = fitted("pcgu", tiny, task)
        session = Session()
        before = session.ask(task, session.answerer(tiny)).log_likelihoods
        with found.answering(tiny, session) as answerer:
            assert abs(session.ask(task, answerer).log_likelihoods - before).max() > 1e-4
        assert found.record["pairs"] == len(task.items)
