"""`--dtype auto`: which number format a run computes in, why, and that it keeps it."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from biasectomy.commands import number_format
from biasectomy.commands.ask import opened
from biasectomy.commands.evaluate import run as evaluate
from biasectomy.commands.number_format import Asking, Flips, interval, least_questions, most_flips, open_in_format
from biasectomy.commands.planning import run as plan
from biasectomy.commands.replay import replay
from biasectomy.commands.settings_measuring import EvaluateSettings
from biasectomy.commands.settings_runs import AskSettings
from biasectomy.errors import ModelError, ScoreError
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.processes import ALONE
from biasectomy.report.number_format import recorded_format, told_format
from tests.reading.test_products import rates
from tests.report.carded_runs import MODULE, made_run


class Saying:
    """In place of a model that answers parts of 100 questions: the choices are known, and the seconds a question."""

    def __init__(self, choices, seconds):
        self.parts = np.array_split(np.array(choices), math.ceil(len(choices) / 100))
        self.seconds, self.asked = seconds, 0

    def choices(self, part):
        self.asked = max(self.asked, part + 1)
        return self.parts[part], self.seconds * len(self.parts[part])


def compared(first, second, seconds=0.5):
    other = Saying(second, seconds)
    return number_format._compared(Saying(first, 1.0), other, "bfloat16", len(first)), other.asked


def test_how_many_questions_it_takes_and_how_many_may_differ():
    assert least_questions() == 368
    assert [most_flips(count) for count in (1, 367, 368, 600, 1000)] == [-1, -1, 0, 1, 3]
    assert interval(3, 1000) == pytest.approx((beta.ppf(0.025, 3, 998), beta.ppf(0.975, 4, 997)))


def test_a_format_that_changes_next_to_nothing_is_good_if_it_is_faster():
    zeros = np.zeros(1000, dtype=int)
    second = zeros.copy()
    second[[5, 500, 900]] = 1
    found, asked = compared(zeros, second)
    assert found.good and asked == 10 and (found.questions, found.differ) == (1000, 3)
    assert str(found) == "bfloat16 changes 3 of 1,000 answers, 0.3 % [0.1, 0.9], and answers 2.0 times as fast"
    found, _ = compared(zeros, second, seconds=0.95)
    assert found.few and not found.good and str(found).endswith("which is not faster")


def test_a_fourth_change_ends_the_asking():
    second = np.zeros(1000, dtype=int)
    second[[5, 150, 151, 160]] = 1
    found, asked = compared(np.zeros(1000, dtype=int), second)
    assert not found.good and asked == 2 and found.questions == 200
    assert str(found).startswith("bfloat16 changes 4 of the first 200 answers, 2.0 % [")
    assert str(found).endswith("; 3 of 1,000 would do")


def test_answers_that_choose_nothing_show_nothing():
    nothing = np.full(400, -1)
    found, _ = compared(nothing, nothing)
    assert not found.good and "no question was answered" in str(found)
    found, _ = compared([*[-1] * 300, *[0] * 300], [*[-1] * 300, *[0] * 300])  # 300 are too few, 600 would do
    assert found.complete and found.differ == 0 and not found.few
    found, _ = compared([0] * 400, [*[0] * 399, -1])  # no choice any more is a change
    assert found.differ == 1


@pytest.fixture
def faster(monkeypatch):
    """A machine where the other formats are faster, and a run of which few items are enough."""
    monkeypatch.setattr(number_format, "products", lambda device: rates(0.4, 0.5))
    for name, value in (("FEW", 0.9), ("PART", 1), ("ALIKE", 0.0)):
        monkeypatch.setattr(number_format, name, value)


@pytest.fixture
def auto(tiny_folder, toy_task, tmp_path):
    """Evaluates with `--dtype auto`; the record."""

    def make(out="run", **more):
        given = {"also": "none", "dtype": "auto", "replicates": 50, "out": tmp_path / out} | more
        evaluate(EvaluateSettings.of(model=str(tiny_folder), **given), task=toy_task())
        return json.loads((given["out"] / "record.json").read_text())

    return make


def test_a_run_computes_in_the_format_found_and_says_why(faster, auto, tmp_path):
    record = auto()
    noted = record["number_format"]
    assert noted["chosen"] == "bfloat16" == recorded_format(record) and record["settings"]["dtype"] == "auto"
    (flips,) = noted["flips"]
    assert flips["questions"] == 64 and flips["complete"] and flips["interval"] == "Clopper-Pearson"
    plain = auto("plain", dtype="bfloat16")
    assert plain["weights"] == record["weights"] and plain["number_format"] == {"chosen": "bfloat16"}
    report = (tmp_path / "run" / "report.md").read_text()
    assert f"- number format: bfloat16, found by --dtype auto: {noted['because']}" in report
    assert "- number format: bfloat16\n" in (tmp_path / "plain" / "report.md").read_text()


def test_a_run_that_is_resumed_keeps_its_format(faster, auto, monkeypatch):
    before = auto()
    monkeypatch.setattr(number_format, "products", lambda device: pytest.fail("it was chosen again"))
    after = auto(resume=True)
    assert after["number_format"] == before["number_format"] and after["weights"] == before["weights"]


def test_a_run_made_again_computes_as_it_did(faster, tmp_path, case, monkeypatch):
    settings = {name: case.values[name] for name in ("model", "data", "task", "max_instructions")}
    evaluate(EvaluateSettings.of(**settings, also="none", dtype="auto", out=tmp_path / "run", replicates=50))
    monkeypatch.setattr(number_format, "products", lambda device: pytest.fail("it was chosen again"))
    again = replay(tmp_path / "run", tmp_path / "again")
    record = json.loads((again.folder / "record.json").read_text())
    assert again.agrees and not again.rests_on and record["number_format"]["chosen"] == "bfloat16"


def test_questions_to_a_run_are_asked_in_its_format(tmp_path, tiny_folder, monkeypatch):
    neurons = NeuronSet((Neuron(MODULE, 0, 1.0, 0.5),))
    named = {"model": {"name": str(tiny_folder)}, "number_format": {"chosen": "bfloat16"}}
    made_run(tmp_path / "run", neurons=neurons, made=None, **named)
    found = []

    def open_model(settings):
        found.append(settings.dtype)
        raise ModelError("enough")

    monkeypatch.setattr("biasectomy.commands.ask.open_model", open_model)
    for given in ({}, {"dtype": "float16"}):
        with pytest.raises(ModelError), opened(AskSettings.of(run=tmp_path / "run", **given)):
            pass
    assert found == ["bfloat16", "float16"]


@pytest.mark.parametrize(
    ("asking", "machine", "because"),
    [
        ({"questions": 1471}, rates(0.4), r"takes 368 questions .* a run of this size affords 36"),
        ({}, rates(6.2, 3.7), "No other number format that could be used is faster on this processor"),
        ({"fits": True}, rates(2, 0.3), "No other number format that could be used"),  # float16 where gradients are
        ({"blank": True}, rates(0.4), "has no options"),
    ],
)
def test_where_it_cannot_be_shown_it_is_float32(tiny_folder, toy_task, monkeypatch, caplog, asking, machine, because):
    caplog.set_level("INFO")
    monkeypatch.setattr(number_format, "products", lambda device: machine)
    monkeypatch.setattr(number_format, "_tried", lambda *_: pytest.fail("it was tried"))
    task = toy_task(clusters=100, per_cluster=8)
    if asking.get("blank"):
        task = replace(task, items=tuple(replace(item, options=()) for item in task.items))
    given = Asking(task, asking.get("questions", 1e6), fits=asking.get("fits", False))
    settings = EvaluateSettings.of(model=str(tiny_folder), dtype="auto")
    model, noted = open_in_format(settings, ALONE, None, given)
    assert noted["chosen"] == "float32" == str(model.model.dtype).removeprefix("torch.")
    assert re.search(because, noted["because"]) and "So it is float32" in caplog.text


@pytest.mark.parametrize("error", [ModelError("it is too large."), ScoreError("they are not finite.")])
def test_a_format_that_fails_leaves_the_next_one(faster, auto, monkeypatch, error):
    loaded = number_format.loaded

    def failing(settings, processes, source, name):
        if name == "bfloat16":
            raise error
        return loaded(settings, processes, source, name)

    def compare(full, other, name, planned):
        if name == "bfloat16":
            raise error
        return before(full, other, name, planned)

    before = number_format._compared
    name, changed = ("loaded", failing) if isinstance(error, ModelError) else ("_compared", compare)
    monkeypatch.setattr(number_format, name, changed)
    noted = auto()["number_format"]
    assert noted["chosen"] == "float16"
    assert noted["because"].startswith(f"bfloat16 cannot be had: {str(error).rstrip('.')}. float16 changes 0 of 64")


def test_questions_in_both_formats_are_at_most_a_thousand_and_a_quarter_of_the_run(toy_task):
    task = toy_task(clusters=100, per_cluster=8, instructions=3)
    for questions, expected in ((1e6, 1000), (2400, 600), (3, 0), (400, 100)):
        parts = number_format._parts(Asking(task, questions), seed=0)
        assert number_format._count(parts) == expected and all(len(part.items) <= 100 for part in parts)
        asked = [item.identifier for part in parts for item in part.items]
        assert len(asked) == len(set(asked))


def test_a_plan_says_what_auto_would_do(tiny, toy_task, monkeypatch):
    monkeypatch.setattr(number_format, "PART", 1)
    for machine, said in (
        (rates(0.4), "would first ask at most 1,000 questions in float32 and bfloat16"),
        (rates(6), "auto would be float32"),
    ):
        monkeypatch.setattr("biasectomy.commands.planning.products", lambda device, found=machine: found)
        task = toy_task(clusters=125, per_cluster=8, instructions=1)
        notes = plan(EvaluateSettings.of(plan=True, also="none", dtype="auto"), tiny, task).notes()
        assert machine.told() in notes[-1] and said in notes[-1]


def test_a_record_of_an_earlier_version_has_the_format_it_was_asked_for():
    assert (
        recorded_format({"settings": {"dtype": "bfloat16"}})
        == "bfloat16"
        == told_format({"settings": {"dtype": "bfloat16"}})
    )
    assert recorded_format({"settings": {"dtype": "auto"}}) is None and told_format({}) == ""
    assert not Flips("bfloat16", 400, refused="too large").good
