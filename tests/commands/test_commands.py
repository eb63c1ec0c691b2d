"""The commands from end to end on a tiny Llama and a small data folder in BBQ's format."""

import contextlib
import errno
import io
import itertools
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from biasectomy.cli.console import Console
from biasectomy.commands import apply, find, mitigate
from biasectomy.commands.compare import compare
from biasectomy.commands.settings_measuring import EvaluateSettings, MitigateSettings
from biasectomy.commands.settings_neurons import ApplySettings, FindSettings
from biasectomy.errors import BiasectomyError, DataError, NeuronSetError, RunError, SettingsError, UnknownNameError
from biasectomy.files import read_json
from biasectomy.measuring.results import Results
from biasectomy.methods import METHODS as METHODS_BY_NAME
from biasectomy.methods.fair_prompt import FairPrompt
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import watching
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.report.figures import format_figure
from biasectomy.report.finished import FinishedRun
from biasectomy.report.page import render_page
from biasectomy.run_files import ADAPTER, EARLIER, JUDGED, KNOWN, REPLAY
from biasectomy.tasks import load_task
from tests.commands.cases import (
    COMPARED,
    Case,
    chosen_in,
    differing,
    lines_of,
    opened,
    write_bbq,
)
from tests.conftest import save_tiny, score_in_rows

PAGE = {"report.html", "pictures"}  # not drawn in the runs of tests


# What a run leaves


def test_every_file_of_a_run_is_there_and_nothing_else(finished):
    assert {path.name for path in finished.iterdir()} == KNOWN - EARLIER - {ADAPTER, JUDGED, REPLAY} - PAGE
    crispr = finished / "methods" / "crispr"
    assert {path.name for path in crispr.iterdir()} == {
        "attribution", "described.json", "neurons.json", "ranking.json", "scores.safetensors",
    }  # fmt: skip
    assert len(list((crispr / "attribution").iterdir())) == 4  # 2 trials x 2 instructions
    assert (crispr / "neurons.json").read_bytes() == (finished / "neurons.json").read_bytes()
    assert read_json(finished / "record.json")["status"] == "finished"


