"""A run made again from its record, and held against what it was."""

import json
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biasectomy.commands.replay import held_against, replay
from biasectomy.commands.settings_runs import ReplaySettings
from biasectomy.errors import DataError, RunError, SettingsError
from biasectomy.measuring.agreement import APART, CLOSE, DEGREES, EQUAL, INSIDE, agreements, degree_of
from biasectomy.measuring.results import Results
from biasectomy.report.finished import FinishedRun
from tests.cli.conftest import run as run_command  # noqa: F401 -- a fixture

NUMBERS = st.floats(allow_nan=True, allow_infinity=False, width=32)


@pytest.fixture(scope="module")
def again(finished, tmp_path_factory):
    return replay(finished, tmp_path_factory.mktemp("again") / "run")


def copied(folder: Path, place: Path, change=lambda document: None, name: str = "results.json") -> Path:
    """A run as another folder, one document of which is changed; without what it computed with."""
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("store", "model", "items.jsonl"))
    document = json.loads((place / name).read_text())
    change(document)
    (place / name).write_text(json.dumps(document))
    return place


def test_a_run_made_again_is_the_same_to_the_last_digit(again, finished):
    assert again.agrees and again.same_verdict and not again.versions and not again.rests_on
    assert {one.degree for one in again.figures} == {EQUAL}
    (neurons,) = again.neurons
    assert neurons.same and neurons.before > 0 and neurons.method == "crispr"
    for name in ("neurons.json", "results.json"):
        assert (again.folder / name).read_bytes() == (finished / name).read_bytes()
    kept = json.loads((again.folder / "replay.json").read_text())
    assert kept["agrees"] and kept["counts"] == again.counts() and len(kept["figures"]) == len(again.figures)


def test_no_answer_of_the_run_is_used(finished, again):
    record = json.loads((again.folder / "record.json").read_text())
    assert (again.folder / "store").is_dir() and record["resumed"] == []
    assert (again.folder / "store").resolve() != (finished / "store").resolve()


def test_a_changed_figure_a_changed_neuron_and_another_version_are_named(finished, tmp_path):
    def change(document):
        rows = document["metrics"]
        rows[0]["value"] += 1e-7
        wide = next(row for row in rows[1:] if row["low"] is not None and row["high"] > row["value"] + 0.01)
        wide["value"] = (wide["value"] + wide["high"]) / 2
        far = next(row for row in rows if row["metric"] == "perplexity")
        far["value"] = 2 * far["high"]
        document["metrics"] = rows[:-1]

    other = copied(finished, tmp_path / "other", change)
    record = json.loads((other / "record.json").read_text())
    record["versions"]["torch"], record["weights"] = "0.1", "another"
    (other / "record.json").write_text(json.dumps(record))
    neurons = other / "methods" / "crispr" / "neurons.json"
    document = json.loads(neurons.read_text())
    document["neurons"][0]["factor"] = 0.25
    neurons.write_text(json.dumps(document))
    found = held_against(FinishedRun.read(finished), FinishedRun.read(other))
    counts = found.counts()
    assert counts[CLOSE] == 1 and counts[INSIDE] == 1 and counts[APART] == 2 and not found.agrees
    assert [one.lacking for one in found.apart] == [False, True]
    assert found.versions["torch"][1] == "0.1" and found.rests_on == ["weights"]
    assert not found.neurons[0].same and found.neurons[0].factors == 0.25
    assert sum(counts.values()) == len(found.figures)


def test_the_exit_code_says_whether_all_agree(case, finished, tmp_path, run_command):  # noqa: F811
    """Of `evaluate` with a set of neurons, whose file is no longer there."""
    neurons = tmp_path / "neurons.json"
    shutil.copy(finished / "neurons.json", neurons)
    case.evaluate(out=tmp_path / "right", neurons_file=neurons, max_items=8, also="none")
    neurons.unlink()
    code, out, err = run_command("replay", str(tmp_path / "right"), "--json")
    assert code == 0, err
    assert json.loads(out)["agrees"] and json.loads(out)["neurons"][0]["same"]

    def change(document):
        document["metrics"][0]["value"], document["metrics"][0]["high"] = -7.0, -6.0

    wrong = copied(tmp_path / "right", tmp_path / "wrong", change)
    code, out, err = run_command("replay", str(wrong))
    assert code == 1, err
    said = " ".join(out.split())
    assert "Not in agreement" in said and "-7.0000" in said and "the same" in said
    assert (tmp_path / "wrong-replay" / "replay.json").is_file()
    code, _, err = run_command("replay", str(wrong))
    assert code == 2 and "already holds a run" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(command=None), "does not say which command"),
        (lambda record: record.update(command="biasectomy nosuch x"), "does not say which command"),
        (lambda record: record["settings"].update(plugin=["mine.py"]), "give --plugin mine.py to make it again"),
        (lambda record: record["settings"].update(trust_remote_code=True), "--trust-remote-code"),
        (lambda record: record["settings"].update(nonsense=1), "cannot be made again by this version: .*nonsense"),
    ],
)
def test_what_cannot_be_made_again_is_said_and_nothing_is_begun(finished, tmp_path, change, said):
    folder = copied(finished, tmp_path / "run", change, "record.json")
    with pytest.raises((DataError, SettingsError, RunError), match=said):
        replay(folder)
    assert not (tmp_path / "run-replay").exists()


def test_the_run_itself_is_never_written_over(finished, tmp_path):
    for out in (finished, finished / "again", finished.parent):
        with pytest.raises(SettingsError, match="needs its own folder"):
            replay(finished, out, overwrite=True)
    with pytest.raises(RunError, match="is empty; give the folder of a finished run"):
        replay(tmp_path)
    with pytest.raises(SettingsError, match="RUN is missing"):
        ReplaySettings.of()


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_degrees_are_as_they_are_named(before, after):
    degree = degree_of(before, after)
    assert degree_of(before, before) == EQUAL
    same = all((math.isnan(a) and math.isnan(b)) or a == b for a, b in zip(before, after, strict=True))
    assert same == (degree == EQUAL)
    if degree == CLOSE:
        pairs = [(a, b) for a, b in zip(before, after, strict=True) if not math.isnan(a)]
        assert all(abs(a - b) <= 1e-5 * max(1, abs(a)) for a, b in pairs)
    if degree == INSIDE:
        assert before[1] <= after[0] <= before[2]
    if degree == APART:
        assert not before[1] <= after[0] <= before[2]


def test_every_figure_of_either_run_is_counted_once(finished):
    results = FinishedRun.read(finished).results
    half = Results(results.metrics[::2], results.differences[1:])
    for before, after in ((results, half), (half, results)):
        found = agreements(before, after)
        assert len(found) == len(results.metrics) + len(results.differences)
        assert {one.degree for one in found} == {EQUAL, APART} <= {*DEGREES}
        assert all(one.lacking == (one.degree == APART) for one in found)
