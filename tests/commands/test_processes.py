"""Several processes on one run: the same numbers as one process, one voice, and what happens when one dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from biasectomy.attribution.crispr import Crispr
from biasectomy.attribution.random import Random
from biasectomy.attribution.scores import attribute
from biasectomy.cli.app import main
from biasectomy.commands import evaluate
from biasectomy.commands.forecast import fitting_batch_tokens
from biasectomy.commands.opening import open_model
from biasectomy.commands.settings_measuring import EvaluateSettings, MitigateSettings
from biasectomy.commands.settings_neurons import FindSettings
from biasectomy.errors import SettingsError
from biasectomy.files import read_json, without_nan
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.options import Options
from biasectomy.processes import Processes
from tests.commands.cases import Case, lines_of, write_bbq
from tests.conftest import save_tiny

RANKING = "methods/crispr/ranking.json"
LOST = "Error: Another process of this run has ended, or the run was told to stop."
LAUNCHERS = {
    "accelerate launch": ["accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes", "2"],
    "torchrun": ["torch.distributed.run", "--nproc-per-node", "2"],
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("processes")
    return Case(
        {
            "model": str(save_tiny(folder / "model")), "data": write_bbq(folder / "data"), "task": "bbq:age",
            "method": "crispr", "beside": "none",
            "max_instructions": 1, "replicates": 100, "batch_tokens": 150, "development_share": 0.4,
            "objective": "accuracy", "device": "cpu", "threads": 1, "seed": 16, "random-neurons": {"draws": 1},
            "crispr": {"instances": 7, "trials": 2, "variant": "authors", "clamp_group": 4, "grid": (0, 2, 10, 40)},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    case.mitigate(out)
    assert read_json(out / "record.json")["methods"]["crispr"]["chosen"] > 0, (
        "choose another seed: this run is to take neurons out"
    )
    return out


def launch(words: list[str], launcher: str = "torchrun") -> subprocess.Popen[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    option = "--main_process_port" if launcher == "accelerate launch" else "--master-port"
    start = [sys.executable, "-m", *LAUNCHERS[launcher], option, str(port), "-m", "biasectomy", *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(start, text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}, **pipes)


@dataclass
class Ended:
    """How a launched command ended."""

    code: int
    said: str
    errors: str

    @property
    def sentences(self) -> list[str]:
        """What the processes themselves said of an error; the launcher adds its own lines."""
        assert "src/biasectomy" not in self.errors, self.errors
        return [line for line in self.errors.splitlines() if line.startswith("Error: ")]


def end(process: subprocess.Popen[str]) -> Ended:
    try:
        said, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    return Ended(process.returncode, said, errors)


def assert_same(out: Path, alone: Path) -> None:
    """The figures, answers, neurons and weights of two runs, to rounding."""
    assert close(read_json(out / "results.json"), read_json(alone / "results.json"))
    mine, other = (
        {(line["method"], line.get("neurons"), line.get("draw"), line["item"]): line for line in lines_of(folder)}
        for folder in (out, alone)
    )
    assert mine.keys() == other.keys() and len(lines_of(out)) == len(mine)
    for key, line in mine.items():
        assert line["answer"] == other[key]["answer"]
        assert line["log_likelihoods"] == pytest.approx(other[key]["log_likelihoods"], abs=1e-5)
    for name in ("neurons.json", RANKING):
        found, expected = NeuronSet.load(out / name), NeuronSet.load(alone / name)
        assert [(n.module, n.unit) for n in found] == [(n.module, n.unit) for n in expected]
        assert [n.score for n in found] == pytest.approx([n.score for n in expected], rel=1e-4)
        assert found.found_with == expected.found_with and found.model == expected.model
    weights, others = (load_file(folder / "model" / "model.safetensors") for folder in (out, alone))
    assert all(torch.equal(weights[name], others[name]) for name in weights | others)


def close(value: object, other: object) -> bool:
    """Whether two JSON-like values are the same, numbers to rounding."""
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(close(value[name], other[name]) for name in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(close, value, other))
    return value == pytest.approx(other, rel=1e-6) if isinstance(value, float) else value == other


# With launched processes


def test_two_processes_give_what_one_gives(case, alone, tmp_path):
    out = tmp_path / "run"
    ended = end(launch(case.words(MitigateSettings, out=out, json_output=True), "accelerate launch"))
    assert ended.code == 0 and not ended.sentences, ended.errors
    assert json.loads(ended.said) == read_json(out / "results.json")  # one process prints
    there = {path.name for path in out.iterdir()} - {"report.html", "pictures"}  # which tests' own runs have not
    assert there == {path.name for path in alone.iterdir()}
    assert ended.errors.count("Age.jsonl differs from the file") == 1
    assert_same(out, alone)
    record = read_json(out / "record.json")
    assert (record["processes"], record["status"]) == (2, "finished")
    assert read_json(alone / "record.json")["processes"] == 1


def killed(words: list[str], out: Path, rank: int) -> Ended:
    """A launched run of which a process is killed once some items are scored."""
    process = launch(words)
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if (out / "items.jsonl").exists() and (out / "items.jsonl").read_bytes().count(b"\n") >= 5:
                os.kill(process_of(process.pid, rank), signal.SIGKILL)
                break
            time.sleep(0.005)
        started = time.monotonic()
        ended = end(process)
    finally:
        process.kill()
    assert time.monotonic() - started < 60  # seconds; on a machine that is busy with others more
    return ended


def process_of(launcher: int, rank: int) -> int:
    """The process a launcher has started as number `rank`."""
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if f"\0RANK={rank}\0".encode() in b"\0" + Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError(f"no process {rank}")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_ends_the_run_and_resume_goes_on(case, alone, tmp_path, rank):
    out = tmp_path / "run"
    ended = killed(case.words(MitigateSettings, out=out), out, rank)
    assert ended.code != 0 and [line for line in ended.sentences if not line.startswith(LOST)] == []
    assert len(ended.sentences) == 1 and "go on with --resume" in ended.sentences[0]
    assert not (out / "results.json").exists() and 5 <= len(lines_of(out)) < len(lines_of(alone))
    if rank == 0:
        case.mitigate(out, resume=True)
    else:
        again = end(launch(case.words(MitigateSettings, out=out, resume=True)))
        assert again.code == 0, again.errors
    assert read_json(out / "record.json")["resumed"]
    assert_same(out, alone)


def test_the_smaller_commands(case, alone, tmp_path):
    found = tmp_path / "sets" / "found.json"
    assert end(launch(case.words(FindSettings, out=found, count=40))).code == 0
    expected = [(n.module, n.unit) for n in NeuronSet.load(alone / RANKING)]
    assert [(n.module, n.unit) for n in NeuronSet.load(found)] == expected
    chosen, changes = alone / "neurons.json", {"max_items": 12, "answer_rule": "generation", "json_output": True}
    ended = end(launch(case.words(EvaluateSettings, neurons_file=chosen, **changes)))
    assert ended.code == 0, ended.errors
    outcome = evaluate.run(case.settings(EvaluateSettings, neurons_file=chosen, **changes))
    assert close(json.loads(ended.said), json.loads(json.dumps(without_nan(outcome.results.to_json()))))


def test_an_error_of_one_or_of_all_is_one_sentence(case, alone, tmp_path):
    before = (alone / "record.json").read_bytes()
    model = save_tiny(tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    for words, said in (
        (case.words(MitigateSettings, out=alone), "already holds a run"),  # which the main one sees
        (case.words(EvaluateSettings, model=str(model)), "not finite"),  # of different items in each
    ):
        ended = end(launch(words))
        assert ended.code != 0 and len(ended.sentences) == 1 and said in ended.sentences[0], ended.errors
    assert (alone / "record.json").read_bytes() == before


# Without


def test_one_process_loads_nothing_of_this():
    script = (
        "import sys\n"
        "from biasectomy.processes import ALONE, is_main, join, speaks\n"
        "with join() as processes: assert processes is ALONE\n"
        "assert is_main() and speaks() and processes.gather(1) == [1] and processes.once(lambda: 2) == 2\n"
        "assert list(processes.map(abs, [-1, -2])) == [(-1, 1), (-2, 2)]\n"
        "assert processes.share([1] * 7, 4) == slice(0, 7)\n"
        "print([name for name in ('torch', 'accelerate') if name in sys.modules])\n"
    )
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"


@dataclass(frozen=True)
class Rehearsed(Processes):
    """One of several processes, for which the test says what the others give."""

    others: tuple = ()

    def gather(self, value):
        return [*self.others, value]

    def once(self, function):
        return function()

    def sum(self, tensors):
        self.others[0].append(tensors)
        return tensors


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_sums_of_shares_are_the_scores(tiny, toy_task, variant):
    group = 4 if variant == "authors" else 1
    crispr = Crispr(Crispr.Settings(variant=variant, clamp_group=group, instances=7, trials=1))
    task = toy_task(instructions=1)
    whole = attribute(tiny, task, crispr).by_module
    parts: list[dict[str, torch.Tensor]] = []
    for index in range(3):
        attribute(tiny, task, crispr, session=Session(processes=Rehearsed(index, 3, others=(parts,))))
    for module, scores in whole.items():
        total = sum(part[f"0/{module}"] for part in parts) / (7 if variant == "authors" else 1)
        torch.testing.assert_close(total, scores, rtol=1e-3, atol=1e-4 * float(scores.abs().max()))


def test_random_scores_are_not_added_up(tiny, toy_task):
    found = attribute(tiny, toy_task(), Random(Options()), session=Session(processes=Rehearsed(1, 2, others=([],))))
    expected = attribute(tiny, toy_task(), Random(Options()))
    assert all(torch.equal(found.by_module[name], scores) for name, scores in expected.by_module.items())


def test_batches_are_as_small_as_the_smallest_memory_needs(tiny_folder, toy_task):
    @dataclass(frozen=True)
    class Short(Rehearsed):
        """The other one has memory for batches of 150 tokens."""

        def gather(self, value):
            self.others.append(value)
            return [value, (3.0, len(self.others) < 3)]

    model = load(str(tiny_folder), batch_tokens=400)
    questions = toy_task(2).questions()
    budget, seconds = fitting_batch_tokens(model, questions, Short(0, 2, others=[]))
    assert budget == 100 and seconds >= 3.0 / 12
    assert fitting_batch_tokens(model, questions)[0] == 400
    assert model.batch_tokens == 400  # who forecasts changes nothing


def test_of_several_processes_one_prints(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, lines in (("1", 0), ("0", 1)):
        monkeypatch.setenv("RANK", rank)
        for words, code in ((["ls", "tasks", "--json"], 0), (["mitigate", "--seed", "x"], 2)):
            monkeypatch.setattr(sys, "argv", ["biasectomy", *words])
            with pytest.raises(SystemExit) as exit_:
                main()
            captured = capsys.readouterr()
            assert (exit_.value.code, bool(captured.out + captured.err)) == (code, bool(lines))


def test_a_device_map_is_refused_where_processes_share_a_machine(case):
    settings = case.settings(EvaluateSettings, device_map="auto")
    with pytest.raises(SettingsError, match="launch one process a machine"):
        open_model(settings, Rehearsed(0, 2, neighbours=2))
