"""The benchmarks: what they count, fit, compare and print; never how long anything takes."""

import contextlib
import importlib.util
import io
import itertools
import json
import math
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.base import Bar, Line, Settings
from benchmarks.device import clock_of, peak_beyond
from benchmarks.fitting import fit_growth
from benchmarks.gradient_peers import block_maps, captum_scores, plain_scores
from benchmarks.ia3_peer import Ia3Peer
from benchmarks.learner import Learner, taken
from benchmarks.made_up import decoder_instances, encoder_decoder_instances
from benchmarks.made_up_task import made_up_task, made_up_tokenizer
from benchmarks.matrix_rate import MatrixRate, own_products, share_of
from benchmarks.profiling import operator_shares
from benchmarks.subject import SHAPES, made_up_language_model
from benchmarks.suite import BENCHMARKS, learning
from benchmarks.suite.attribution import largest_difference, library_scores, measured
from benchmarks.suite.learning import largest_difference as gradients_apart
from benchmarks.suite.reuse import lowest_layer
from benchmarks.table import document, print_table
from benchmarks.timing import Times, alternate, ratio
from biasectomy.attribution.products.engine import Instance
from biasectomy.attribution.scores import Scores
from biasectomy.errors import BiasectomyError, SettingsError
from biasectomy.files import without_nan
from biasectomy.models.language_model import load
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.neurons.work import Operations, Work, counted
from biasectomy.reading.layouts import Batch, EncoderDecoderLayout, PackedLayout, RepeatedCacheLayout, RowLayout
from biasectomy.reading.likelihood import score
from biasectomy.reading.prompts import EncodedPrompt
from tests.conftest import build_llama, build_tokenizer, make_items
from tests.reading.encoder_decoders import VOCABULARY, build

ROOT = Path(__file__).parents[1]
LABELS = EncoderDecoderLayout()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


# 16 wide, 4 query heads and 2 key heads of 4: q and o are 16 x 16, k and v 16 x 8; gate, up and down 16 x 40.
LINEAR_WEIGHTS = 2 * (2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 40)


def test_operations_of_a_packed_prompt_are_those_worked_out_by_hand():
    model = build_llama(50)
    encoded = EncodedPrompt((5, 6, 7), ((8, 9), (10, 11, 12)))
    with counted(model) as work:
        score(model, Batch((0,), (encoded,)), PackedLayout())
    # Read are 3 of the prompt, 8, 10 and 11; predicted from are 7, 8, 10 and 11.
    assert (work.tokens, work.passes) == (6, 1)
    assert work.linear == 2 * 6 * LINEAR_WEIGHTS
    assert work.vocabulary == 2 * 4 * 16 * 50
    # 1 + 2 + 3 for the prompt, 4 for 8, 4 for 10 and 5 for 11; of two layers, each pair two products of 16.
    assert work.attention == 2 * 4 * 16 * (1 + 2 + 3 + 4 + 4 + 5)
    assert work.forward == work.linear + work.vocabulary + work.attention
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_operations_of_rows_leave_masked_tokens_out_of_attention_only():
    model = build_llama(50)
    tokens, mask = torch.ones(2, 4, dtype=torch.long), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with counted(model) as work, torch.no_grad():
        model(tokens)
    assert (work.tokens, work.attention) == (8, 2 * 4 * 16 * 2 * (1 + 2 + 3 + 4))
    with counted(model) as work, torch.no_grad():
        model(input_ids=tokens, attention_mask=mask)
    assert (work.tokens, work.attention) == (8, 2 * 4 * 16 * (1 + 2 + 3 + 4 + 1 + 2))
    assert work.linear == 2 * 8 * LINEAR_WEIGHTS


def test_operations_of_an_encoder_decoder_equal_those_that_torch_counts():
    model = build("flan-t5")
    model.set_attn_implementation("eager")  # torch counts no fused attention
    with counted(model) as work, FlopCounterMode(display=False) as torch_counts, torch.no_grad():
        model(input_ids=torch.ones(1, 7, dtype=torch.long), labels=torch.ones(1, 3, dtype=torch.long))
    # Torch also counts the half of the decoder's attention that is masked: of 3 labels 9 pairs, not 6.
    assert work.forward + 2 * 4 * 16 * (9 - 6) == torch_counts.get_total_flops()
    assert (work.tokens, work.passes, work.tokens_per_pass) == (10, 1, 10)