def test_the_checkpoint_loads_plainly_and_answers_as_the_edited_model(finished, case, tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(finished / "model")
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    chosen = NeuronSet.load(finished / "neurons.json")
    task = opened(case).test
    kept = {
        (line["item"], line["instruction"]): line
        for line in lines_of(finished)
        if line["method"] == "crispr" and line["split"] == "test"
    }
    for item in task.items[:12]:
        encoded = tiny.encode(task.question(task.instructions[0], item))
        with torch.inference_mode():
            saved = score_in_rows(model, encoded).log_likelihoods
            original = score_in_rows(tiny.model, encoded).log_likelihoods
            with tiny.edited(chosen):
                edited = score_in_rows(tiny.model, encoded).log_likelihoods
        assert saved == pytest.approx(edited, abs=1e-4) and saved != pytest.approx(original, abs=1e-2)
        assert kept[item.identifier, 0]["options"] == list(item.options)
        assert saved == pytest.approx(kept[item.identifier, 0]["log_likelihoods"], abs=1e-4)
    assert tokenizer("Who?")["input_ids"] == tiny.tokenizer("Who?")["input_ids"]


def test_each_number_in_the_search_was_tried_with_so_many_neurons(finished, case, tiny):
    ranking = NeuronSet.load(finished / "methods/crispr/ranking.json")
    task = opened(case).development
    items = {item.identifier: item for item in task.items}
    tried = {line["neurons"]: line for line in lines_of(finished) if line["split"] == "development"}
    assert set(tried) == {0, 2, 10, 40}
    for count, line in tried.items():
        encoded = tiny.encode(task.question(task.instructions[line["instruction"]], items[line["item"]]))
        with torch.inference_mode(), tiny.edited(ranking.top(count)):
            assert line["log_likelihoods"] == pytest.approx(
                score_in_rows(tiny.model, encoded).log_likelihoods, abs=1e-4
            )
    scores = [neuron.score for neuron in ranking]
    assert scores == sorted(scores, reverse=True) and len(ranking) == 40


def test_results_have_every_method_with_intervals_and_differences(finished):
    results = Results.from_json(read_json(finished / "results.json"))
    for method in ("original", "crispr", "random-neurons"):
        for metric in ("accuracy", "accuracy_ambiguous", "unknown_disambiguated", "bias_ambiguous", "perplexity"):
            row = results.find(method, metric)
            assert row is not None and row.low <= row.value <= row.high, (method, metric)
    for against in ("original", "random-neurons"):
        assert results.find_difference("crispr", against, "accuracy").low is not None
        assert results.find_difference("crispr", against, "perplexity") is not None
    assert results.verdict[0].startswith(
        f"With {read_json(finished / 'record.json')['methods']['crispr']['chosen']} of 288 neurons edited"
    )
    assert results.interval == {
        "kind": "cluster bootstrap, expanded percentile", "level": 0.95, "replicates": 100, "seed": 11,
    }  # fmt: skip
    assert "out" not in results.settings and results.settings["crispr"]["grid"] == [0, 2, 10, 40]


def test_figures_can_be_made_again_from_the_lines_of_items(finished):
    lines = [line for line in lines_of(finished) if line["split"] == "test"]
    results = Results.from_json(read_json(finished / "results.json"))
    for method in ("original", "crispr", "random-neurons"):
        right = [line["answer"] == line["gold"] for line in lines if line["method"] == method]
        assert results.find(method, "accuracy").value == pytest.approx(np.mean(right))
    assert {line["draw"] for line in lines if line["method"] == "random-neurons"} == {0, 1}


def test_the_record_says_what_went_where_and_with_what(finished, case, tiny_folder):
    record = read_json(finished / "record.json")
    development, test = record["split"]["development"], record["split"]["test"]
    assert record["items"] == {"development": len(development), "test": len(test)} == {"development": 24, "test": 40}
    task = load_task("bbq:age", data_folder=case.values["data"])
    clusters = {item.identifier: item.cluster for item in task.items}
    assert sorted(development + test) == sorted(clusters)
    assert {clusters[name] for name in development}.isdisjoint({clusters[name] for name in test})
    by_split = {(line["item"], line["split"]) for line in lines_of(finished) if line["task"] == "bbq:age"}
    assert by_split == {(name, "development") for name in development} | {(name, "test") for name in test}
    assert [candidate["n"] for candidate in record["methods"]["crispr"]["search"]] == [0, 2, 10, 40]
    assert record["methods"]["crispr"]["chosen"] == len(NeuronSet.load(finished / "neurons.json"))
    places = record["methods"]["crispr"].get("places", [])
    assert sum(sum(one["neurons"]) for one in places) == record["methods"]["crispr"]["chosen"]
    assert set(record["model_checksums"]) == {"model.safetensors", "config.json"}
    assert record["tasks"][0]["sources"][0]["file"] == "bbq/Age.jsonl"
    assert record["versions"]["torch"] and record["peak_memory_bytes"] > 0 and record["reload_difference"] <= 1e-4
    expected = {"prepare", "fit original", "fit crispr", "fit random-neurons", "save", "measure", "describe crispr"}
    assert expected == set(record["seconds"])
    assert record["command"].startswith(f"biasectomy mitigate {tiny_folder} --seed 11 ")


def test_neurons_are_found_in_development_items_only(finished):
    chosen, record = NeuronSet.load(finished / "neurons.json"), read_json(finished / "record.json")
    drawn = {name for trial in chosen.found_with["drawn"] for name in trial}
    assert drawn <= set(record["split"]["development"])
    assert chosen.model["fingerprint"] == record["model"]["fingerprint"]


def test_the_report_holds_verdict_perplexity_and_search(finished):
    text = (finished / "report.md").read_text()
    verdict = read_json(finished / "results.json")["verdict"]
    assert all(sentence in text for sentence in verdict)
    assert "| Perplexity (packaged) |" in text and "- development: 24" in text
    for candidate in read_json(finished / "record.json")["methods"]["crispr"]["search"]:
        asked = f"{candidate['items']} x {candidate['instructions']}"
        assert f"| {candidate['n']} | {asked} | {candidate['value']:.3f} |" in text


# The same again, and something else


def test_the_same_command_gives_the_same_files(case, finished, tmp_path):
    case.mitigate(tmp_path / "again", quiet=True)
    assert differing(finished, tmp_path / "again") == []


def test_another_seed_gives_other_files(case, finished, tmp_path):
    case.mitigate(tmp_path / "other", seed=1)
    assert set(COMPARED[:4]) <= set(differing(finished, tmp_path / "other"))


@contextlib.contextmanager
def interrupted(stage: str, at: int = 1) -> Iterator[None]:
    """A block that is interrupted when a stage has gone so far, or when something is said that begins so."""
    count = itertools.count(1)

    def step() -> None:
        if next(count) == at:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def hook(description: str, total: int, unit: str):
        def advance(done: int = 1, note: str | None = None) -> None:
            if description == stage:
                step()

        yield advance

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith(stage):
                step()

    logger, listener = logging.getLogger("biasectomy"), Listener()
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        with watching(hook), pytest.raises(KeyboardInterrupt):
            yield
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("stage", "at"),
    [
        ("Attributing", 3),
        ("Highest scores", 1),
        ("Choosing n", 7),
        ("Wrote", 1),
        ("Scoring", 3),
        ("Scoring", 11),
    ],
)
def test_an_interrupted_run_that_is_resumed_ends_as_if_nothing_had_been(case, finished, tmp_path, stage, at):
    out = tmp_path / "run"
    with interrupted(stage, at):
        case.mitigate(out)
    assert read_json(out / "record.json")["status"] == "interrupted"
    case.mitigate(out, resume=True)
    assert differing(finished, out) == []
    record = read_json(out / "record.json")
    assert record["status"] == "finished" and record["resumed"] and record["reload_difference"] <= 1e-4


