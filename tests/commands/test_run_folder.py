"""The run folder: what may be resumed or replaced, and disks that refuse."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from biasectomy.commands.holding import holding
from biasectomy.commands.replacing import refuse_checkpoint, refuse_output, refuse_run_folder
from biasectomy.commands.run_folder import Run, open_run
from biasectomy.commands.settings_measuring import EvaluateSettings, MitigateSettings
from biasectomy.commands.settings_neurons import ApplySettings, FindSettings
from biasectomy.errors import DataError, RunError, Stopped
from biasectomy.files import read_json, write_atomically, write_json
from biasectomy.measuring.results import MetricRow, Results
from biasectomy.models.manifest import MANIFEST, is_as_written, strange_files, write_manifest
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.processes import ALONE
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
    assert record["peak_memory_bytes"] > 10_000_000 and record["schema_version"] == 1 and record["resumed"] == []
    document = read_json(run.path("results.json"))
    assert document["metrics"][0]["high"] is None and Results.from_json(document).verdict == ["Nothing helped."]
    assert "Nothing helped." in run.path("report.md").read_text()


def test_the_page_is_made_last_out_of_what_is_in_the_folder(tmp_path, monkeypatch):
    seen = []

    def note(folder):
        seen.append((read_json(folder / "record.json")["status"], (folder / "results.json").exists()))

    monkeypatch.setattr("biasectomy.commands.run_folder.write_page", note)
    make(tmp_path / "run").finish(results(), {})
    assert seen == [("finished", True)]


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
    write_manifest(run.path("model"))
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
    assert run.path("items.jsonl").read_text() == "{}\n" and run.record["resumed"]


def test_resume_of_nothing_starts(tmp_path):
    assert make(tmp_path / "run", resume=True).record["resumed"] == []


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
        refuse_run_folder(tmp_path / "file", resume=False, overwrite=True)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "The disk is full: .*free some space"),
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
    assert make(tmp_path, resume=True).record["resumed"]


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    def refuse(*arguments, **settings) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match="run' cannot be written: Permission denied"):
        make(tmp_path / "run")


@pytest.mark.parametrize(
    ("error", "raised"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.EIO, "Input/output error"), RunError)],
)
def test_a_write_that_fails_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch, error, raised):
    path = tmp_path / "results.json"
    write_atomically(path, "old")

    def fail(*arguments) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(raised):
        write_atomically(path, "new" * 1000)
    assert [found.name for found in tmp_path.iterdir()] == ["results.json"] and path.read_text() == "old"


def test_every_refusal_of_the_system_is_a_sentence_that_names_the_path(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for folder in (tmp_path / "loop" / "run", tmp_path / ("x" * 300), Path("/proc/nothing/run"), Path("/dev/null/run")):
        with pytest.raises(RunError, match="cannot be written: ") as refused:
            make(folder)
        assert str(folder) in str(refused.value)
    with pytest.raises(RunError, match=r"loop' (cannot be written|is a file)"):
        make(tmp_path / "loop")


# Times


def test_a_run_that_is_resumed_keeps_its_start_and_adds_up_its_times(tmp_path):
    run = make(tmp_path)
    run.record |= {"started": "2026-01-01T00:00:00+00:00", "seconds": {"find": 100.0}}
    run.save_record()
    again = make(tmp_path, resume=True)
    again.stage_done("find")
    once_more = make(tmp_path, resume=True)
    assert once_more.record["started"] == "2026-01-01T00:00:00+00:00" and len(once_more.record["resumed"]) == 2
    assert once_more.record["seconds"]["find"] >= 100


# Several commands, and requests to end


def test_a_folder_that_is_worked_in_is_refused_by_name(tmp_path):
    folder = tmp_path / "run"
    with holding(folder, ALONE):
        refused = pytest.raises(RunError, match=rf"in use by process {os.getpid()} on .*choose another --out")
        with refused, holding(folder, ALONE):
            pass
        with holding(tmp_path / "other", ALONE):
            pass
    assert not folder.exists()  # nothing was written
    with holding(folder, ALONE):
        make(folder)
    assert [path.name for path in folder.iterdir()] == ["record.json"]


def test_what_holds_a_folder_ends_with_its_process(tmp_path):
    child = (
        "import os, sys; from pathlib import Path; from biasectomy.commands.holding import holding; "
        "from biasectomy.processes import ALONE; held = holding(Path(sys.argv[1]), ALONE); "
        "held.__enter__(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", child, str(tmp_path)], check=False).returncode == 9
    assert (tmp_path / ".lock").exists()
    with holding(tmp_path, ALONE):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(self) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("biasectomy.commands.holding.FileLock.acquire", refuse)
    with holding(tmp_path, ALONE):
        assert "without locks" in caplog.text


def test_what_ends_a_run_says_where_its_results_are(tmp_path):
    settings = MitigateSettings.of(out=tmp_path / "run")
    for error, kind in ((KeyboardInterrupt(), Stopped), (Stopped(15), Stopped), (DataError("x"), DataError)):
        with pytest.raises(kind) as ended, open_run(settings.out, settings.model_copy(update={"overwrite": True})):
            raise error
        assert ended.value.folder == tmp_path / "run"
    assert Stopped().folder is None


# What is replaced


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("weights")
    write_manifest(folder)
    return folder


def test_a_checkpoint_is_replaced_only_if_nothing_else_is_in_it(tmp_path):
    folder = checkpoint(tmp_path / "edited")
    with pytest.raises(RunError, match="add --overwrite"):
        refuse_checkpoint(folder, overwrite=False, inputs={})
    refuse_checkpoint(folder, overwrite=True, inputs={})
    (folder / "notes").mkdir()
    (folder / "notes" / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match=r"holds notes/thesis\.tex, which was not written here"):
        refuse_checkpoint(folder, overwrite=True, inputs={})
    other = tmp_path / "downloaded"
    other.mkdir()
    (other / "config.json").write_text("{}")
    with pytest.raises(RunError, match=r"not known to be a checkpoint written here, and holds config\.json"):
        refuse_checkpoint(other, overwrite=True, inputs={})


def test_a_run_whose_model_folder_holds_something_else_is_not_replaced(tmp_path):
    make(tmp_path)
    checkpoint(tmp_path / "model")
    make(tmp_path, overwrite=True)
    checkpoint(tmp_path / "model")
    (tmp_path / "model" / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match=r"it holds model/thesis\.tex, which no run wrote"):
        make(tmp_path, overwrite=True)


def test_a_command_replaces_runs_of_its_own_kind_only(tmp_path):
    make(tmp_path)
    with pytest.raises(RunError, match="holds a run of 'mitigate', and 'evaluate' replaces only its own"):
        refuse_output(EvaluateSettings.of(out=tmp_path, overwrite=True))
    refuse_output(MitigateSettings.of(out=tmp_path, overwrite=True))


def test_what_is_read_is_not_replaced(tmp_path):
    run = tmp_path / "run"
    make(run)
    model = checkpoint(run / "model")
    with pytest.raises(RunError, match=r"the model, '.*', is read from there"):
        refuse_output(MitigateSettings.of(model=str(model), out=run, overwrite=True))
    with pytest.raises(RunError, match=r"--store, '.*', is read from there"):
        (run / "store").mkdir()
        refuse_output(MitigateSettings.of(store=run / "store", out=run, overwrite=True))
    with pytest.raises(RunError, match=r"the model, '.*', is read from there"):
        refuse_output(ApplySettings.of(neurons_file=tmp_path / "n.json", model=str(model), out=model, overwrite=True))
    link = tmp_path / "link"
    link.symlink_to(run)
    with pytest.raises(RunError, match=r"the model, '.*', is read from there"):
        refuse_output(MitigateSettings.of(model=str(model), out=link, overwrite=True))


def test_only_a_neuron_set_is_replaced_by_a_neuron_set(tmp_path):
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("mine")
    with pytest.raises(RunError, match="it is no neuron set"):
        refuse_output(FindSettings.of(out=thesis, overwrite=True))
    NeuronSet(()).save(tmp_path / "neurons.json")
    refuse_output(FindSettings.of(out=tmp_path / "neurons.json", overwrite=True))
    with pytest.raises(RunError, match="add --overwrite"):
        refuse_output(FindSettings.of(out=tmp_path / "neurons.json"))


@pytest.mark.parametrize("damage", ["delete", "cut", "manifest"])
def test_a_damaged_checkpoint_is_known(tmp_path, damage):
    folder = checkpoint(tmp_path / "model")
    assert is_as_written(folder) and strange_files(folder) == []
    weights = folder / "model.safetensors"
    {"delete": weights.unlink, "cut": lambda: weights.write_text("wei"), "manifest": (folder / MANIFEST).unlink}[
        damage
    ]()
    assert not is_as_written(folder)
