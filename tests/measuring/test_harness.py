"""Tasks of lm-evaluation-harness on the model in memory: the harness's own figures, with intervals, and asked once."""

import functools
import json
import math
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from biasectomy.errors import DataError, ModelError, SettingsError, SourceError, UnknownNameError
from biasectomy.measuring import harness
from biasectomy.measuring.harness import answers_by_itself, load_harness
from biasectomy.measuring.harness_figures import answers_of, note_of, rows_of, task_of
from biasectomy.measuring.results import figures
from biasectomy.measuring.session import Session
from biasectomy.methods.fair_prompt import Reworded
from biasectomy.models.fingerprints import weights_checksum
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading.questions import Answer
from biasectomy.tasks.metrics import Answers, named
from tests.measuring.harness_tasks import by_the_harness_itself, write_tasks

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (extra 'harness')")

EDIT = NeuronSet(tuple(Neuron("model.layers.1.mlp.gate_proj", unit, 0.0) for unit in range(30)))
OF_TEXT = ("length", "even", "vowels", "spread")
# Of each task the figures that the harness has of it.
TASKS = {
    "toy_choice": ("acc,none", "acc_norm,none", "brier_score,none"),
    "toy_shots": ("acc,none", "acc_norm,none", "brier_score,none"),
    "toy_text": tuple(f"{name},none" for name in OF_TEXT),
    "toy_filtered": ("exact_match,as-it-is", "exact_match,first-a"),
    "toy_rolling": ("word_perplexity,none",),
    "toy_group": ("acc,none", "acc_norm,none"),
}
SEED = 3
OWN = {"brier_score", "spread", "word_perplexity"}  # which are no means over documents


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("harness"))


@pytest.fixture(scope="module", params=["chat", "plain"])
def model(request, tiny_folder):
    return load(str(tiny_folder), prompt=request.param)


def fresh(folder, name="toy_choice", limit=None):
    (task,) = load_harness([name], folder, limit, SEED)
    return task


loaded = functools.cache(fresh)  # a group takes seconds, since the harness lists all of its own tasks then


def measured(task, found):
    """Rows of the figures of two methods and their differences."""
    given = task_of(task, found)
    session = Session()
    answers = {name: answers_of(task, given, each) for name, each in zip(("original", "edited"), found, strict=True)}
    return figures(given, "all", answers, [("edited", "original")], session.bootstrap)


@pytest.mark.parametrize("name", TASKS)
def test_the_figures_are_those_of_the_harness_on_the_same_edited_model(model, folder, name):
    task, session = loaded(folder, name), Session(seed=SEED)
    found = [task.ask(model, session)]
    with model.edited(EDIT):
        found.append(task.ask(model, session))
        expected = by_the_harness_itself(model, folder, name, seed=SEED)["results"][name]
    before = by_the_harness_itself(model, folder, name, seed=SEED)["results"][name]
    rows, differences = measured(task, found)
    values = {(row.method, row.metric): row.value for row in rows}
    assert len(values) == 2 * len(TASKS[name])
    for figure in TASKS[name]:
        metric = f"harness_{name}_{figure.removesuffix(',none')}"
        assert found[1]["figures"][figure]["value"] == expected[figure]
        assert values["edited", metric] == pytest.approx(expected[figure], rel=1e-12)
        assert values["original", metric] == pytest.approx(before[figure], rel=1e-12)
        change = next(row for row in differences if row.metric == metric)
        assert change.value == pytest.approx(expected[figure] - before[figure], rel=1e-9, abs=1e-12)
    assert found[0]["members"] != found[1]["members"], "choose another edit: this one is to be seen"