def test_a_finished_run_that_is_resumed_computes_nothing(case, finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "run")
    monkeypatch.setattr(LanguageModel, "answer", None)
    monkeypatch.setattr(LanguageModel, "save", None)
    case.mitigate(tmp_path / "run", resume=True)
    assert differing(finished, tmp_path / "run") == []


def test_a_run_that_is_there_is_refused_before_anything_is_loaded(case, finished):
    before = (finished / "record.json").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        case.mitigate(finished, model="/no/such/model")
    assert (finished / "record.json").read_bytes() == before


def test_resume_takes_the_batch_size_from_the_record(case, finished, tmp_path):
    """It may be probed anew to another size, on a machine that is short of memory now."""
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    record = read_json(out / "record.json")
    (out / "record.json").write_text(json.dumps(record | {"batch_tokens": 100}))
    case.mitigate(out, resume=True)
    assert read_json(out / "record.json")["batch_tokens"] == 100


def test_resume_with_other_settings_or_another_model_is_refused(case, finished, tmp_path):
    with pytest.raises(RunError, match=r"crispr was .*'trials': 2.* and is .*'trials': 3"):
        case.mitigate(finished, resume=True, crispr={"trials": 3})
    # The same path, but other weights behind it.
    model = save_tiny(tmp_path / "model")
    out = tmp_path / "run"
    with interrupted("Attributing"):
        case.mitigate(out, model=str(model))
    save_tiny(model, seed=5)
    with pytest.raises(RunError, match="its model differs"):
        case.mitigate(out, model=str(model), resume=True)


def test_two_runs_may_share_a_store(case, finished, tmp_path, monkeypatch):
    store = tmp_path / "store"
    first = case.mitigate(tmp_path / "first", store=store)
    assert not (tmp_path / "first" / "store").exists()
    asked: list[int] = []
    real = LanguageModel.answer

    def counted(model, batch, *others):
        asked.append(len(batch.prompts))
        return real(model, batch, *others)

    monkeypatch.setattr(LanguageModel, "answer", counted)
    second = case.mitigate(tmp_path / "second", store=store)
    probed = sum(asked)
    assert second.to_json()["metrics"] == first.to_json()["metrics"]
    case.mitigate(tmp_path / "third")
    assert probed < 30 < sum(asked) - probed


# The smaller commands


def test_find_apply_and_evaluate_make_the_same_figures_as_each_other(case, finished, tmp_path, tiny):
    out = tmp_path / "sets" / "neurons.json"
    found = find.run(case.settings(FindSettings, out=out, count=40))
    loaded = NeuronSet.load(out)
    assert loaded.neurons == found.neurons and len(loaded) == 40
    assert loaded.neurons == NeuronSet.load(finished / "methods/crispr/ranking.json").neurons
    folder = apply.run(case.settings(ApplySettings, neurons_file=out, count=10, out=tmp_path / "model"))
    ten = tmp_path / "ten.json"
    loaded.top(10).save(ten)
    run = tmp_path / "evaluated"
    with_set = case.evaluate(neurons_file=ten, out=run)
    baked = case.evaluate(model=str(folder))
    plain = case.evaluate()
    assert {row.method for row in plain.metrics} == {"original"} and not plain.differences
    for row in baked.metrics:
        other = with_set.find("edited", row.metric, task=row.task, split=row.split)
        assert other.value == pytest.approx(row.value, rel=1e-4, nan_ok=True), row.metric
    change = with_set.find_difference("edited", "original", "perplexity")
    assert change.value == pytest.approx(
        baked.find("original", "perplexity").value - plain.find("original", "perplexity").value, rel=1e-3
    )
    assert {path.name for path in run.iterdir()} == {
        "record.json", "items.jsonl", "questions.jsonl", "results.json", "report.md", "store", "methods",
    }  # fmt: skip
    assert "10 neurons, by kind" in (run / "report.md").read_text()
    assert read_json(run / "record.json")["status"] == "finished"


