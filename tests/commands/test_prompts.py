"""What a run records of the prompts, and that a resumed one must find them unchanged."""

import json
import shutil
from pathlib import Path

import pytest

from biasectomy import evaluate
from biasectomy.errors import RunError


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
