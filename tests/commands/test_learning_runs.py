"""Runs that learn factors: killed in the middle of training, and divided between processes."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from biasectomy.commands.settings_measuring import MitigateSettings
from biasectomy.files import read_json
from biasectomy.kept_tensors import kept_tensors
from biasectomy.learning.pruned import CHECKPOINT, STEP
from biasectomy.narration import watching
from biasectomy.neurons.neuron_set import NeuronSet
from tests.commands.cases import Case, lines_of, stop_midway
from tests.commands.test_processes import close, end, launch

FOLDER = "methods/learned-factors"
SAME = ("neurons.json", "results.json", "items.jsonl", "model/model.safetensors")
FIRST, STEPS = 12, 20


@pytest.fixture
def learning(case: Case) -> Case:
    """The small run with factors that are learned, of which some are chosen."""
    options = {
        "first_steps": FIRST,
        "steps": STEPS,
        "budgets": "all,30,12",
        "straight_steps": 52,
        "rate": 0.1,
        "items_a_step": 6,
    }
    return Case(
        case.values
        | {"method": "learned-factors", "learned-factors": options, "drift": 10.0, "also": "none", "device": "cpu"}
    )


def found_thirty(out: Path) -> bool:
    return (out / FOLDER / "candidates" / "30.json").exists()


@contextlib.contextmanager
def steps_taken(counts: list[int]) -> Iterator[None]:
    """A block in which it is noted by how much the training advances; first by the steps that were taken before."""

    @contextlib.contextmanager
    def hook(description: str, total: int, unit: str) -> Iterator[Any]:
        yield lambda count=1, note=None: counts.append(count) if description == "Learning" else None

    with watching(hook):
        yield


def test_a_run_killed_while_it_learns_is_resumed_to_the_same_result(learning, tmp_path):
    learning.mitigate(tmp_path / "whole")
    assert len(NeuronSet.load(tmp_path / "whole" / "neurons.json")) > 0, (
        "choose another seed: neurons are to be changed"
    )
    out = tmp_path / "run"
    code, errors = stop_midway(learning.words(MitigateSettings, out=out), out, signal.SIGKILL, found_thirty)
    assert code == -signal.SIGKILL, errors
    kept = kept_tensors(out / FOLDER / CHECKPOINT)
    assert kept is not None and FIRST < int(kept[STEP]) < FIRST + 2 * STEPS and not (out / "neurons.json").exists()
    counts: list[int] = []
    with steps_taken(counts):
        learning.mitigate(out, resume=True)
    assert counts[0] == int(kept[STEP]) and sum(counts) == FIRST + 2 * STEPS
    for file in SAME:
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    assert read_json(out / "record.json")["resumed"] and not list(out.rglob(".*"))


def test_two_processes_learn_the_factors_of_one(learning, tmp_path):
    alone, out = tmp_path / "alone", tmp_path / "run"
    learning.mitigate(alone, neurons=12)
    ended = end(launch(learning.words(MitigateSettings, out=out, neurons=12)))
    assert ended.code == 0 and not ended.sentences, ended.errors
    assert read_json(out / "record.json")["processes"] == 2
    found, expected = (NeuronSet.load(folder / "neurons.json") for folder in (out, alone))
    assert [(one.module, one.unit) for one in found] == [(one.module, one.unit) for one in expected]
    assert len(found) == 12 and max(abs(one.factor - 1) for one in expected) > 0.1
    assert [one.factor for one in found] == pytest.approx([one.factor for one in expected], abs=1e-5)
    assert close(read_json(out / "results.json"), read_json(alone / "results.json"))
    assert [line["answer"] for line in lines_of(out)] == [line["answer"] for line in lines_of(alone)]
    weights, others = (load_file(folder / "model" / "model.safetensors") for folder in (out, alone))
    assert all(torch.allclose(weights[name], others[name], atol=1e-5) for name in weights | others)