@pytest.mark.parametrize(
    ("family", "layout"),
    [
        ("llama", PackedLayout()),
        ("llama", RowLayout()),
        ("llama", RepeatedCacheLayout()),
        ("flan-t5", EncoderDecoderLayout()),
        ("flan-t5", EncoderDecoderLayout(packed=False)),
    ],
)
def test_what_is_foretold_of_a_batch_is_what_is_counted(family, layout):
    model = build_llama(50) if family == "llama" else build(family)
    prompts = (EncodedPrompt((5, 6, 7, 2), ((8, 9), (10, 11, 12))), EncodedPrompt((5, 6, 9, 9), ((8, 9, 3), (10,))))
    batch = Batch((0, 1), prompts)
    with counted(model) as work:
        score(model, batch, layout)
    foretold = Operations.of(model).work(layout.size(batch))
    if isinstance(layout, RepeatedCacheLayout):  # behind a cache, what is counted as seen are rows of a mask
        work.attention = foretold.attention
    assert foretold == work


def test_a_backward_pass_costs_one_product_of_a_map_and_two_of_attention():
    assert Work(linear=100, vocabulary=10, attention=1).with_backward(2) == 3 * 110 + 5


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.7])
def test_a_power_law_is_found_exactly(exponent):
    sizes = (1, 2, 4, 8)
    fitted = fit_growth(sizes, [0.3 * size**exponent for size in sizes])
    assert fitted.exponent == pytest.approx(exponent, abs=1e-12)
    assert fitted.standard_error == pytest.approx(0, abs=1e-7)
    assert fitted.at(16) == pytest.approx(0.3 * 16**exponent)


def test_the_error_of_an_exponent_is_that_of_linear_regression():
    from scipy.stats import linregress

    sizes, seconds = (1, 2, 4, 8), (1.0, 2.5, 3.5, 9.0)
    expected = linregress([math.log(size) for size in sizes], [math.log(value) for value in seconds])
    fitted = fit_growth(sizes, seconds)
    assert (fitted.exponent, fitted.standard_error) == pytest.approx((expected.slope, expected.stderr))
    assert math.isnan(fit_growth((1, 2), (1, 2)).standard_error)


def test_contestants_take_turns_and_the_first_round_is_not_timed():
    calls: list[str] = []
    ticks = itertools.count()

    def run(name: str):
        calls.append(name)
        return name.upper()

    @contextlib.contextmanager
    def note(what: str, name: str):
        calls.append(f"{what} {name}")
        yield
        calls.append(".")

    contestants = {"a": lambda: run("a"), "b": lambda: run("b")}
    times, results = alternate(
        contestants,
        2,
        around=lambda name: note("time", name),
        around_first=lambda name: note("count", name),
        clock=lambda: float(next(ticks)),
    )
    in_turns = ["time a", "a", ".", "time b", "b", "."]
    assert calls == ["count a", "a", ".", "count b", "b", ".", *in_turns, *in_turns]
    assert results == {"a": "A", "b": "B"}
    assert times == {"a": Times((1.0, 1.0)), "b": Times((1.0, 1.0))}


def test_a_share_is_of_the_best_rate_beside_the_runs():
    found = share_of([10.0, 20.0, 10.0], 60, Times((10.0, 4.0, 8.0)))
    assert (found.value, found.low, found.high) == (0.375, 0.3, 0.75)


def test_rates_are_taken_on_both_sides_of_a_run_over_the_maps_of_the_blocks():
    model = build_llama(50)
    rate = MatrixRate(model)
    for _ in range(2):
        with rate.around(rows=3):
            before = len(rate.square)
        assert len(rate.square) == len(rate.own) == before + 1
    assert min(*rate.square, *rate.own) > 0
    assert own_products(model, 3)[1] == 2 * 3 * LINEAR_WEIGHTS


