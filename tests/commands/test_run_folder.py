"""The run folder: what may be resumed or replaced, and disks that refuse."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from biasectomy.commands.run_folder import Run, open_run, refuse_folder
from biasectomy.commands.settings import EvaluateSettings, MitigateSettings
from biasectomy.errors import DataError, RunError
from biasectomy.files import read_json, write_atomically, write_json
from biasectomy.measuring.results import MetricRow, Results
from biasectomy.reading.memory import peak_memory


def make(folder: Path, *, resume: bool = False, overwrite: bool = False, **settings) -> Run:
    values = {"model": "tiny", "seed": 0, "max_items": 9, "crispr": {"grid": [0, 1]}}
    return Run(folder, values | settings, "biasectomy mitigate tiny", resume=resume, overwrite=overwrite)


def results() -> Results:
    row = MetricRow("original", "toy", "test", "accuracy", 0.5, 0.4, float("nan"), 9, 3, 1.0, "too few")
    return Results((row,), verdict=["Nothing helped."], interval={"level": 0.95})


def test_a_finished_run_has_its_record_results_and_report(tmp_path):
    run = make(tmp_path / "deep" / "run")
    run.stage_done("find")
    run.finish(results(), {})
    record = read_json(run.path("record.json"))
    assert record["status"] == "finished" and record["command"] == "biasectomy mitigate tiny"
    assert record["settings"] == {"model": "tiny", "seed": 0, "max_items": 9, "crispr": {"grid": [0, 1]}}
    assert {"python", "torch", "transformers", "biasectomy", "commit"} <= set(record["versions"])
    assert record["seconds"]["find"] >= 0 and record["started"] <= record["finished"]
    assert record["peak_memory_bytes"] > 10_000_000 and record["schema_version"] == 1 and record["resumed"] is False
    document = read_json(run.path("results.json"))
    assert document["metrics"][0]["high"] is None and Results.from_json(document).verdict == ["Nothing helped."]
    assert "Nothing helped." in run.path("report.md").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing is inherited")
def test_the_largest_memory_is_not_that_of_the_process_that_started_this_one():
    child = "from biasectomy.reading.memory import peak_memory; print(peak_memory())"
    parent = (
        f"import subprocess, sys; big = b'x' * 10**9; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    assert 10_000_000 < int(done.stdout) < 900_000_000


def test_the_largest_memory_is_asked_of_the_system_where_there_is_no_proc(monkeypatch):
    pytest.importorskip("resource", reason="Windows does not tell")
    before = peak_memory()
    monkeypatch.setattr("biasectomy.reading.memory.memory_status", lambda name: None)
    assert before and peak_memory() >= 0.5 * before


def test_the_record_is_there_before_anything_is_computed(tmp_path):
    assert read_json(make(tmp_path / "run").path("record.json"))["status"] == "running"


def test_an_empty_folder_is_as_good_as_none(tmp_path):
    (tmp_path / ".DS_Store").touch()
    make(tmp_path)


def test_an_existing_run_is_neither_mixed_nor_replaced_silently(tmp_path):
    make(tmp_path).write("items.jsonl", lambda path: path.write_text("{}\n"))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunError, match=r"already holds a run; add --resume .* --overwrite"):
        make(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_of_other_things_is_refused_whatever_is_asked_for(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for flags in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match=r"choose another --out|Choose another --out"):
            make(tmp_path, **flags)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_overwrite_replaces_a_runs_own_files_only(tmp_path):
    run = make(tmp_path)
    write_json(run.path("methods/crispr/neurons.json"), {})
    write_json(run.path("model") / "config.json", {})
    write_json(run.path("results.json"), {})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"it holds notes\.txt, which no run wrote"):
        make(tmp_path, overwrite=True)
    assert (tmp_path / "methods" / "crispr" / "neurons.json").exists()
    (tmp_path / "notes.txt").unlink()
    make(tmp_path, overwrite=True, seed=5)
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_resume_goes_on_with_what_is_there(tmp_path):
    make(tmp_path).write("items.jsonl", lambda path: path.write_text("{}\n"))
    run = make(tmp_path, resume=True)
    assert run.path("items.jsonl").read_text() == "{}\n" and run.record["resumed"] is True


def test_resume_of_nothing_starts(tmp_path):
    assert make(tmp_path / "run", resume=True).record["resumed"] is False


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"max_items": None}, "max-items was 9 and is None"),
        ({"crispr": {"grid": [0, 5]}}, "crispr was .*grid.* and is "),
    ],
)
def test_resume_with_other_settings_is_refused_and_named(tmp_path, changed, said):
    make(tmp_path)
    with pytest.raises(RunError, match=f"cannot be resumed with other settings: {said}"):
        make(tmp_path, resume=True, **changed)


def test_resume_of_a_folder_whose_record_is_damaged(tmp_path):
    make(tmp_path)
    (tmp_path / "record.json").write_text('{"settings": ')
    with pytest.raises(DataError, match=r"record\.json, line 1: not valid JSON"):
        make(tmp_path, resume=True)
    (tmp_path / "record.json").write_text("[]")
    with pytest.raises(RunError, match="is not that of a run"):
        make(tmp_path, resume=True)


def test_a_model_or_task_that_changed_is_not_resumed(tmp_path):
    make(tmp_path).same_as_before("task", {"checksum": "a", "files": ("x",)})
    make(tmp_path, resume=True).same_as_before("task", {"checksum": "a", "files": ("x",)})
    with pytest.raises(RunError, match="cannot be resumed: its task differs"):
        make(tmp_path, resume=True).same_as_before("task", {"checksum": "b", "files": ("x",)})


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    make(tmp_path)
    (tmp_path / ".model.abc").mkdir()
    (tmp_path / ".model.abc" / "model.safetensors").touch()
    (tmp_path / ".results.json.x1").touch()
    (tmp_path / ".keep").touch()
    make(tmp_path, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keep", "record.json"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (None, "running")])
def test_an_interruption_is_noted(tmp_path, error, status):
    settings = MitigateSettings.of(out=tmp_path / "run")
    try:
        with open_run(settings.out, settings):
            if error:
                raise error
    except KeyboardInterrupt:
        pass
    record = read_json(tmp_path / "run" / "record.json")
    assert record["status"] == status and "--out" in record["command"] and "out" not in record["settings"]


def test_a_command_without_a_folder_has_no_run():
    with open_run(None, EvaluateSettings.of()) as run:
        assert run is None


# Disks and folders that refuse


def test_a_folder_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written: Not a directory"):
        make(tmp_path / "file" / "run")
    with pytest.raises(RunError, match="is a file; --out must name a folder"):
        refuse_folder(tmp_path / "file", resume=False, overwrite=True)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "The disk is full: .*go on with --resume"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EACCES, "cannot be written: .*Choose a folder you may write to"),
        (errno.EROFS, "cannot be written: "),
    ],
)
def test_a_refusing_disk_is_one_sentence_and_what_was_written_stays(tmp_path, monkeypatch, code, said):
    run = make(tmp_path)
    run.write("items.jsonl", lambda path: path.write_text("{}\n"))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RunError, match=said) as refused:
        run.stage_done("find")
    assert "record.json" in str(refused.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    assert make(tmp_path, resume=True).record["resumed"] is True


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    def refuse(*arguments, **settings) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match="run' cannot be written: Permission denied"):
        make(tmp_path / "run")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
def test_a_write_that_fails_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch, error):
    path = tmp_path / "results.json"
    write_atomically(path, "old")

    def fail(*arguments) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(type(error)):
        write_atomically(path, "new" * 1000)
    assert [found.name for found in tmp_path.iterdir()] == ["results.json"] and path.read_text() == "old"