def test_a_run_keeps_what_was_asked_and_what_its_first_neurons_are(case, finished):
    asked = {row["item"]: row for row in map(json.loads, (finished / "questions.jsonl").read_text().splitlines())}
    answered = [line for line in lines_of(finished) if line["split"] == "test"]
    assert answered and {line["item"] for line in answered} <= set(asked)
    for line in answered:  # the options are those that were asked, in their order
        assert asked[line["item"]]["options"] == line["options"] and asked[line["item"]]["gold"] == line["gold"]
        assert {"question", "context", "labels", "unknown"} <= set(asked[line["item"]])
    told = read_json(finished / "methods/crispr/described.json")["neurons"]
    neurons = NeuronSet.load(finished / "neurons.json")
    assert [(one["module"], one["unit"]) for one in told] == [(one.module, one.unit) for one in neurons][:12]
    development = set(read_json(finished / "record.json")["split"]["development"])
    assert all(one["most_active"] and {peak["item"] for peak in one["most_active"]} <= development for one in told)
    wordings = read_json(finished / "record.json")["instructions"]["bbq:age"]
    assert len(wordings) == 2 and all(isinstance(one, str) for one in wordings)


def test_the_page_of_a_real_run_shows_its_neurons_and_answers(finished):
    page = render_page(FinishedRun.read(finished), [])
    assert "Writes towards" in page and "Answers that changed" in page and "under each instruction" in page
    assert read_json(finished / "record.json")["instructions"]["bbq:age"][1][:20] in page


def test_evaluate_is_resumed_with_the_same_neurons_only(case, finished, tmp_path):
    neurons, out = tmp_path / "neurons.json", tmp_path / "run"
    ranking = NeuronSet.load(finished / "methods/crispr/ranking.json")
    ranking.top(10).save(neurons)
    settings = {"neurons_file": neurons, "out": out}
    with interrupted("Scoring", 5):
        case.evaluate(**settings)
    resumed = case.evaluate(resume=True, **settings)
    whole = case.evaluate(neurons_file=neurons)
    assert resumed.to_json() == whole.to_json()
    ranking.top(9).save(neurons)
    with pytest.raises(RunError, match="its neurons differs"):
        case.evaluate(resume=True, **settings)


def test_what_was_found_is_shown_on_the_terminal(case, finished):
    stream = io.StringIO()
    console = Console(output=stream, errors=stream, width=1000)  # perplexity of random weights takes room
    with console.listening():
        results = case.evaluate(neurons_file=finished / "neurons.json", max_items=16)
    console.results(results, full=True)
    text = stream.getvalue()
    assert "16 of 64 items (8 ambiguous, 8 disambiguated) from 8 templates, 2 of 10 instructions" in text
    assert "bbq/Age.jsonl differs from the file its authors published" in text
    line = next(line for line in text.splitlines() if line.strip().startswith("Perplexity"))
    for method in ("original", "edited"):
        assert str(format_figure(results.find(method, "perplexity"))) in line
    assert text.count("Metric") == 1 and "bbq:age (all): 16 items" in text


def test_several_tasks_have_figures_each(case):
    results = case.evaluate(task="bbq:age,perplexity", max_items=16, also="none")
    assert list(dict.fromkeys(row.task for row in results.metrics)) == ["bbq:age", "perplexity:packaged"]
    assert results.find("original", "perplexity").items == 16


# Several methods

METHODS = ("original", "always-unknown", "fair-prompt", "crispr", "random-neurons")