def test_a_mean_over_documents_has_an_interval_and_what_is_none_says_why_it_has_not(model, folder):
    for name in ("toy_choice", "toy_text", "toy_rolling"):
        task = loaded(folder, name)
        with model.edited(EDIT):
            edited = task.ask(model, Session())
        found = [task.ask(model, Session()), edited]
        rows, differences = measured(task, found)
        for row in [*rows, *differences]:
            own = any(row.metric.endswith(one) for one in OWN)
            assert (row.items, row.clusters) == (24, 24)
            if own:
                assert math.isnan(row.low) and math.isnan(row.high)
                assert row.reason.startswith("no interval: it is lm-evaluation-harness's own value, and no mean")
            elif row.value:
                assert row.low <= row.value <= row.high and row.low < row.high
        metrics = task_of(task, found).metrics
        assert [metric.role for metric in metrics] == ["guard"] + [None] * (len(metrics) - 1)


def test_an_interval_is_the_librarys_own_with_documents_as_clusters(tiny, folder):
    """Against a bootstrap that is written out: of 24 documents, each with one value."""
    task = loaded(folder, "toy_text")
    found = task.ask(tiny, Session())
    values = np.array(found["members"]["toy_text"]["values"]["length,none"])
    row = next(row for row in measured(task, [found, found])[0] if row.metric == "harness_toy_text_length")
    counts = np.random.default_rng(0).multinomial(24, np.full(24, 1 / 24), size=2000)
    # Documents are resampled in the order of their names: toy_text/0, /1, /10, ...
    order = np.argsort([f"harness:toy_text/{place}" for place in range(24)])
    means = counts @ values[order] / 24
    assert row.value == pytest.approx(values.mean())
    plain = np.quantile(means, [0.025, 0.975])
    assert row.low <= plain[0] and plain[1] <= row.high
    assert row.high - row.low == pytest.approx(plain[1] - plain[0], rel=0.12)  # a little wider for 24 documents


def test_a_document_without_a_value_is_not_counted_and_lowers_the_coverage(tiny, folder):
    task = loaded(folder, "toy_text")
    found = task.ask(tiny, Session())
    values = found["members"]["toy_text"]["values"]["even,none"]
    assert [place for place, value in enumerate(values) if value is None] == [0, 4, 8, 12, 16, 20]
    row = next(row for row in measured(task, [found, found])[0] if row.metric == "harness_toy_text_even")
    assert row.coverage == 0.75 and row.value == np.mean([value for value in values if value is not None])
    assert row.value == found["figures"]["even,none"]["value"]
    items = {
        one["item"]: one for one in rows_of(task, task_of(task, [found]), found, {"method": "original", "draw": 0})
    }
    assert items["harness:toy_text/4"]["harness_toy_text_even"] is None
    assert items["harness:toy_text/5"]["harness_toy_text_even"] == values[5]
    assert "harness_toy_text_spread" not in items["harness:toy_text/5"]  # which is of all documents
    assert items["harness:toy_text/5"]["texts"] == found["members"]["toy_text"]["answers"][5]


def test_members_of_a_group_count_by_size_or_alike_as_the_group_says(tiny, folder):
    task = loaded(folder, "toy_group")
    found = task.ask(tiny, Session())
    by_member = {name: one["values"] for name, one in found["members"].items()}
    assert {name: len(one["acc,none"]) for name, one in by_member.items()} == {"toy_choice": 24, "toy_short": 7}
    rows = {row.metric: row for row in measured(task, [found, found])[0]}
    pooled = [value for one in by_member.values() for value in one["acc,none"]]
    alike = [np.mean(one["acc_norm,none"]) for one in by_member.values()]
    assert rows["harness_toy_group_acc"].value == pytest.approx(np.mean(pooled))
    assert rows["harness_toy_group_acc_norm"].value == pytest.approx(np.mean(alike))
    assert np.mean(alike) != pytest.approx(np.mean([v for one in by_member.values() for v in one["acc_norm,none"]]))
    assert rows["harness_toy_group_acc_norm"].coverage == pytest.approx(1)


def made(values, *, higher=True, name="toy_choice"):
    """What was found of a task, made up: one figure with these values."""
    member = {"values": {"acc,none": values}, "answers": [[0.0]] * len(values)}
    said = {"value": float(np.mean(values)), "mean": True, "by_size": True, "higher": higher, "aggregation": "mean"}
    return {"members": {name: member}, "figures": {"acc,none": said}}


