"""`--harness`: tasks of lm-evaluation-harness beside everything else, in the same rows, and resumed alike."""

import math

import pytest

from biasectomy import load
from biasectomy.commands import compare, evaluate, fitting, mitigate
from biasectomy.commands.settings_base import settable
from biasectomy.commands.settings_measuring import CompareSettings, EvaluateSettings, MitigateSettings
from biasectomy.commands.settings_neurons import FindSettings
from biasectomy.errors import RunError, SettingsError, SourceError, Stopped, UnknownNameError
from biasectomy.files import read_json
from biasectomy.measuring import harness
from biasectomy.measuring.results import Results
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from tests.commands.cases import lines_of
from tests.measuring.harness_tasks import by_the_harness_itself, write_tasks

EDIT = NeuronSet(tuple(Neuron("model.layers.1.mlp.gate_proj", unit, 0.0) for unit in range(30)))
CHOICE, TEXT = "harness:toy_choice", "harness:toy_text"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (extra 'harness')")
    return write_tasks(tmp_path_factory.mktemp("harness"))


@pytest.fixture
def calls(monkeypatch):
    """What the harness is really asked: the task's name each time."""
    asked, results = [], harness._results
    monkeypatch.setattr(harness, "_results", lambda *given: asked.append(given[0].name) or results(*given))
    return asked


def test_evaluate_puts_the_harness_beside_the_tasks_as_it_is_and_edited(case, tasks, tiny_folder, tmp_path):
    settings = case.settings(
        EvaluateSettings, harness="toy_choice,toy_text", harness_path=tasks, out=tmp_path / "run", max_items=4
    )
    model = load(str(tiny_folder))
    outcome = evaluate.run(settings, model, neurons=EDIT)
    results = outcome.results
    with model.edited(EDIT):
        expected = by_the_harness_itself(model, tasks, "toy_choice", seed=11)["results"]["toy_choice"]
    before = by_the_harness_itself(model, tasks, "toy_choice", seed=11)["results"]["toy_choice"]
    for figure in ("acc", "acc_norm", "brier_score"):
        metric = f"harness_toy_choice_{figure}"
        assert results.find("edited", metric).value == pytest.approx(expected[f"{figure},none"], rel=1e-12)
        assert results.find("original", metric).value == pytest.approx(before[f"{figure},none"], rel=1e-12)
    change = results.find_difference("edited", "original", "harness_toy_choice_acc", task=CHOICE)
    assert change.value == pytest.approx(expected["acc,none"] - before["acc,none"])
    assert change.low < change.value < change.high and change.items == change.clusters == 24
    assert results.description("harness_toy_choice_acc").role == "guard"
    assert math.isnan(results.find("edited", "harness_toy_choice_brier_score").low)
    assert [task.name for task in outcome.tasks][-2:] == [CHOICE, TEXT]
    assert outcome.answers[TEXT]["edited"].judged["harness_toy_text_length"].shape == (1, 1, 24)
    told = [sentence for sentence in results.verdict if "lm-evaluation-harness" in sentence]
    assert len(told) == 2 and told[0].startswith("Acc on toy_choice by lm-evaluation-harness goes from ")

    read = Results.from_json(read_json(tmp_path / "run" / "results.json"))
    assert read.find("edited", "harness_toy_choice_acc") == results.find("edited", "harness_toy_choice_acc")
    assert read.notes[CHOICE].startswith("lm-evaluation-harness ") and "with the chat template" in read.notes[CHOICE]
    (record, _) = read_json(tmp_path / "run" / "record.json")["harness"]
    assert (record["name"], record["prompt"], record["examples"]) == ("toy_choice", "chat", {"toy_choice": 0})
    rows = [row for row in lines_of(tmp_path / "run") if row["task"] == CHOICE]
    assert len(rows) == 2 * 24 and rows[0]["item"] == f"{CHOICE}/0" and len(rows[0]["log_likelihoods"]) == 3
    by_method = [row["harness_toy_choice_acc"] for row in rows if row["method"] == "edited"]
    assert sum(by_method) / 24 == pytest.approx(expected["acc,none"])
    text = outcome.tables()
    assert f"{CHOICE} (all): 24 items, 95 % intervals" in text and "toy_choice, acc (lm-eval)" in text
    assert "2 instructions" in text  # of bbq:age, and not of what the harness asks