@pytest.fixture(scope="session")
def compared(case: Case, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "run"
    case.compare(out, methods=METHODS)
    return out


def test_compare_has_a_row_for_each_method_and_its_difference_to_the_original(compared, finished):
    results = Results.from_json(read_json(compared / "results.json"))
    alone = Results.from_json(read_json(finished / "results.json"))
    for method in METHODS:
        assert results.find(method, "accuracy").value is not None
        if method != "original":
            assert results.find_difference(method, "original", "balanced_accuracy") is not None
    unknown = results.find("always-unknown", "unknown_disambiguated")
    assert unknown.value == 1 == results.find("always-unknown", "accuracy_ambiguous").value
    assert results.find("always-unknown", "accuracy_disambiguated").value == 0
    perplexity = results.find("always-unknown", "perplexity")
    assert np.isnan(perplexity.value) and perplexity.reason
    for metric in ("accuracy", "bias_ambiguous", "perplexity"):
        for method in ("original", "crispr", "random-neurons"):
            assert results.find(method, metric).value == pytest.approx(alone.find(method, metric).value, abs=1e-6)
    sentence = results.find_difference("fair-prompt", "original", "perplexity")
    assert sentence.value == 0  # whole texts are asked as they are
    assert results.find("fair-prompt", "accuracy") != results.find("original", "accuracy")
    assert results.costs["crispr"]["numbers"] == chosen_in(finished) and results.costs["original"]["numbers"] == 0
    assert results.goals == {"bbq:age": "accuracy"} and results.titles["crispr"] == "CRISPR"


def test_compare_keeps_what_each_method_has(compared):
    assert {path.name for path in compared.iterdir()} == {
        "record.json", "items.jsonl", "questions.jsonl", "results.json", "report.md", "store", "methods",
    }  # fmt: skip
    assert {path.name for path in (compared / "methods").iterdir()} == {"crispr"}
    lines = lines_of(compared)
    assert {line["method"] for line in lines if line["split"] == "test"} == set(METHODS)
    assert "| CRISPR |" in (compared / "report.md").read_text()


@pytest.mark.parametrize(("stage", "at"), [("Choosing n", 5), ("Scoring", 4), ("Scoring", 17)])
def test_compare_that_was_interrupted_goes_on_and_ends_alike(case, compared, tmp_path, stage, at):
    out = tmp_path / "run"
    with interrupted(stage, at):
        case.compare(out, methods=METHODS)
    case.compare(out, methods=METHODS, resume=True)
    for name in ("results.json", "items.jsonl", "methods/crispr/neurons.json"):
        assert (out / name).read_bytes() == (compared / name).read_bytes()


class Refusing(FairPrompt):
    """Cannot be fitted to any model."""

    title = "Refusing"

    def fit(self, model, development, session):
        raise SettingsError("this model has no such part")


def test_all_methods_are_those_that_can_be_had(tiny, toy_task, monkeypatch, caplog):
    few = {name: METHODS_BY_NAME[name] for name in ("random-neurons", "crispr", "always-unknown", "original")}
    monkeypatch.setattr(METHODS_BY_NAME, "_entries", few | {"refusing": Refusing})
    caplog.set_level("INFO")
    outcome = compare(tiny, toy_task(), "all", also="none", replicates=50)
    assert list(outcome.fitted) == ["original", "always-unknown", "random-neurons"]
    assert "CRISPR is left out: toy:age has 16 development items, fewer than" in caplog.text
    assert "Refusing is left out: this model has no such part" in caplog.text
    with pytest.raises(SettingsError, match="no such part"):
        compare(tiny, toy_task(), "refusing", also="none", replicates=50)


def test_few_test_items_leave_all_development_items(case, tmp_path):
    case.compare(tmp_path / "all", methods=("always-unknown",))
    case.compare(tmp_path / "few", methods=("always-unknown",), test_items=9)
    whole, few = (read_json(tmp_path / name / "record.json")["split"] for name in ("all", "few"))
    assert few["development"] == whole["development"]
    assert len(few["test"]) == 9 and set(few["test"]) < set(whole["test"])


def test_from_python_without_settings_objects(case, finished, tiny, tmp_path):
    import biasectomy

    options = {name: value for name, value in case.values.items() if name not in ("model", "task", "threads", "method")}
    task = load_task("bbq:age", data_folder=case.values["data"])
    model = biasectomy.load(case.values["model"])
    outcome = biasectomy.mitigate(model, task, method="crispr", **options)
    assert not list(tmp_path.iterdir())
    assert len(outcome.neurons) == chosen_in(finished)
    alone = Results.from_json(read_json(finished / "results.json"))
    for method in ("original", "crispr", "random-neurons"):
        assert outcome.results.find(method, "accuracy").value == alone.find(method, "accuracy").value
    assert "Perplexity" in str(outcome) and "Verdict" in str(outcome)
    choices = outcome.answers["bbq:age"]["crispr"].choices
    with model.edited(outcome.neurons):
        again = biasectomy.evaluate(model, outcome.tasks[0], batch_tokens=400)
    assert (again.answers["bbq:age"]["original"].choices == choices).all()
    with pytest.raises(UnknownNameError, match="did you mean 'crispr'"):
        biasectomy.mitigate(model, task, method="crisper", **options)
    with pytest.raises(SettingsError):
        biasectomy.mitigate(model, task, max_itms=3)


def test_library_calls_are_silent(case, capfd):
    import biasectomy

    biasectomy.evaluate(case.values["model"], load_task("bbq:age", data_folder=case.values["data"]).limited(8, 1))
    assert capfd.readouterr() == ("", "")


def test_a_set_for_a_model_of_another_shape_is_refused(case, finished, tmp_path):
    other = save_tiny(tmp_path / "deeper", layers=3)
    settings = case.settings(
        ApplySettings,
        neurons_file=finished / "methods" / "crispr" / "ranking.json",
        model=str(other),
        out=tmp_path / "out",
    )
    with pytest.raises(NeuronSetError, match="whose num hidden layers is 2; this model's is 3"):
        apply.run(settings)
    with pytest.raises(NeuronSetError, match="num hidden layers"):
        case.evaluate(neurons_file=finished / "methods/crispr/ranking.json", model=str(other))
    assert not (tmp_path / "out").exists()


def test_a_set_from_other_weights_of_the_same_shape_warns(case, finished, tmp_path, caplog):
    other = save_tiny(tmp_path / "sister", seed=7)
    settings = case.settings(
        ApplySettings, neurons_file=finished / "neurons.json", model=str(other), out=tmp_path / "out"
    )
    apply.run(settings)
    assert "found in other weights" in caplog.text and (tmp_path / "out" / "config.json").exists()


def test_find_and_apply_replace_nothing_without_being_told(case, finished, tmp_path):
    existing = tmp_path / "neurons.json"
    existing.write_text("mine")
    for overwrite, said in ((False, "exists; add --overwrite"), (True, "it is no neuron set")):
        with pytest.raises(RunError, match=said):
            find.run(case.settings(FindSettings, out=existing, overwrite=overwrite))
    with pytest.raises(RunError, match="is a folder; --out of 'find' names a file"):
        find.run(case.settings(FindSettings, out=tmp_path))
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.tex").write_text("mine")
    for overwrite, said in ((False, "is not empty"), (True, "not known to be a checkpoint")):
        with pytest.raises(RunError, match=said):
            apply.run(
                case.settings(
                    ApplySettings, neurons_file=finished / "neurons.json", out=tmp_path / "papers", overwrite=overwrite
                )
            )
    assert existing.read_text() == (tmp_path / "papers" / "thesis.tex").read_text() == "mine"


def test_the_forecast_is_of_every_question_that_is_asked(case, tmp_path, caplog):
    caplog.set_level(logging.INFO, "biasectomy")
    case.mitigate(tmp_path / "run", crispr={"racing": False}, **{"random-neurons": {"draws": 9}})
    announced = next(int(text.split()[1].replace(",", "")) for text in caplog.messages if text.startswith("About "))
    assert announced >= len(lines_of(tmp_path / "run"))


def test_the_forecast_counts_how_often_a_method_asks(tiny, toy_task, caplog):
    caplog.set_level(logging.INFO, "biasectomy")
    for methods in ("fair-prompt", "fair-prompt,cc", "fair-prompt,cc,always-unknown"):
        compare(tiny, toy_task(), methods, also="none", replicates=50)
    announced = [int(text.split()[1].replace(",", "")) for text in caplog.messages if text.startswith("About ")]
    answers = announced[0] // 2  # of the original and one other
    assert announced == [2 * answers, 6 * answers, 6 * answers]  # the original, once; cc three times beside its own


# Other settings


def test_where_nothing_is_tried_nothing_is_taken_out(case, tmp_path):
    results = case.mitigate(tmp_path / "run", crispr={"grid": (0,)})
    assert results.verdict[0] == "No number of neurons helped on the development items."
    assert len(NeuronSet.load(tmp_path / "run" / "neurons.json")) == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == KNOWN - EARLIER - {ADAPTER, JUDGED, REPLAY} - PAGE
    for name in ("accuracy", "perplexity"):
        assert results.find("crispr", name).value == results.find("original", name).value
        assert results.find_difference("crispr", "original", name).value == 0
    original, saved = (
        load_file(Path(case.values["model"]) / "model.safetensors"),
        load_file(tmp_path / "run/model/model.safetensors"),
    )
    assert all(torch.equal(original[name], saved[name]) for name in original)
    assert "None: the checkpoint answers as the original does." in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.parametrize("rule", ["mean", "generation"])
def test_the_other_answer_rules(case, finished, tmp_path, rule):
    changes = {"answer_rule": rule, "max_items": 40, "max_instructions": 1, "crispr": {"grid": (0, 10)}}
    results = case.mitigate(tmp_path / "run", also="none", **changes)
    lines = lines_of(tmp_path / "run")
    if rule == "generation":
        assert all("texts" in line for line in lines)
        assert results.find("original", "unmatched").value == np.mean(
            [line["answer"] == -1 for line in lines if line["method"] == "original" and line["split"] == "test"]
        )
    else:
        for line in lines:
            means = [value / count for value, count in zip(line["log_likelihoods"], line["tokens"], strict=True)]
            assert line["answer"] == int(np.argmax(means))
    assert results.find("original", "perplexity") is None


def test_numbers_beyond_the_neurons_of_the_model_are_left_out(case, tmp_path, caplog):
    changes = {"crispr": {"grid": (0, 5, 289)}, "max_items": 32, "random-neurons": {"draws": 0}, "also": "none"}
    case.mitigate(tmp_path / "run", **changes)
    assert "has 288 neurons; numbers of --crispr.grid above that are left out" in caplog.text
    assert [
        candidate["n"] for candidate in read_json(tmp_path / "run" / "record.json")["methods"]["crispr"]["search"]
    ] == [0, 5]


def test_without_controls_nothing_is_compared_with_random_neurons(case, tmp_path):
    changes = {"crispr": {"grid": (0, 40)}, "random-neurons": {"draws": 0}, "max_items": 48, "also": "none"}
    results = case.mitigate(tmp_path / "run", **changes)
    assert {row.method for row in results.metrics} == {"original", "crispr"}
    assert {row.against for row in results.differences} == {"original"}


@pytest.mark.parametrize(
    "changes",
    [
        {"crispr": {"variant": "authors", "clamp_group": 4}},
        {"crispr": {"definition": "ffn-hidden"}},
        {"split": "random"},
    ],
    ids=str,
)
def test_other_ways_of_finding(case, tmp_path, changes):
    crispr = {"grid": (0, 5), **changes.pop("crispr", {})}
    changes |= {"crispr": crispr, "max_items": 32, "random-neurons": {"draws": 1}, "max_instructions": 1}
    case.mitigate(tmp_path / "run", also="none", **changes)
    assert len(NeuronSet.load(tmp_path / "run" / "methods/crispr/ranking.json")) == 5


def test_a_method_that_changes_only_how_a_model_is_asked_has_no_checkpoint(case, tmp_path, caplog):
    results = case.mitigate(tmp_path / "run", method="fair-prompt", max_items=32, also="none")
    assert "there is no checkpoint to write" in caplog.text and not (tmp_path / "run" / "model").exists()
    assert {row.method for row in results.metrics} == {"original", "fair-prompt"}
    assert results.verdict


# Bad input


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"model": "smollm"}, UnknownNameError, "did you mean 'smollm2'"),
        ({"model": "./no/such/model"}, BiasectomyError, "There is no model at './no/such/model'"),
        ({"task": "bbq:agge"}, UnknownNameError, "did you mean 'bbq:age'"),
        ({"method": "crisper"}, UnknownNameError, "did you mean 'crispr'"),
        ({"also": "perplexityy"}, UnknownNameError, "did you mean 'perplexity'"),
        ({"objective": "balance"}, UnknownNameError, "did you mean 'balanced'"),
        ({"method": "random-neurons", "random-neurons": {"draws": 0}}, SettingsError, "draws 0 leaves nothing"),
        ({"answer_rule": "means"}, BiasectomyError, "did you mean 'mean'"),
        ({"max_items": 2}, DataError, "too few to split by template"),
        ({"crispr": {"instances": 25}}, SettingsError, "24 development items, fewer than --crispr.instances 25"),
        ({"data": Path("/no/such/folder")}, BiasectomyError, "no data folder"),
        (
            {"instructions": Path("/no/such/file.txt")},
            BiasectomyError,
            "instructions '/no/such/file.txt' cannot be read",
        ),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_bad_input_is_refused_and_leaves_no_folder(case, tmp_path, changes, kind, said):
    with pytest.raises(kind) as refused:
        case.mitigate(tmp_path / "run", **changes)
    assert said in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_damaged_data_file_is_named_with_its_line(case, tmp_path):
    folder = write_bbq(tmp_path / "data")
    file = folder / "bbq" / "Age.jsonl"
    file.write_text(file.read_text().replace('{"example_id": 4,', '{"example_id": 4', 1))
    with pytest.raises(DataError, match=r"Age\.jsonl, line 5: not valid JSON"):
        case.mitigate(tmp_path / "run", data=folder)


