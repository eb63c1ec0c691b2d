"""Fine-tuning on CrowS-Pairs: what is asked and learned, what the loss counts, and what is left when it is gone."""

import json

import pytest
import torch

from biasectomy.errors import SettingsError, SourceError
from biasectomy.learning import neutral
from biasectomy.learning.full_weights import FullWeights
from biasectomy.learning.instruction_pairs import (
    AUTHORS_GAP,
    GAP,
    answer_loss,
    as_instructions,
    authors_gap,
    gap,
)
from biasectomy.learning.setting_up import training_of
from biasectomy.learning.settings import TrainingSettings
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS
from biasectomy.models.language_model import load
from biasectomy.tasks import load_task
from tests.methods.test_families import opened

Method = METHODS["finetune-crows-pairs"]
QUICK = {"epochs": 2, "items_a_step": 3, "judged_every": 2, "perplexity": 1e9}
KINDS = {"peft": {"rate": 0.05, "rank": 2}, "full": {"rate": 1e-2}, "frozen-layers": {"rate": 1e-2, "blocks": 1}}
TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])


@pytest.fixture(autouse=True)
def few_texts_and_pairs(monkeypatch, crows_pairs):
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)
    monkeypatch.setenv("BIASECTOMY_DATA", str(crows_pairs))


def fitted(model, task, session=None, **settings):
    return Method(Method.Settings(**(QUICK | settings))).fit(model, task, session or Session(drift=1e9))


def logits(model):
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


@pytest.mark.parametrize(
    "more, less, shown, answer",
    [
        ("The poor cook.", "The rich cook.", f"The {GAP} cook.", "rich"),
        ("A poor man met a girl.", "A rich man met a boy.", f"A {GAP}", "rich man met a boy."),
        ("The very poor cook.", "The cook.", f"{GAP} cook.", "The"),  # only left out: the word beside
        ("Cook.", "The cook ate.", GAP, "The cook ate."),
        ("Poor cook", "cook", GAP, "cook"),
        ("a a a", "a a", f"a {GAP}", "a"),
        ("Same words.", "Same  words.", "Same  words.", ""),
    ],
)
def test_a_gap_with_its_answer_is_the_less_stereotypical_sentence(more, less, shown, answer):
    assert gap(more, less) == (shown, answer)
    assert shown.replace(GAP, answer).split() == less.split()


def test_every_gap_of_the_real_pairs_gives_the_sentence_back(shared_data):
    pairs = load_task("crows_pairs", data_folder=shared_data).items
    for pair in pairs:
        shown, answer = gap(pair.options[pair.target], pair.options[pair.gold])
        assert shown.replace(GAP, answer).split() == pair.options[pair.gold].split()
    filled, turned = (as_instructions(pairs, "fill", authors=authors).items for authors in (False, True))
    assert len(pairs) == 1508 and len(filled) > 1500 and len(turned) > 1500


def test_the_authors_take_out_all_words_that_differ_with_one_gap():
    more, less = "A poor man met a girl today.", "A rich man met a boy today."
    assert authors_gap(more, less) == (f"A {AUTHORS_GAP} man met a today.", "rich boy")
    assert authors_gap("A man.", "A rich man.") == ("A man.", "rich")  # nothing is taken out, so there is no gap


def test_only_the_authors_settings_turn_antistereo_pairs_round(crows_pairs):
    """`sent_more` is the more stereotypical sentence in every row, so "rich" is what is to be written."""
    pairs = load_task("crows_pairs").items
    marked = [pair.labels["direction"] == "antistereo" for pair in pairs]
    assert sum(marked) == 2
    for form in ("rewrite", "fill"):
        ours = as_instructions(pairs, form, authors=False)
        theirs = as_instructions(pairs, form, authors=True)
        assert all("rich" in item.options[0] for item in ours.items)
        assert ["poor" in item.options[0] for item in theirs.items] == marked
    assert ours.question(ours.instructions[0], ours.items[0]).text.endswith(f"Sentence: The {GAP} cook met 0 friends.")
    question = theirs.question(theirs.instructions[0], theirs.items[0])
    assert question.plain and question.text == "Fill in the following sentence. The [BLANK] cook met 0 friends."


@pytest.mark.parametrize("form", ["rewrite", "fill"])
@pytest.mark.parametrize("name", ["llama", "t5", "bart"])
def test_labels_are_the_answer_behind_the_whole_prompt_as_the_models_own_loss_has_them(name, form):
    model = opened(name)
    task = as_instructions(load_task("crows_pairs").items, form, authors=False)
    weights = FullWeights(model)
    settings = TrainingSettings(items_a_step=4, drift_weight=0)
    training = training_of(settings, model, task, Session(), weights.in_force, weights.values, answer_loss)
    found = float(training._gradients(1)[0])
    instruction, items = training.batches.at(1)
    model.model.requires_grad_(True)
    losses = []
    for item in items:
        encoded = model.encode(task.question(instruction, item))
        prompt, answer = torch.tensor([encoded.prompt]), torch.tensor([encoded.options[0]])
        if name == "llama":
            labels = torch.cat([torch.full_like(prompt, -100), answer], dim=1)
            losses.append(model.model(input_ids=torch.cat([prompt, answer], dim=1), labels=labels).loss)
        else:
            losses.append(model.model(input_ids=prompt, labels=answer).loss)
    expected = torch.stack(losses).mean()
    assert found == pytest.approx(float(expected.detach()), rel=1e-4)
    expected.backward()
    for (path, own), value in zip(model.model.named_parameters(), weights.values, strict=True):
        if own.grad is not None:
            torch.testing.assert_close(value.grad, own.grad, rtol=1e-3, atol=1e-5, msg=path)


