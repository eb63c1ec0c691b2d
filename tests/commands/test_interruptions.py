"""Real processes that are killed, stopped or doubled, and run folders that were damaged meanwhile."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from biasectomy.cli.app import main
from biasectomy.commands.holding import holding
from biasectomy.commands.settings_measuring import CompareSettings, EvaluateSettings, MitigateSettings
from biasectomy.errors import RunError
from biasectomy.files import read_json
from biasectomy.processes import ALONE
from tests.commands.cases import Case, command, differing, lines_of, stop_midway

SAME = ("results.json", "items.jsonl")


def test_a_killed_process_is_resumed_to_the_same_result(case, finished, tmp_path):
    out = tmp_path / "run"
    code, _ = stop_midway(case.words(MitigateSettings, out=out), out, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert read_json(out / "record.json")["status"] == "running" and not (out / "results.json").exists()
    case.mitigate(out, resume=True)
    assert differing(finished, out) == []


def test_ctrl_c_exits_130_and_says_how_to_go_on(case, finished, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    code, errors = stop_midway(case.words(MitigateSettings, out=out), out, signal.SIGINT)
    assert code == 130 and "Traceback" not in errors, errors
    assert f"What was computed is kept in {out}; go on with: biasectomy mitigate" in errors and "--resume" in errors
    assert read_json(out / "record.json")["status"] == "interrupted"
    going_on = errors[errors.index("go on with: biasectomy ") :].split()[4:]
    monkeypatch.setattr(sys, "argv", ["biasectomy", *going_on, "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out) == read_json(finished / "results.json")
    assert differing(finished, out) == []


def test_a_request_of_the_system_to_end_is_heard(case, tmp_path):
    out = tmp_path / "run"
    code, errors = stop_midway(case.words(MitigateSettings, out=out), out, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM and "Traceback" not in errors, errors
    assert f"What was computed is kept in {out}; go on with: " in errors
    assert read_json(out / "record.json")["status"] == "interrupted"
    assert not (out / ".lock").exists()


@pytest.mark.parametrize(("name", "how"), [("evaluate", signal.SIGKILL), ("compare", signal.SIGTERM)])
def test_evaluate_and_compare_are_resumed_to_the_same_result(case, tmp_path, name, how):
    kind, changes = {
        "evaluate": (EvaluateSettings, {}),
        "compare": (CompareSettings, {"methods": ("always-unknown", "fair-prompt", "crispr")}),
    }[name]
    run = getattr(case, name)
    run(out=tmp_path / "whole", **changes)
    out = tmp_path / "stopped"
    code, _ = stop_midway(case.words(kind, out=out, **changes), out, how)
    assert code == (-how if how == signal.SIGKILL else 128 + how)
    assert not (out / "results.json").exists()
    run(out=out, resume=True, **changes)
    for file in SAME:
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    assert not list(out.rglob(".*"))


def test_a_second_command_in_the_folder_is_refused_while_the_first_works(case, copied):
    words = case.words(MitigateSettings, out=copied)
    with holding(copied, ALONE):
        for asked in ("--resume", "--overwrite"):
            done = subprocess.run(command(*words, asked), capture_output=True, text=True, check=False, timeout=120)
            assert done.returncode == 2, done.stderr
            assert f"'{copied}' is in use by process {os.getpid()} on " in done.stderr
    assert read_json(copied / "record.json")["status"] == "finished"


# Damage


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return shutil.copytree(finished, tmp_path / "copied")


def test_damaged_rows_of_items_are_written_anew(case: Case, finished: Path, copied: Path):
    rows = lines_of(copied)
    rows[0]["answer"] = 99
    del rows[1]["log_likelihoods"]
    (copied / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-5]) + '{"half')
    case.mitigate(copied, resume=True)
    assert differing(finished, copied) == []


def test_damaged_answers_in_the_store_are_computed_anew(case: Case, finished: Path, copied: Path, caplog):
    with contextlib.closing(sqlite3.connect(copied / "store" / "answers.sqlite")) as connection, connection:
        connection.execute("UPDATE answers SET answer = replace(answer, '-1', '-2')")
    case.mitigate(copied, resume=True)
    assert "are damaged; they are computed anew" in caplog.text
    assert differing(finished, copied) == []


def test_damaged_scores_are_computed_anew(case: Case, finished: Path, copied: Path):
    trial = next((copied / "methods" / "crispr" / "attribution").iterdir())
    content = bytearray(trial.read_bytes())
    content[-3] ^= 0x40  # a value, which the format does not guard
    trial.write_bytes(content)
    case.mitigate(copied, resume=True)
    assert differing(finished, copied) == []


@pytest.mark.parametrize("damage", ["deleted", "cut", "changed", "config"])
def test_a_damaged_checkpoint_is_written_anew(case: Case, finished: Path, copied: Path, damage: str, caplog):
    weights = copied / "model" / "model.safetensors"
    content = weights.read_bytes()
    if damage == "deleted":
        weights.unlink()
    elif damage == "config":
        (copied / "model" / "config.json").write_text("{}")
    else:
        weights.write_bytes(content[:-100] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    case.mitigate(copied, resume=True)
    assert "is not as this run wrote it; it is written anew" in caplog.text
    assert differing(finished, copied) == []


def test_a_checkpoint_that_was_replaced_by_a_file_is_refused_and_kept(case: Case, copied: Path):
    shutil.rmtree(copied / "model")
    (copied / "model").write_text("mine")
    with pytest.raises(RunError, match="which this run did not write there; move it elsewhere"):
        case.mitigate(copied, resume=True)
    assert (copied / "model").read_text() == "mine"


def test_what_a_killed_attribution_left_half_written_is_removed(case: Case, finished: Path, copied: Path):
    folder = copied / "methods" / "crispr" / "attribution"
    (folder / ".trial-0-instruction-0.safetensors.x1").write_text("half")
    case.mitigate(copied, resume=True)
    assert not list(folder.glob(".*"))