def test_weights_that_are_not_numbers_are_named_by_item(case, tmp_path):
    model = save_tiny(tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BiasectomyError, match=r"[Ii]tem bbq:age/"):
        case.mitigate(tmp_path / "run", model=str(model))
    with pytest.raises(BiasectomyError, match=r"^Item bbq:age/"):
        case.evaluate(model=str(model))


def test_a_disk_that_fills_up_during_the_search_loses_nothing(case, finished, tmp_path, monkeypatch):
    real, calls = os.fsync, itertools.count()

    def fill(descriptor: int) -> None:
        if next(calls) == 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(RunError, match=r"The disk is full: .* is kept"):
        case.mitigate(tmp_path / "run")
    case.mitigate(tmp_path / "run", resume=True)
    assert differing(finished, tmp_path / "run") == []


# The real process


def test_errors_are_one_line_and_code_2(case, finished, tmp_path):
    wrong = [
        (["mitigate", "smollm", "--out", str(tmp_path / "a")], "did you mean 'smollm2'"),
        (["mitigate", "--task", "bbq:agee", "--out", str(tmp_path / "a")], "did you mean 'bbq:age'"),
        (case.words(MitigateSettings, out=finished), "--resume"),
        (
            case.words(MitigateSettings, out=tmp_path / "a", crispr={"instances": 50}),
            "fewer than --crispr.instances 50",
        ),
        (["apply", str(tmp_path / "none.json"), "--out", str(tmp_path / "a")], "There is no file"),
        (case.words(EvaluateSettings, neurons_file=finished / "record.json"), "is not a neuron set"),
    ]
    script = (
        "import json, sys\nfrom biasectomy.cli.app import main\n"
        "for words in json.loads(sys.stdin.read()):\n"
        "    sys.argv = ['biasectomy', *words]\n"
        "    try:\n        main()\n"
        "    except SystemExit as end:\n        sys.stderr.write(f'code {end.code}\\n')\n"
    )
    words = json.dumps([words for words, _ in wrong])
    done = subprocess.run([sys.executable, "-c", script], input=words, capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
    assert len(said) == 2 * len(wrong) and "Traceback" not in done.stderr, done.stderr
    for (_, expected), message, code in zip(wrong, said[::2], said[1::2], strict=True):
        assert message.startswith("Error: ") and expected in message and code == "code 2"


def test_a_task_whose_goal_is_another_than_its_siblings_is_searched_and_judged_by_it(tiny, caplog):
    """Skill has no ambiguous items: its goal is accuracy, from the announcement to the verdict."""
    crispr = {"instances": 4, "trials": 1, "grid": (0, 40), "racing": False}
    options = {"max_items": 40, "max_instructions": 1, "also": "none", "replicates": 50, "seed": 3}
    with caplog.at_level(logging.INFO, "biasectomy"):
        outcome = mitigate.mitigate(
            tiny, "organism:skill", method="crispr", crispr=crispr, random_neurons={"draws": 1}, **options
        )
    assert "accuracy on development items" in caplog.text
    assert outcome.results.goals == {"organism:skill": "accuracy"}
    assert "nothing was measured" not in " ".join(outcome.results.verdict)
    if len(outcome.neurons):
        assert "accuracy on all items" in outcome.results.verdict[0]


def test_a_resumed_run_takes_the_batch_size_from_its_record(case, tmp_path, monkeypatch):
    """What was found by trying may differ the next time, when the memory is fuller."""
    with interrupted("Choosing n", 3):
        case.mitigate(tmp_path / "run", batch_tokens=None)
    record = read_json(tmp_path / "run" / "record.json")
    monkeypatch.setattr("biasectomy.commands.experiment.fitting_batch_tokens", None)  # nothing is tried again
    case.mitigate(tmp_path / "run", batch_tokens=None, resume=True)
    again = read_json(tmp_path / "run" / "record.json")
    assert again["batch_tokens"] == record["batch_tokens"] and again["status"] == "finished"