def test_a_ratio_is_of_medians_and_its_spread_of_rounds():
    found = ratio(Times((1.0, 2.0, 4.0)), Times((4.0, 6.0, 10.0)))
    assert (found.value, found.low, found.high) == (3.0, 2.5, 4.0)


@pytest.fixture
def encoder_decoder():
    model = build("flan-t5").requires_grad_(False)
    return model, encoder_decoder_instances([9, 14, 11, 17, 8], vocabulary=VOCABULARY)


@pytest.mark.parametrize("peer", [plain_scores, captum_scores])
def test_the_peers_compute_the_same_scores_as_the_library(encoder_decoder, peer):
    model, instances = encoder_decoder
    if peer is captum_scores:
        pytest.importorskip("captum", reason="captum is not installed (extra 'bench' or 'dev')")
    neurons = discover_neurons(model)
    ours, theirs = library_scores(model, neurons, instances, LABELS), peer(model, instances)
    assert set(theirs) == set(block_maps(model)) == {group.module for group in neurons}
    assert largest_difference(ours, theirs) < 1e-4
    assert max(float(values.abs().max()) for values in ours.values()) > 0
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())


def test_a_score_that_differs_is_seen(encoder_decoder):
    model, instances = encoder_decoder
    ours = library_scores(model, discover_neurons(model), instances, LABELS)
    other = {name: values.clone() for name, values in ours.items()}
    largest = max(float(values.abs().max()) for values in ours.values())
    other[next(iter(other))][3] += largest / 100
    assert largest_difference(ours, other) == pytest.approx(0.01)
    del other[next(iter(other))]
    with pytest.raises(ValueError, match="other modules"):
        largest_difference(ours, other)


def test_the_harness_gives_the_same_log_likelihoods(tmp_path):
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (extra 'bench')")
    from benchmarks.harness import best_harness
    from benchmarks.suite.scoring import _pairs
    from benchmarks.suite.scoring import score as score_task
    from biasectomy.tasks import Task
    from biasectomy.tasks.multiple_choice import listed

    tokenizer = build_tokenizer(chat=False)
    build_llama(len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    language_model = load(str(tmp_path), prompt="plain")
    items = make_items(2)
    task = Task("toy:age", items, ("Answer the question.",), (), "1", listed)
    pairs = _pairs(language_model, task)
    harness, size, tried = best_harness(language_model, pairs)
    prompts = [language_model.encode(question) for question in task.questions()]
    assert [harness.tokens(pair) for pair in pairs] == [[*p.prompt, *option] for p in prompts for option in p.options]
    assert score_task(language_model, task) == pytest.approx(harness.log_likelihoods(pairs), abs=1e-3)
    assert size in tried


@pytest.fixture
def contestants(tiny_folder, toy_task):
    """The library's training and that by peft, each on a model of its own, with the same factors."""
    pytest.importorskip("peft", reason="peft is not installed (extra 'bench', 'dev' or 'peft')")

    def make(factors: torch.Tensor) -> tuple[Learner, Ia3Peer]:
        ours, peer = (kind(load(str(tiny_folder)), toy_task(), 6) for kind in (Learner, Ia3Peer))
        with torch.no_grad():
            ours.factors.values.copy_(factors)
            for parameter, values in zip(peer.parameters, factors.split(40), strict=True):
                parameter.copy_(values.view(parameter.shape))
        return ours, peer

    return make


@pytest.mark.parametrize("last", [1.0, 1.7])  # what both begin with, and somewhere else
@pytest.mark.parametrize("step", [0, 3])
def test_peft_learns_from_the_same_items_by_the_same_loss_and_the_same_gradient(contestants, last, step):
    ours, peer = contestants(torch.linspace(2 - last, last, 80))
    assert ours.training.batches.at(step) == peer.batches.at(step)
    loss, drift = ours.training._gradients(step).tolist()
    shown = peer.backward(step)
    assert loss == pytest.approx(shown.loss, rel=1e-5)
    # The library keeps in half precision what the original says of a text.
    assert drift == pytest.approx(shown.drift, rel=2e-3, abs=2e-4) and (drift > 0.01) == (last > 1)
    taken([ours.factors.values, *peer.parameters])
    for drift_weight, tolerance in ((0.0, 1e-4), (2.0, 2e-3)):
        found, expected = (one.gradient(step, drift_weight) for one in (ours, peer))
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * float(expected.abs().max()))
        assert float(expected.abs().max()) > 0.1
    peer.items_at_once = 2
    torch.testing.assert_close(peer.gradient(step, 2.0), expected, rtol=1e-4, atol=1e-5)