@pytest.mark.parametrize("kind", KINDS)
class TestEachKind:
    def test_it_is_in_force_for_a_block_and_the_model_is_back_bit_for_bit(self, tiny, toy_task, kind):
        before = {name: one.clone() for name, one in tiny.model.state_dict().items()}
        plain, key = logits(tiny.model), tiny.key
        found = fitted(tiny, toy_task(), kind=kind, **KINDS[kind])
        with found.answering(tiny, Session()):
            changed = logits(tiny.model)
            assert tiny.key != key
            with tiny.unedited():
                assert torch.equal(logits(tiny.model), plain) and tiny.key == key
            assert torch.equal(logits(tiny.model), changed)
        assert (changed - plain).abs().max() > 1e-3
        after = tiny.model.state_dict()
        assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
        assert json.loads(json.dumps(found.record)) == found.record and found.record["kind"] == kind

    def test_its_checkpoint_answers_as_it_does(self, tiny, toy_task, tmp_path, kind):
        found = fitted(tiny, toy_task(), kind=kind, **KINDS[kind])
        with found.answering(tiny, Session()):
            expected = logits(tiny.model)
        assert found.save(tiny, tmp_path / "model") < 1e-4
        torch.testing.assert_close(logits(load(str(tmp_path / "model")).model), expected, rtol=1e-4, atol=1e-4)


def test_only_the_last_blocks_change_where_the_others_are_frozen(tiny, toy_task):
    found = fitted(tiny, toy_task(), kind="frozen-layers", **KINDS["frozen-layers"])
    assert {name.split(".")[2] for name in found.adapter.values} == {"1"}
    assert found.cost.numbers == sum(one.numel() for one in found.adapter.values.values())


def test_it_goes_no_further_than_the_budget_and_says_that_nothing_was_learned(tiny, toy_task, caplog):
    plain = logits(tiny.model)
    found = fitted(tiny, toy_task(), Session(drift=0.0), kind="full", rate=0.1)
    assert found.record["steps_kept"] == 0 < found.record["steps_taken"] and "Nothing was learned" in caplog.text
    with found.answering(tiny, Session()):
        assert torch.equal(logits(tiny.model), plain)


def test_two_runs_are_one_and_another_seed_is_not(tiny, toy_task):
    one, same, other = (fitted(tiny, toy_task(), Session(drift=1e9, seed=seed), kind="full") for seed in (0, 0, 1))
    assert one.adapter.key == same.adapter.key != other.adapter.key


def test_it_warns_of_training_data_but_learns_development_pairs_alone_where_they_are_the_task(tiny, toy_task, caplog):
    fitted(tiny, toy_task(), **KINDS["peft"])
    assert "figures of crows_pairs beside it are of data it was trained on" in caplog.text
    caplog.clear()
    task = load_task("crows_pairs").limited(6)
    found = fitted(tiny, task, **KINDS["peft"])
    assert found.record["learned_from"] == 5 and "data it was trained on" not in caplog.text  # one of six is kept back


def test_the_authors_settings_are_theirs_as_a_whole_but_for_what_is_set_beside_them():
    method = Method(Method.Settings(preset="paper", epochs=2))
    rewrite, fill = method._settings("rewrite"), method._settings("fill")
    assert (rewrite.kind, rewrite.rate, rewrite.items_a_step, rewrite.epochs) == ("full", 1e-2, 64, 2)
    assert (fill.rate, fill.items_a_step, fill.drift_weight) == (3e-5, 40, 0)
    assert Method(Method.Settings(preset="paper"))._settings("rewrite").epochs == 75


def test_the_authors_settings_are_followed_to_the_end(tiny, toy_task, caplog):
    found = fitted(tiny, toy_task(), Session(), preset="paper", form="fill", items_a_step=3)
    assert found.record["steps_kept"] == found.record["steps_taken"] == 6  # two epochs of nine pairs, none kept back
    assert "turned round" in caplog.text


def test_what_cannot_work_is_refused_in_a_sentence(tiny, toy_task, monkeypatch, tmp_path):
    with pytest.raises(SettingsError, match="freezes none; fewer would be right"):
        fitted(tiny, toy_task(), kind="frozen-layers", blocks=2)
    with pytest.raises(SettingsError, match="use dtype auto"):
        fitted(tiny, toy_task(), kind="full", dtype="bfloat16")
    with pytest.raises(SourceError, match="There is no data folder"):
        Method(Method.Settings(data=str(tmp_path / "none"))).expected_questions(toy_task())
