"""Drift on whole texts: its two figures by hand and against numpy, and how it flows from the model to the results."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biasectomy.commands.evaluate import evaluate
from biasectomy.measuring.results import figures
from biasectomy.measuring.session import Session
from biasectomy.measuring.store import FileStore
from biasectomy.methods import METHODS
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.tasks import Item, Task, load_task
from biasectomy.tasks.drift import DRIFT, DRIFT_99, EDGES, divergence, histogram, mean, percentile, positions
from biasectomy.tasks.metrics import Answers
from biasectomy.tasks.perplexity import WIKITEXT_FILE, whole_text

RESOLUTION = EDGES[1] / EDGES[0] - 1
PARAGRAPHS = (
    "The ferry leaves at seven, and the baker is on it with two baskets of bread for the island.",
    "Snow fell.",
    "A kettle, a map and three apples lay on the table.",
)
TEXT = Task(
    "drift:mine",
    tuple(Item(f"mine/{n}", f"mine/{n}", "drift:mine", options=(text,)) for n, text in enumerate(PARAGRAPHS)),
    ("",),
    (DRIFT, DRIFT_99),
    "1",
    divergence,
)
EDIT = NeuronSet(tuple(Neuron("model.layers.1.mlp.down_proj", unit, 0.0) for unit in range(8)))


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)


def answers_of(*draws: list[list[float]]) -> Answers:
    """Draws of items of positions, under one instruction."""
    width = max(len(item) for draw in draws for item in draw)
    padded = [[[*item, *[np.nan] * (width - len(item))] for item in draw] for draw in draws]
    divergences = np.array(padded)[:, None]
    return Answers(np.full(divergences.shape[:3], -1), divergences=divergences)


def value(metric, answers: Answers) -> float:
    items = [None] * answers.choices.shape[2]
    return float(metric.combine(metric.columns(items, answers)[0].sum(axis=2)))


def test_the_mean_is_over_positions_and_not_over_texts():
    answers = answers_of([[0.1, 0.2, 0.3], [1.0]], [[0.0, 0.0, 0.0], [2.4]])
    columns, eligible = positions([None] * 2, answers)
    assert columns[:, 0].tolist() == [[[pytest.approx(0.6), 3, 1], [1, 1, 1]], [[0, 3, 1], [2.4, 1, 1]]]
    assert eligible.tolist() == [True, True]
    assert value(DRIFT, answers) == pytest.approx((0.6 + 1 + 0 + 2.4) / 8)
    assert value(DRIFT, answers.of_items(np.array([False, True]))) == pytest.approx((1 + 2.4) / 2)


def test_the_percentile_by_hand():
    """Of 0.01, 0.02, ... 1.01 the 99th percentile is the hundredth: 1.00."""
    hundred = [number / 100 for number in range(1, 102)]
    assert value(DRIFT_99, answers_of([hundred[:40], hundred[40:]])) == pytest.approx(1.0, rel=RESOLUTION)
    # A mean hides them: 3 of 100 positions at 5 nats.
    assert value(DRIFT_99, answers_of([[0.0] * 97, [5.0] * 3])) == pytest.approx(5, rel=RESOLUTION)
    assert value(DRIFT_99, answers_of([[0.0] * 100])) == 0 == value(DRIFT_99, answers_of([[1e-9] * 7]))
    assert value(DRIFT_99, answers_of([[500.0]])) == 100  # whatever is further away


@given(st.lists(st.lists(st.floats(1e-6, 99), min_size=1, max_size=60), min_size=1, max_size=8))
def test_the_percentile_is_numpys_within_a_bin(texts):
    expected = np.percentile([one for text in texts for one in text], 99)
    assert value(DRIFT_99, answers_of(texts)) == pytest.approx(expected, rel=RESOLUTION)


@given(st.integers(0, 2**32 - 1))
def test_sums_over_many_resamples_at_once_are_each_their_own(seed):
    generator = np.random.default_rng(seed)
    texts = [list(np.exp(generator.normal(-4, 3, size)).clip(1e-6, 99)) for size in (5, 1, 40)]
    columns, _ = histogram([None] * 3, answers_of(texts))
    counts = generator.integers(1, 4, (6, 3))
    sums = np.einsum("rc,dick->rdik", counts, columns)
    for found, drawn in zip(percentile(sums), counts, strict=True):
        pooled = [one for text, times in zip(texts, drawn, strict=True) for one in text * times]
        assert found == pytest.approx(np.percentile(pooled, 99), rel=RESOLUTION)


def test_nothing_scored_is_undefined():
    answers = Answers(np.full((1, 1, 2), -1))
    with np.errstate(invalid="ignore"):
        assert np.isnan(value(DRIFT, answers)) and np.isnan(value(DRIFT_99, answers))
    assert not positions([None] * 2, answers)[1].any() and not histogram([None] * 2, answers)[1].any()
    assert np.isnan(mean(np.full((1, 1, 3), np.nan)))


def test_ragged_answers_join_and_are_padded_with_nothing():
    joined = Answers.joined([answers_of([[0.5], [0.25]]), answers_of([[0.5, 1.5], [0.75]])])
    assert joined.divergences.shape == (2, 1, 2, 2)
    assert value(DRIFT, joined) == pytest.approx((0.5 + 0.25 + 0.5 + 1.5 + 0.75) / 5)
    beside = Answers.joined([answers_of([[0.5]]), answers_of([[0.5, 1.5]])], axis=2)
    assert value(DRIFT, beside) == pytest.approx(2.5 / 3)


def test_figures_of_an_edit_are_those_of_its_answers(tiny):
    outcome = evaluate(tiny, TEXT, EDIT, replicates=50)
    results = outcome.results
    per_position = outcome.answers["drift:mine"]["edited"].divergences
    every = per_position[~np.isnan(per_position)]
    assert every.size == sum(len(tiny.encode(question).options[0]) for question in TEXT.questions())
    row, high = results.find("edited", "drift"), results.find("edited", "drift_99")
    assert row.value == pytest.approx(every.mean()) and row.value > 0.01 and row.coverage == 1
    assert high.value == pytest.approx(np.percentile(every, 99), rel=RESOLUTION)
    assert row.low <= row.value <= row.high
    assert [results.find("original", name).value for name in ("drift", "drift_99")] == [0, 0]
    assert results.description("drift").unit == "nats"
    assert results.notes["drift:mine"].startswith("3 whole texts, ")
    (sentence,) = [one for one in results.verdict if "rift from the original" in one]
    assert "in nats a token of neutral text behind" in sentence and " rises from 0.0000 to " in sentence


def test_an_edit_that_is_in_force_already_counts_from_the_original(tiny):
    with tiny.edited(EDIT):
        inside = evaluate(tiny, TEXT, replicates=50).results.find("original", "drift").value
    assert inside == evaluate(tiny, TEXT, EDIT, replicates=50).results.find("edited", "drift").value


def test_answers_are_kept_and_found_again(tiny, tmp_path, monkeypatch):
    with tiny.edited(EDIT):
        session = Session(store=FileStore(tmp_path))
        first = session.ask(TEXT, session.answerer(tiny)).divergences
        monkeypatch.setattr(type(tiny), "_divergences", None)
        session = Session(store=FileStore(tmp_path))
        again = session.ask(TEXT, session.answerer(tiny)).divergences
    np.testing.assert_array_equal(first, again)
    # The same texts by perplexity are another question.
    whole = dataclasses.replace(TEXT, form=whole_text)
    with tiny.edited(EDIT):
        assert session.ask(whole, session.answerer(tiny)).log_likelihoods.shape == (1, 1, 3, 1)


def test_answers_of_a_store_from_before_are_still_read(tmp_path):
    """As they were written then: without the field."""
    from biasectomy.measuring import store

    kept, key = FileStore(tmp_path), b"k" * 32
    text = json.dumps({"log_likelihoods": [-1.5], "tokens": [2], "words": [], "texts": []})
    with kept._transaction():
        kept._connection.execute("INSERT INTO answers VALUES (?, ?)", (key, store._written(key, text)))
    answer = kept.find([key])[key]
    assert answer.log_likelihoods == (-1.5,) and answer.divergences == ()


def test_methods_that_reword_questions_drift_by_nothing_and_those_without_a_model_have_none(tiny, monkeypatch):
    monkeypatch.setattr(tiny.model, "forward", None)  # nothing is computed
    session, answers = Session(replicates=50), {}
    for name in ("original", "fair-prompt", "always-unknown", "cc"):
        kind = METHODS[name]
        fitted = kind(kind.Settings()).fit(tiny, TEXT, session)
        with fitted.answering(tiny, session) as answerer:
            answers[name] = session.ask(TEXT, answerer)
    rows, _ = figures(TEXT, "all", answers, [], session.bootstrap)
    found = {(row.method, row.metric): (row.value, row.coverage, row.reason) for row in rows}
    for name in ("original", "fair-prompt", "cc"):
        assert found[name, "drift"][:2] == found[name, "drift_99"][:2] == (0, 1)
    assert np.isnan(found["always-unknown", "drift"][0])
    assert found["always-unknown", "drift_99"][1:] == (0, "no text was scored")


def test_the_texts_are_those_of_perplexity(tmp_path):
    def texts(task: Task) -> list[str]:
        return [item.options[0] for item in task.items]

    assert load_task("drift").name == "drift:packaged"
    assert texts(load_task("drift")) == texts(load_task("perplexity"))
    (tmp_path / WIKITEXT_FILE).parent.mkdir()
    (tmp_path / WIKITEXT_FILE).write_text("a " * 150)
    found = load_task("drift", data_folder=tmp_path)
    assert (found.name, found.items[0].identifier) == ("drift:wikitext2", "drift:wikitext2/0")
    assert texts(found) == texts(load_task("perplexity", data_folder=tmp_path))
    assert load_task("drift:packaged", data_folder=tmp_path).items[0].task == "drift:packaged"


def test_an_interrupted_run_goes_on_to_the_same_result(tiny, tmp_path, monkeypatch):
    tiny.batch_tokens = 30
    compute, calls = type(tiny)._divergences, []

    def interrupted(model, batch):
        calls.append(batch)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return compute(model, batch)

    evaluate(tiny, TEXT, EDIT, out=tmp_path / "whole", replicates=50)
    monkeypatch.setattr(type(tiny), "_divergences", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(tiny, TEXT, EDIT, out=tmp_path / "cut", replicates=50)
    evaluate(tiny, TEXT, EDIT, out=tmp_path / "cut", replicates=50, resume=True)
    assert len(calls) == len({batch.indices for batch in calls}) + 1  # only the batch that was cut is computed twice
    for name in ("results.json", "items.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "cut" / "items.jsonl").read_text().splitlines()]
    assert [row["divergence"] for row in rows[:3]] == [0, 0, 0] and min(row["divergence"] for row in rows[3:]) > 0
    assert [row["positions"] for row in rows[3:]] == [len(tiny.encode(one).options[0]) for one in TEXT.questions()]