def test_methods_that_are_not_in_the_model_are_left_out_with_a_sentence(case, tasks, tmp_path, caplog, calls):
    settings = case.settings(
        MitigateSettings,
        out=tmp_path / "run",
        beside="fair-prompt,always-unknown",
        harness="toy_choice",
        harness_path=tasks,
        harness_limit=10,
    )
    with caplog.at_level("INFO", logger="biasectomy"):
        results = mitigate.run(settings).results
    rows = {row.method: row for row in results.metrics if row.metric == "harness_toy_choice_acc"}
    assert set(rows) == {"original", "crispr", "random-neurons"} and len(rows["random-neurons"].draws) == 2
    assert {(row.method, row.against) for row in results.differences if row.task == CHOICE} == {
        ("crispr", "original"), ("crispr", "random-neurons"),
    }  # fmt: skip
    assert {row.items for row in rows.values()} == {10} and len(calls) == 4
    said = [one for one in caplog.messages if one.startswith("lm-evaluation-harness asks the model alone")]
    assert said == [
        f"lm-evaluation-harness asks the model alone, so it has no figures of {title}"
        for title in ("Fairness instruction", "Always unknown")
    ]
    assert results.notes[CHOICE].endswith("so not under Fairness instruction, Always unknown")
    assert "Not counted: 10 documents of lm-evaluation-harness under every method and draw" in caplog.messages
    assert results.find("fair-prompt", "accuracy") is not None  # which has figures of everything else


def test_a_run_that_was_interrupted_goes_on_with_what_the_harness_found(case, tasks, tmp_path, calls, monkeypatch):
    changes = {"methods": "random-neurons", "harness": "toy_choice,toy_text", "harness_path": tasks}
    whole = case.settings(CompareSettings, out=tmp_path / "whole", **changes)
    expected = compare.run(whole).results
    assert len(calls) == 6  # the original and two draws, two tasks each
    results = harness._results

    def interrupted(*given):
        if len(calls) == 10:
            raise KeyboardInterrupt
        return results(*given)

    monkeypatch.setattr(harness, "_results", interrupted)
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        compare.run(case.settings(CompareSettings, out=out, **changes))
    monkeypatch.setattr(harness, "_results", results)
    before = len(calls)
    found = compare.run(case.settings(CompareSettings, out=out, resume=True, **changes)).results
    assert before == 10 and len(calls) == 12
    assert found.to_json() == expected.to_json()
    for name in ("results.json", "items.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    compare.run(case.settings(CompareSettings, out=out, resume=True, **changes))
    assert len(calls) == 12


def test_a_resumed_run_refuses_other_documents(case, tasks, tmp_path):
    changes = {"harness": "toy_choice", "harness_path": tasks, "max_items": 4}
    case.evaluate(out=tmp_path / "run", **changes)
    rows = (tasks / "long.jsonl").read_text()
    try:
        (tasks / "long.jsonl").write_text(rows.replace("place 3 ", "place 33 "))
        with pytest.raises(RunError, match="cannot be resumed: its harness differs"):
            case.evaluate(out=tmp_path / "run", resume=True, **changes)
    finally:
        (tasks / "long.jsonl").write_text(rows)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"harness": "toy_elsewhere"}, SourceError, "cannot load 'toy_elsewhere' .data set nobody/nothing."),
        ({"harness": "toy_choise"}, UnknownNameError, "did you mean 'toy_choice'"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_loaded(case, tasks, monkeypatch, changes, error, message):
    def loaded(*given):
        raise AssertionError("a model or a task of the library was opened first")

    for module in (fitting, evaluate):
        monkeypatch.setattr(module, "open_in_format", loaded)
        monkeypatch.setattr(module, "open_tasks", loaded)
    with pytest.raises(error, match=message):
        case.evaluate(harness_path=tasks, **changes)
    with pytest.raises(error, match=message):
        case.mitigate(tasks / "out", harness_path=tasks, **changes)


def test_a_limit_or_a_folder_without_tasks_is_refused():
    with pytest.raises(SettingsError, match=r"--harness-limit says something of --harness NAMES, which is missing\."):
        EvaluateSettings.of(harness_limit=3)
    with pytest.raises(SettingsError, match="--harness-path says something of --harness NAMES"):
        MitigateSettings.of(harness_path="folder")
    assert EvaluateSettings.of(harness=" a, b ,a").harness == ("a", "b")
    assert "harness" not in settable(FindSettings)


def test_runs_without_it_are_what_they_were(case, tmp_path, calls):
    case.evaluate(out=tmp_path / "run", max_items=4)
    assert "harness" not in read_json(tmp_path / "run" / "record.json") and not calls