def test_a_unit_that_is_mistaken_for_another_is_seen(contestants):
    ours, peer = contestants(torch.ones(80))
    assert gradients_apart(ours, peer) < 1e-4
    peer.parameters.reverse()
    assert gradients_apart(ours, peer) > 0.1


def test_a_step_is_timed_against_peft_and_says_what_was_read(tiny_folder, toy_task):
    pytest.importorskip("peft", reason="peft is not installed (extra 'bench', 'dev' or 'peft')")
    settings = Settings(threads=1, quick=True, items=4, model=str(tiny_folder))
    lines, items_at_once = learning.speed(settings, toy_task())
    assert [line.unit for line in lines] == ["times", "times", "times", "difference"]
    assert lines[0].bar == Bar("at least", 5.0) and lines[-1].met
    assert items_at_once in (1, 2, 4)
    # All read four items and a text; packed, what prompts share is read once, and peft puts the text to both models.
    assert 0 < lines[0].tokens == lines[1].tokens == lines[2].tokens < lines[0].peer_tokens
    assert "with 40 neurons" in lines[1].what  # of the second of two layers: there are no more


def test_neurons_left_in_another_number_format_are_counted(tiny_folder, toy_task):
    settings = Settings(threads=1, quick=True, items=4, model=str(tiny_folder))
    half, seed = learning.same_neurons(settings, toy_task())
    assert half.what == "of 10 neurons left after 2 steps, the same as in float32" and half.dtype == "bfloat16"
    assert half.details["by_chance"] == 10 / 80 and half.value * 10 == pytest.approx(round(half.value * 10))
    assert half.value > 0.5 and seed.value < 1  # of the same items; of others


def test_what_a_process_of_its_own_measures_of_memory_is_said(monkeypatch):
    asked = []

    def probed(settings, job, items, instructions, **further):
        asked.append((job, items, further))
        return {"before": 100, "peak": 400 if job == "ia3" else 250, "weights": 100}

    monkeypatch.setattr(learning, "probe_memory", probed)
    over, ours, peer = learning.memory(Settings(threads=1), 2)
    assert (over.value, ours.value, peer.value) == (2.0, 1.5, 3.0)
    assert asked == [("learning", 8, {"steps": 2}), ("ia3", 8, {"steps": 2, "items_at_once": 2})]


TINY = Settings(threads=1, quick=True, items=4, shape="tiny", dtype="float32")


def test_a_shape_has_as_many_weights_as_the_model_it_is_named_after():
    from transformers import LlamaConfig, LlamaForCausalLM

    known = {"llama-1b": 1_235_814_400, "llama-8b": 8_030_261_248}  # as the published models have them
    for name, weights in known.items():
        with torch.device("meta"):
            model = LlamaForCausalLM(LlamaConfig(**SHAPES[name]))
        assert sum(parameter.numel() for parameter in model.parameters()) == weights


def test_made_up_items_have_the_lengths_of_bbq_and_share_what_its_items_share():
    task, tokenizer = made_up_task(512), made_up_tokenizer(512)
    assert (len(task.items), len({item.cluster for item in task.items})) == (24 * 12 * 4, 24)

    def count(text: str) -> int:
        return len(tokenizer(text)["input_ids"])

    first = task.items[:4]
    assert [count(item.context) for item in first] == [22, 22, 22 + 17, 22 + 17]
    assert [count(item.question) for item in first] == [8, 15, 8, 15]
    assert all(sorted(map(count, item.options)) == [2, 2, 4] for item in first)
    assert len({item.question for item in first}) == 2 and first[2].context.startswith(first[0].context)
    assert (
        count(task.instructions[0]) == 13 and tokenizer.unk_token_id not in tokenizer(task.instructions[0])["input_ids"]
    )
    for item in task.items:
        assert len({*item.options, item.gold, item.target, item.unknown}) >= 5
        assert (item.gold == item.unknown) == (item.labels["condition"] == "ambiguous")
    # Beside the words around the pieces, no token is unknown; the lengths are those of real prompts.
    lengths = [count(f"{question.text}\nAnswer:") for question in task.limited(96, 1).questions()]
    assert 90 < sum(lengths) / len(lengths) < 115


