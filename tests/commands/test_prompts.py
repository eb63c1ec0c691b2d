"""What a run records of the prompts, and that a resumed one must find them unchanged."""

import json
import shutil
from pathlib import Path

import pytest

from biasectomy import evaluate
from biasectomy.errors import RunError
from biasectomy.measuring.results import Results
from biasectomy.report.text import rendered


def changed(folder: Path, old: str, new: str) -> None:
    template = folder / "chat_template.jinja"
    text = template.read_text()
    assert old in text
    template.write_text(text.replace(old, new))


def test_a_run_is_not_resumed_with_other_prompts(tiny_folder, toy_task, tmp_path):
    model, out = tmp_path / "model", tmp_path / "run"
    shutil.copytree(tiny_folder, model)
    evaluate(str(model), toy_task(), out=out, replicates=20)
    evaluate(str(model), toy_task(), out=out, replicates=20, resume=True)
    record = json.loads((out / "record.json").read_text())
    assert record["prompt"]["format"] == "chat" and len(record["prompt"]["checksum"]) == 64
    changed(model, "<assistant>", "<assistant>\n")
    with pytest.raises(RunError, match=r"cannot be resumed: its prompt differs from the one now"):
        evaluate(str(model), toy_task(), out=out, replicates=20, resume=True)


def test_the_prefix_of_whole_texts_is_recorded_and_compared(tiny_folder, tmp_path):
    out = tmp_path / "run"
    options = {"task": "perplexity:packaged", "max_items": 6, "replicates": 20, "out": out}
    outcome = evaluate(str(tiny_folder), **options)
    record = json.loads((out / "record.json").read_text())
    assert record["settings"]["prefix"] == "auto"
    assert record["prompt"]["prefix"] == {"rule": "auto", "token": 1, "text": "<start>"}
    words = sum(len(item.options[0].split()) for item in outcome.tasks[0].items)
    note = f"perplexity:packaged: 6 whole texts, {words} words judged behind `<start>` (--prefix auto)."
    assert note in rendered(outcome.results, 200) and f"\n\n{note}\n" in (out / "report.md").read_text()
    assert Results.from_json(json.loads((out / "results.json").read_text())).notes == outcome.results.notes
    with pytest.raises(RunError, match=r"prefix was 'auto' and is 'eos' now"):
        evaluate(str(tiny_folder), **options, prefix="eos", resume=True)


def test_results_without_notes_are_read(tiny, toy_task):
    document = evaluate(tiny, toy_task(), replicates=20).results.to_json()
    assert document["notes"] == {}  # its options stand behind a prompt
    del document["notes"]
    assert Results.from_json(document | {"schema_version": 2}).notes == {}


def test_the_size_of_whole_texts_is_said_before_the_work_begins(tiny_folder, toy_task, caplog):
    caplog.set_level("INFO", logger="biasectomy")
    evaluate(str(tiny_folder), toy_task(), also="perplexity:packaged", replicates=20)
    said = [record.getMessage() for record in caplog.records]
    assert "60 of 60 items, whole texts of 3,045 words" in said
    assert any("chat prompts, whole texts behind `<start>`" in line for line in said)
    assert sum("whole texts of" in line for line in said) == 1