@pytest.mark.parametrize(
    ("values", "higher", "unit", "best"),
    [
        ([0.0, 1.0], True, "share", 1.0),
        ([0.0, 1.0], False, "share", 0.0),
        ([0.0, 0.5], True, "score", 1.0),
        ([12.0, 40.5], True, "score", None),  # such as BLEU: 40 is not nearer to 1 than 12 is
        ([12.0, 40.5], False, "score", 0.0),
        ([-3.0, 0.5], False, "score", None),
        ([0.0, 1.0], None, "share", None),
    ],
)
def test_the_best_value_and_the_unit_follow_from_the_values_and_the_direction(folder, values, higher, unit, best):
    task = loaded(folder, limit=2)
    (metric,) = task_of(task, [made(values, higher=higher)]).metrics
    assert (metric.unit, metric.best) == (unit, best)
    assert metric.title == "toy_choice, acc (lm-eval)" and metric.role == "guard"


def test_a_figure_that_one_method_lacks_is_missing_there_and_kept_elsewhere(folder):
    task = loaded(folder, limit=2)
    there, without = made([0.0, 1.0]), made([0.0, 1.0])
    there["members"]["toy_choice"]["values"]["more,none"] = [1.0, 1.0]
    there["figures"]["more,none"] = there["figures"]["acc,none"] | {"value": 1.0}
    given = task_of(task, [without, there])
    answers = answers_of(task, given, without)
    assert np.isnan(answers.judged["harness_toy_choice_more"]).all()
    assert answers_of(task, given, there).judged["harness_toy_choice_more"].tolist() == [[[1, 1]]]
    assert isinstance(Answers.joined([answers, answers_of(task, given, there)]), Answers)
    assert named(given.metrics, "harness_toy_choice_more").role is None


def test_the_first_documents_are_asked_up_to_the_limit(tiny, folder):
    task = loaded(folder, limit=5)
    found = task.ask(tiny, Session())
    assert task.documents == {"toy_choice": 5} and len(found["members"]["toy_choice"]["answers"]) == 5
    expected = by_the_harness_itself(tiny, folder, "toy_choice", seed=SEED, limit=5)["results"]["toy_choice"]
    assert found["figures"]["acc,none"]["value"] == expected["acc,none"]
    assert note_of(task, "chat").endswith(" 5 documents (the first 5), 0 examples, with the chat template")
    assert note_of(loaded(folder, "toy_shots"), "plain").endswith(" 7 documents, 2 examples, without a chat template")


def test_what_was_found_is_not_asked_again_unless_something_else_would_be(tiny, folder, tiny_folder, monkeypatch):
    session, calls = Session(), []
    results = harness._results
    monkeypatch.setattr(harness, "_results", lambda *given: calls.append(given[0].name) or results(*given))
    task = loaded(folder)
    first = task.ask(tiny, session)
    assert fresh(folder).ask(tiny, session) == first and len(calls) == 1
    tiny.tokenizer(["short", "a longer text"], padding=True)  # which leaves a mark in the tokenizer
    assert task.ask(load(str(tiny_folder)), session) == first and len(calls) == 1
    loaded(folder, limit=23).ask(tiny, session)
    with tiny.edited(EDIT):
        task.ask(tiny, session)
    task.ask(tiny, Session(store=session.store, seed=1))
    task.ask(load(str(tiny_folder), prompt="plain"), session)
    assert len(calls) == 5
    rows = (folder / "long.jsonl").read_text()
    try:
        (folder / "long.jsonl").write_text(
            rows.replace("Who forgot the keys at place 3 ", "Who kept the keys at place 3 ")
        )
        fresh(folder).ask(tiny, session)
    finally:
        (folder / "long.jsonl").write_text(rows)
    assert len(calls) == 6


def test_a_description_is_alike_in_every_process(folder):
    """Functions in it are known by their source, and not by where a process keeps them or where the folder is."""
    text = json.dumps(loaded(folder, "toy_text").description)
    assert "0x" not in text and str(folder) not in text
    one = harness._as_text({"a": test_a_description_is_alike_in_every_process, "b": {3, 1}, "c": np.float64(2)})
    assert one == '{"a": "test_a_description_is_alike_in_every_process", "b": ["1", "3"], "c": 2.0}'