@pytest.mark.parametrize("peer", [plain_scores, captum_scores])
def test_the_peers_compute_the_same_scores_of_a_decoder(peer):
    if peer is captum_scores:
        pytest.importorskip("captum", reason="captum is not installed (extra 'bench' or 'dev')")
    model, instances = measured(TINY, "float32", 4)
    ours = library_scores(model, discover_neurons(model), instances, PackedLayout())
    theirs = peer(model, instances)
    assert set(theirs) == set(block_maps(model)) == set(ours) and largest_difference(ours, theirs) < 1e-4
    assert max(float(values.abs().max()) for values in ours.values()) > 0


@pytest.mark.parametrize(("name", "package"), [("scoring", "lm_eval"), ("attribution", "captum"), ("learning", "peft")])
def test_a_shape_is_measured_against_the_same_peers_without_bars(name, package):
    pytest.importorskip(package, reason=f"{package} is not installed (extra 'bench')")
    lines = BENCHMARKS[name].run(TINY)
    assert {line.benchmark for line in lines} == {name} and lines[0].unit == "times" and lines[0].value > 0
    assert all((line.bar is None) == (line.unit != "difference") and line.met is not False for line in lines)
    assert {line.dtype for line in lines} <= {"", "float32"} and lines[0].details["tokens_per_second"]
    json.dumps(document(lines, MACHINE, TINY, {}))


def test_a_number_format_may_be_chosen_of_a_shape():
    model = made_up_language_model("tiny", "bfloat16")
    assert (model.model.dtype, model.layout.name) == (torch.bfloat16, "packed")


def test_the_clock_of_a_processor_is_the_clock():
    before, between, after = time.perf_counter(), clock_of("cpu")(), time.perf_counter()
    assert before <= between <= after and peak_beyond(lambda: None, "cpu") is None


def test_what_a_benchmark_would_not_read_is_refused():
    with pytest.raises(SettingsError, match="'growth' takes no --device, --shape or --dtype; these do: scoring, l"):
        BENCHMARKS["growth"].refuse_elsewhere(TINY)
    BENCHMARKS["growth"].refuse_elsewhere(Settings(threads=1))
    BENCHMARKS["scoring"].refuse_elsewhere(TINY)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shape": "lama-1b"}, "There is no shape named 'lama-1b'; did you mean 'llama-1b'?"),
        ({"dtype": "float8"}, "There is no number format named 'float8'"),
        ({"device": "nothing"}, "There is no device 'nothing' here; use --device cpu."),
    ],
)
def test_a_wrong_device_shape_or_format_is_one_sentence(wrong, said):
    from benchmarks.__main__ import run

    with pytest.raises(BiasectomyError) as refused:
        run(["attribution"], **wrong)
    assert str(refused.value).startswith(said)


def test_made_up_prompts_share_what_stands_for_the_instruction():
    instances = decoder_instances(items=3, instructions=2, options=4, length=20)
    assert len(instances) == 6
    assert {len(instance.encoded.prompt) for instance in instances} == {20}
    assert {len(instance.encoded.options) for instance in instances} == {4}
    assert len({instance.encoded.prompt[:5] for instance in instances}) == 2
    assert len({instance.encoded.prompt for instance in instances}) == 6
    assert all(isinstance(instance, Instance) and 0 <= instance.gold < 4 for instance in instances)


