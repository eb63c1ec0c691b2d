"""`describe` from end to end on a tiny Llama, a tiny organism, and as it appears on a terminal of 80 columns."""

import io
import json
import sys

import pytest
from rich.console import Console

import biasectomy
from biasectomy.cli.app import main
from biasectomy.commands import describe
from biasectomy.commands.settings_neurons import DescribeSettings
from biasectomy.errors import NeuronSetError, RunError, SourceError
from biasectomy.files import read_json
from biasectomy.measuring.most_active import most_active
from biasectomy.models.language_model import load
from biasectomy.models.organisms import PLANTED_FILES, Recipe, make_organism
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.report.description import print_description, shown
from tests.commands.cases import Case, opened


def neurons(*units: int, layer: int = 0, factor: float = 0.5, definition: str = "ffn-hidden") -> NeuronSet:
    module = f"model.layers.{layer}.mlp.down_proj"
    return NeuronSet(tuple(Neuron(module, unit, 1.0, factor) for unit in units), definition)


@pytest.fixture
def files(tmp_path):
    neurons(1, 5, 7, 9).save(tmp_path / "a.json")
    neurons(5, 7, 9, 11, factor=1.5).save(tmp_path / "b.json")
    neurons(7, 30, layer=1).save(tmp_path / "c.json")
    return tmp_path


def settings(case: Case, files, **changes) -> DescribeSettings:
    return case.settings(
        DescribeSettings, **{"neurons_file": files / "a.json", "out": files / "out.json", "prompts": 6, **changes}
    )


def test_everything_there_is_to_tell(case, files, tiny):
    others = tuple(str(files / f"{name}.json") for name in "bc")
    found = describe.run(settings(case, files, with_sets=others, tokens=4))
    written = read_json(files / "out.json")
    assert written == json.loads(json.dumps(found.to_json()))
    assert [one["unit"] for one in written["neurons"]] == [1, 5, 7, 9]
    first = written["neurons"][0]
    assert len(first["writes_towards"]) == len(first["writes_away_from"]) == 4 and len(first["most_active"]) == 3
    assert first["writes_towards"][0]["token"] == tiny.tokenizer.decode([first["writes_towards"][0]["id"]])
    assert first["writes_towards"][0]["deviations"] > 0 > first["writes_away_from"][0]["deviations"]
    development = opened(case).development
    assert {peak["item"] for one in written["neurons"] for peak in one["most_active"]} <= {
        item.identifier for item in development.items
    }
    limited = development.limited(6, 1, case.values["seed"])
    assert first["mean_activation"] == pytest.approx(most_active(tiny, neurons(1), limited)[0].mean, rel=1e-4)
    assert [one["shared"] for one in written["overlap"]] == [3, 0, 0, 0]
    pair = written["overlap"][0]
    assert pair["expected"] == pytest.approx(4 * 4 / 40) and pair["same_direction"] == 0.0
    assert pair["correlation"] is None and pair["reason"]
    assert written["planted"] is None
    assert written["composition"]["layers"][0]["neurons"] == 4 and written["composition"]["weakened"] == 4


def test_it_fits_80_columns_and_says_what_it_says_elsewhere(case, files):
    others = tuple(str(files / f"{name}.json") for name in "bc")
    found = describe.run(settings(case, files, with_sets=others))
    stream = io.StringIO()
    print_description(found, Console(file=stream, width=80, highlight=False))
    text = stream.getvalue()
    tables = [line for line in text.splitlines() if "json" not in line]
    assert max(map(len, tables)) <= 80
    assert "0: 9" in text and "0.4 (0-2)" in text and "A B C" in text and "100% weakened" in text
    assert "The first 4 of 4 neurons" in str(found)


def test_without_prompts_no_item_is_read(case, files):
    found = describe.run(settings(case, files, prompts=0, data=None, task="bbq:nothing-there"))
    assert found.values["task"] is None and found.values["neurons"][0]["most_active"] == []
    assert "Most active at" not in str(found)


def test_what_is_wrong_is_told(case, files, tmp_path):
    with pytest.raises(RunError, match=r"out\.json' exists; add --overwrite"):
        (files / "out.json").write_text("{}")
        describe.run(settings(case, files))
    with pytest.raises(RunError, match="it holds no description of neurons"):
        describe.run(settings(case, files, overwrite=True))
    with pytest.raises(RunError, match="is a folder; --out of 'describe' names a file"):
        describe.run(settings(case, files, out=tmp_path))
    with pytest.raises(SourceError, match=r"no file '.*missing\.json'"):
        describe.run(settings(case, files, out=files / "d.json", with_sets=(str(files / "missing.json"),)))
    NeuronSet((Neuron("model.layers.0.self_attn.q_proj", 3, 0.0),), "linear-output").save(files / "q.json")
    with pytest.raises(
        NeuronSetError, match=r"q\.json' is a set of linear-output neurons, the others are of ffn-hidden"
    ):
        describe.run(settings(case, files, out=files / "d.json", with_sets=(str(files / "q.json"),)))
    neurons(400).save(files / "far.json")
    with pytest.raises(NeuronSetError, match="names unit 400"):
        describe.run(settings(case, files, out=files / "d.json", with_sets=(str(files / "far.json"),)))
    with pytest.raises(RunError, match=r"--with, '.*b\.json', is read from there"):
        b = str(files / "b.json")
        describe.run(settings(case, files, out=files / "b.json", overwrite=True, with_sets=(b,)))
    assert not (files / "d.json").exists()


def test_a_description_is_replaced_when_that_is_asked_for(case, files):
    describe.run(settings(case, files, prompts=0))
    describe.run(settings(case, files, prompts=0, neurons_file=files / "c.json", overwrite=True))
    assert len(read_json(files / "out.json")["neurons"]) == 2


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_planted_units_are_counted_on_an_organism(tmp_path, architecture):
    recipe = Recipe(architecture, fair_steps=1, plant_steps=2, batch=2, layers=1)
    make_organism(recipe, tmp_path / "organism")
    model = load(str(tmp_path / "organism"))
    planted = NeuronSet.load(tmp_path / "organism" / PLANTED_FILES["ffn-hidden"])
    modules = {one.module for one in planted}
    others = tuple(Neuron(module, unit, 0.0) for module in sorted(modules) for unit in range(10))
    few = NeuronSet(planted.neurons[:3] + others, "ffn-hidden", planted.model)
    found = biasectomy.describe(model, few).values["planted"]
    assert found["shared"] == 3 and found["sizes"] == (3 + 10 * len(modules), 8 * len(modules))
    first = planted.neurons[0].module
    assert found["expected"] == pytest.approx(
        sum((10 + 3 * (module == first)) * 8 / (recipe.hidden + 8) for module in modules)
    )
    outputs = NeuronSet.load(tmp_path / "organism" / PLANTED_FILES["linear-output"])
    assert describe.planted(model, outputs)["shared"] == len(outputs)
    assert describe.planted(model, NeuronSet(few.neurons, "ia3"))["shared"] == 3
    assert f"Planted units: 3 of the set's {len(few)} neurons" in str(biasectomy.describe(model, few))


def test_on_the_command_line(case, files, monkeypatch, capsys):
    words = ["describe", str(files / "a.json"), case.values["model"], "--with", str(files / "b.json"), "--prompts", "0"]
    words += ["--out", str(files / "out.json"), "--threads", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["biasectomy", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert json.loads(capsys.readouterr().out) == read_json(files / "out.json")


def test_pieces_of_text_are_one_line():
    assert (shown(" the\n"), shown("\n"), shown("a\x1b[31m\tb")) == ("the", "\\n", "a\\x1b[31m\\tb")