def test_nothing_is_disturbed(tiny, folder, capsys):
    """Neither weights, tokenizer and random numbers, nor what is printed."""
    tiny.tokenizer.pad_token = None
    before = weights_checksum(tiny.model)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    task = loaded(folder, "toy_text")
    with tiny.edited(EDIT):
        edited = weights_checksum(tiny.model)
        task.ask(tiny, Session())
        assert weights_checksum(tiny.model) == edited != before
    assert weights_checksum(tiny.model) == before and tiny.tokenizer.pad_token is None
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected
    assert capsys.readouterr() == ("", "")


def test_only_answers_of_the_model_itself_come_from_the_model(tiny):
    answerer = Session().answerer(tiny)
    assert answers_by_itself(tiny, tiny) and answers_by_itself(tiny, answerer)
    with tiny.edited(EDIT):
        assert answers_by_itself(tiny, Session().answerer(tiny))
    assert not answers_by_itself(tiny, Reworded(answerer, "Be fair. "))
    assert not answers_by_itself(tiny, lambda questions, wanted=None: iter([[(0, Answer())]]))


def test_a_batch_is_halved_where_memory_is_short(tiny, folder, monkeypatch):
    task, sizes, results = loaded(folder), [], harness._results

    def short(task, model, size, seed):
        sizes.append(size)
        if size > 2:
            raise RuntimeError("CUDA out of memory.")
        return results(task, model, size, seed)

    monkeypatch.setattr(harness, "_results", short)
    found = task.ask(tiny, Session())
    assert sizes == [8, 4, 2] and found["figures"]["acc,none"]["value"] >= 0
    monkeypatch.setattr(harness, "_results", lambda *given: short(*given[:2], 3, given[3]))
    with pytest.raises(ModelError, match="too small even for one document of 'toy_choice'"):
        task.ask(tiny, Session())


def test_what_the_harness_raises_is_one_sentence_that_names_the_task(tiny, folder):
    with pytest.raises(DataError, match=r"^lm-evaluation-harness fails at 'toy_broken': 'nobody' \(KeyError\)\.$"):
        loaded(folder, "toy_broken").ask(tiny, Session())


def test_data_that_are_not_at_hand_are_told_when_the_task_is_loaded(folder):
    message = r"cannot load 'toy_elsewhere' \(data set nobody/nothing\): .*nobody/nothing.*fetched once with the hub"
    with pytest.raises(SourceError, match=message):
        loaded(folder, "toy_elsewhere")


def test_code_that_a_model_writes_is_not_run(folder):
    with pytest.raises(SettingsError, match="'toy_unsafe' runs code that the model writes"):
        loaded(folder, "toy_unsafe")


def test_unknown_names_a_missing_folder_and_a_missing_package_are_told(folder, monkeypatch):
    with pytest.raises(SourceError, match=r"There is no folder '.*nowhere'; --harness-path"):
        loaded(folder / "nowhere")
    with pytest.raises(
        UnknownNameError, match="no task of lm-evaluation-harness named 'arc_eazy'; did you mean 'arc_easy'"
    ):
        load_harness(["toy_choice", "arc_eazy"], folder, None, 0)
    with pytest.raises(SettingsError, match=r"^There is no task .* named '\?\?'; 'lm-eval ls tasks' lists them\.$"):
        raise harness._unknown("??", ["arc_easy", "hellaswag"])
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(SettingsError, match=r"needs the package lm-eval: pip install 'biasectomy\[harness\]'"):
        fresh(folder)


def test_a_group_without_a_figure_of_its_own_stands_for_its_tasks(folder, tmp_path):
    (folder / "loose.yaml").write_text("group: toy_loose\ntask: [toy_choice, toy_short]\n")
    try:
        tasks = load_harness(["toy_loose", "toy_short"], folder, None, 0)
    finally:
        (folder / "loose.yaml").unlink()
    assert [task.name for task in tasks] == ["toy_choice", "toy_short"] and not any(task.groups for task in tasks)