def test_the_lowest_edited_layer_is_found():
    model = build_llama(50, layers=3)
    neurons = discover_neurons(model)
    scores = Scores(neurons, {})
    chosen = NeuronSet(tuple(Neuron(f"model.layers.{layer}.mlp.up_proj", 0, 1.0) for layer in (2, 1)))
    assert lowest_layer(scores, chosen) == 1


def test_a_profile_names_the_operator_that_takes_the_time():
    square = torch.randn(600, 600)
    shares = operator_shares(lambda: square @ square, most=3)
    assert next(iter(shares)) == "aten::mm"
    assert 0 < sum(shares.values()) <= 1.001


MACHINE = {"processor": "A processor", "cores": 2, "threads": 1, "versions": {"torch": "2"}, "load_average": None}
LINES = [
    Line(
        "scoring", "against the harness", 4.0, "times", "float32", 3.9, 4.2, Bar("at least", 3.5),
        seconds=1.0, peer_seconds=4.0, tokens=10, peer_tokens=40, gigaflop=2.0, matrix_share=0.8,
    ),
    Line("scoring", "largest difference", 0.002, "difference", "float32", bar=Bar("at most", 1e-3)),
    Line("growth", "scoring with items", math.nan, "exponent", low=math.nan, high=1.0, bar=Bar("at most", 1.1)),
    Line("memory", "attribution, 10 items", 2.25, "weights"),
]  # fmt: skip


TOOK = "Took 1 min 6 s: scoring 1 min 1 s, growth 5 s"


def test_the_table_says_what_was_met_within_its_width():
    output = io.StringIO()
    print_table(LINES, MACHINE, {"scoring": 61.0, "growth": 5.0}, output)
    text = output.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    for expected in (
        "4.00x",
        "3.90x to 4.20x",
        ">= 3.50x",
        "met",
        "MISSED",
        "80.0 %",
        "2.25x",
        "A processor, 2 cores",
        TOOK,
    ):
        assert expected in text
    assert [line.met for line in LINES] == [True, False, False, None]


def test_the_document_is_json_with_every_field():
    settings = Settings(threads=2, plots=Path("plots"))
    read = json.loads(json.dumps(without_nan(document(LINES, MACHINE, settings, {"scoring": 61.0})), allow_nan=False))
    assert read["schema_version"] == 1
    assert read["settings"]["plots"] == "plots" and read["took"] == {"scoring": 61.0}
    assert read["lines"][0]["bar"] == {"kind": "at least", "number": 3.5}
    assert [line["met"] for line in read["lines"]] == [True, False, False, None]
    assert read["lines"][2]["value"] is None


def test_growth_is_plotted(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'bench')")
    from benchmarks.plots import Curve, plot_growth

    generator = random.Random(0)
    sizes = (1, 2, 4)
    seconds = [size * generator.uniform(0.9, 1.1) for size in sizes]
    curve = Curve("items", sizes, seconds, fit_growth(sizes, seconds))
    written = plot_growth({"scoring": [curve], "attribution": [curve]}, tmp_path / "plots")
    assert [path.name for path in written] == ["growth.png", "growth.svg"]
    assert "fitted exponent" in written[1].read_text() or written[1].stat().st_size > 1000


def test_every_benchmark_says_what_it_does():
    told = (Path(__file__).parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [name for name in BENCHMARKS if f"\n| `{name}` | " not in told] == []
    assert all(BENCHMARKS[name].description.endswith(".") for name in BENCHMARKS)


def test_help_and_list():
    shown = command("--help")
    assert shown.returncode == 0
    for option in ("--json", "--plots", "--threads", "--rounds", "--quick", "--device", "--shape", "--dtype"):
        assert option in shown.stdout
    listed = command("--list")
    assert listed.returncode == 0
    assert "scoring" in listed.stdout


def test_a_wrong_name_is_one_sentence_with_the_nearest_right_one():
    refused = command("scorng")
    assert refused.returncode == 2
    assert refused.stderr == "Error: There is no benchmark named 'scorng'; did you mean 'scoring'?\n"
    assert refused.stdout == ""


def test_a_missing_package_is_named_before_anything_runs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"'scoring' needs lm_eval; pip install '\.\[bench\]'"):
        BENCHMARKS["scoring"].refuse_missing()
