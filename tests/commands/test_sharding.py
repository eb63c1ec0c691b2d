"""A model that is spread over processes: the same neurons, factors, answers and weights as in one process."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from biasectomy.commands import evaluate
from biasectomy.commands.fitting import refuse_unsharded
from biasectomy.commands.opening import open_model
from biasectomy.commands.settings_measuring import EvaluateSettings, MitigateSettings
from biasectomy.errors import ModelError, SettingsError
from biasectomy.files import read_json, without_nan
from biasectomy.methods import METHODS
from biasectomy.models.sharding import refuse_unsplit
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.options import Options
from biasectomy.reading.layouts import Batch
from biasectomy.reading.memory import in_halves
from biasectomy.reading.prompts import EncodedPrompt
from tests.commands.cases import Case, lines_of, write_bbq
from tests.commands.test_processes import RANKING, Rehearsed, close, end, launch
from tests.conftest import save_tiny
from tests.reading.encoder_decoders import build


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("sharding")
    return Case(
        {
            "model": str(save_tiny(folder / "model")), "data": write_bbq(folder / "data"), "task": "bbq:age",
            "method": "learned-factors", "beside": "crispr", "also": "none", "neurons": 20,
            "max_instructions": 1, "replicates": 100, "batch_tokens": 150, "development_share": 0.4,
            "objective": "accuracy", "device": "cpu", "threads": 1, "random-neurons": {"draws": 1},
            "learned-factors": {"straight_steps": 3, "items_a_step": 4},
            "crispr": {"instances": 6, "trials": 1, "variant": "authors", "clamp_group": 4, "grid": (0, 10)},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(case: Case, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Run folders: of one process, and of two that have half of every weight each."""
    folder = tmp_path_factory.mktemp("runs")
    case.mitigate(folder / "one")
    ended = end(launch(case.words(MitigateSettings, out=folder / "two", shard=True)))
    assert ended.code == 0 and not ended.sentences, ended.errors
    return folder / "one", folder / "two"


def test_two_processes_find_the_same_neurons_and_learn_the_same_factors(runs):
    alone, spread = runs
    for name in (RANKING, "neurons.json"):
        expected, found = (NeuronSet.load(folder / name) for folder in (alone, spread))
        assert len(found) and [(n.module, n.unit) for n in found] == [(n.module, n.unit) for n in expected]
        assert [n.score for n in found] == pytest.approx([n.score for n in expected], rel=1e-4)
        assert [n.factor for n in found] == pytest.approx([n.factor for n in expected], abs=1e-6)
        assert found.model == expected.model and found.found_with == expected.found_with


def test_two_processes_answer_alike_and_write_the_same_checkpoint(runs):
    alone, spread = runs
    expected, found = (
        {(line["method"], line.get("neurons"), line.get("draw"), line["item"]): line for line in lines_of(folder)}
        for folder in (alone, spread)
    )
    assert found.keys() == expected.keys() and len(found) == len(lines_of(spread))
    for key, line in found.items():
        assert line["log_likelihoods"] == pytest.approx(expected[key]["log_likelihoods"], abs=1e-5)
    weights, others = (load_file(folder / "model" / "model.safetensors") for folder in (alone, spread))
    assert weights.keys() == others.keys()
    assert all(bool((others[name] - values).abs().max() < 1e-6) for name, values in weights.items())
    assert read_json(spread / "record.json")["settings"]["shard"]


def test_texts_are_written_by_all_until_the_last_is_done(case, runs):
    chosen = {"neurons_file": runs[0] / "neurons.json", "max_items": 5, "answer_rule": "generation"}
    ended = end(launch(case.words(EvaluateSettings, **chosen, shard=True, json_output=True)))
    assert ended.code == 0, ended.errors
    outcome = evaluate.run(case.settings(EvaluateSettings, **chosen))
    found, expected = json.loads(ended.said), json.loads(json.dumps(without_nan(outcome.results.to_json())))
    assert close(found["metrics"], expected["metrics"]) and close(found["differences"], expected["differences"])


# Without launched processes


def test_those_that_work_together_compute_everything_but_what_is_mapped():
    together = Rehearsed(1, 3, together=True, others=(["first"], ["second"]))
    assert together.share([5.0, 1.0, 1.0], 2) == slice(0, 3)
    computed: list[str] = []

    def compute(piece: str) -> str:
        computed.append(piece)
        return piece.upper()

    pieces = ["a", "bb", "ccc", "dddd", "1", "22"]
    found = [piece for piece, _ in together.map(compute, pieces, len, str.isdigit)]
    assert found == ["dddd", "ccc", "bb", "a", "22", "1"]  # the costliest of a kind first, three at a time
    assert computed == ["ccc", "a", "1"]  # of the second turn, what another one computes: it passes through, too


def test_what_is_spread_is_not_halved_where_memory_is_short():
    prompts = (EncodedPrompt((1, 2), ((3,),)),) * 4

    def short(batch: Batch) -> list[int]:
        raise MemoryError

    with pytest.raises(ModelError, match=r"4 prompts at once .* a smaller --batch-tokens"):
        in_halves(short, Batch((0, 1, 2, 3), prompts), whole=True)


def test_what_cannot_be_spread_is_refused_in_one_sentence(case):
    with pytest.raises(SettingsError, match=r"here is one process; start the command with torchrun"):
        open_model(case.settings(EvaluateSettings, shard=True))
    together = Rehearsed(0, 2, together=True)
    with pytest.raises(SettingsError, match=r"--shard and --device-map exclude each other"):
        open_model(case.settings(EvaluateSettings, shard=True, device_map="auto"), together)
    with pytest.raises(SettingsError, match=r"lm-evaluation-harness reads in batches of its own"):
        open_model(case.settings(EvaluateSettings, shard=True, harness=("arc_easy",)), together)
    with pytest.raises(ModelError, match=r"'made' is an encoder-decoder"):
        refuse_unsplit(build("flan-t5"), "made")
    with pytest.raises(
        SettingsError, match=r"needs a model whose weights are in one place; with --shard there are .*crispr"
    ):
        refuse_unsharded({"projection": METHODS["projection"](METHODS["projection"].Settings())})
    refuse_unsharded({"original": METHODS["original"](Options())})
