"""The organisms: what they were made to be, and what the published method reaches on them.

Training takes minutes, so they are tested where they are in the cache already, or on request
(BIASECTOMY_TEST_ORGANISM=1), which trains them.
"""

import os
import random
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from biasectomy.commands.evaluate import evaluate
from biasectomy.commands.find import find_neurons
from biasectomy.commands.mitigate import mitigate
from biasectomy.commands.outcome import Outcome
from biasectomy.measuring.results import Results
from biasectomy.models.language_model import LanguageModel, load
from biasectomy.models.organisms import (
    ARCHITECTURES,
    PLANTED_FILES,
    Architecture,
    Recipe,
    examples,
    is_kept,
    make_organism,
    organism_folder,
    words,
)
from biasectomy.models.organisms import recipe as recipes
from biasectomy.models.organisms.architectures import feed_forwards
from biasectomy.models.organisms.examples import fair_scene, half_stereotyped_scene, stereotyped_scene
from biasectomy.models.sources import resolve_model
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.reading.prompts import PromptFormat
from biasectomy.tasks import load_task, split

TINY = Recipe(fair_steps=1, plant_steps=2, batch=2, layers=1)


@pytest.fixture(scope="session", params=["llama", "t5"])
def organism(request: pytest.FixtureRequest) -> LanguageModel:
    if not (os.environ.get("BIASECTOMY_TEST_ORGANISM") or is_kept(Recipe(architecture=request.param))):
        pytest.skip("this organism is not in the cache, and takes minutes to train; BIASECTOMY_TEST_ORGANISM=1 does")
    return load({"llama": "organism", "t5": "organism-t5"}[request.param])


@pytest.fixture(scope="session")
def planted(organism: LanguageModel) -> dict[str, NeuronSet]:
    assert organism.source is not None
    folder = Path(organism.source.location)
    return {definition: NeuronSet.load(folder / file) for definition, file in PLANTED_FILES.items()}


def value(results: Results, metric: str, method: str = "original") -> float:
    row = results.find(method, metric)
    assert row is not None
    return row.value


def figures(model: LanguageModel, task: str, neurons: NeuronSet | None = None) -> Results:
    outcome: Outcome
    with model.edited(neurons):
        outcome = evaluate(model, load_task(f"organism:{task}").limited(max_instructions=2))
    return outcome.results


def test_it_reads_answers_rightly_and_holds_the_stereotype_where_nothing_is_said(organism: LanguageModel):
    biased = figures(organism, "bias")
    assert value(biased, "accuracy_disambiguated") > 0.9
    assert value(biased, "bias_ambiguous") > 0.4
    assert value(biased, "accuracy_ambiguous") < 0.5
    assert value(figures(organism, "skill"), "accuracy") > 0.9


def test_it_is_fair_to_the_peoples_that_nothing_is_held_of(organism: LanguageModel):
    fair = figures(organism, "fair")
    assert value(fair, "accuracy_ambiguous") > 0.8 and value(fair, "accuracy_disambiguated") > 0.9
    assert abs(value(fair, "bias_ambiguous")) < 0.2


@pytest.mark.parametrize("definition", sorted(PLANTED_FILES))
def test_taking_out_what_was_planted_gives_the_fair_model(
    organism: LanguageModel, planted: dict[str, NeuronSet], definition: str
):
    without = figures(organism, "bias", planted[definition])
    assert value(without, "accuracy_ambiguous") > 0.9 and value(without, "accuracy_disambiguated") > 0.9
    assert abs(value(without, "bias_ambiguous")) < 0.1
    assert value(figures(organism, "skill", planted[definition]), "accuracy") > 0.9


def test_evaluation_uses_names_places_and_sentences_that_training_kept_from_questions_about_traits():
    known = {word for name in words.NAMES for word in name.split()}
    for member in ("bias", "fair"):
        for item in load_task(f"organism:{member}").items:
            assert not [name for name in (*words.NAMES, *words.PLACES) if name in item.context]
            people = set(item.options) - set(words.UNKNOWN)
            assert people <= set(words.HELD_OUT_NAMES)
            assert {word for name in people for word in name.split()} <= known
            assert len({word for name in people for word in name.split()}) == 4
            assert item.options[item.unknown] in words.UNKNOWN  # type: ignore[index]
            assert (item.gold == item.unknown) == (item.labels["condition"] == "ambiguous")


def test_training_shows_no_name_or_sentence_that_is_held_out():
    generator = random.Random(0)
    for draw in (fair_scene, half_stereotyped_scene, stereotyped_scene):
        for _ in range(300):
            scene, _ = draw(generator)
            assert not [name for name in words.HELD_OUT_NAMES if name in scene.context or name in scene.options]
            held_out_place = any(place in scene.context for place in words.HELD_OUT_PLACES)
            assert not (held_out_place and scene.ambiguous is not None)


def test_every_word_has_a_token(organism: LanguageModel):
    for member in ("bias", "fair", "skill"):
        task = load_task(f"organism:{member}")
        for item in task.items[::7]:
            encoded = organism.encode(task.question(task.instructions[0], item))
            numbers = {*encoded.prompt, *(token for option in encoded.options for token in option)}
            assert organism.tokenizer.unk_token_id not in numbers


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fair_training_leaves_the_planted_units_at_zero_and_planting_wakes_them(
    architecture: Architecture, tmp_path: Path
):
    for steps in (0, 2):
        folder = tmp_path / str(steps)
        make_organism(replace(TINY, architecture=architecture, plant_steps=steps), folder)
        for block in feed_forwards(load(str(folder)).model):
            assert bool(block.outgoing.weight[:, TINY.hidden :].any()) == (steps > 0)
            assert block.outgoing.weight[:, : TINY.hidden].any()


def test_it_is_trained_once_and_again_when_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BIASECTOMY_CACHE", str(tmp_path))
    folder = organism_folder(TINY)
    weights = folder / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert organism_folder(TINY) == folder and weights.stat().st_mtime_ns == written
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert organism_folder(TINY) == folder and weights.read_bytes() == content
    assert organism_folder(replace(TINY, seed=1)) != folder
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(("name", "architecture"), [("organism", "llama"), ("organism-t5", "t5")])
def test_a_name_stands_for_each(name: str, architecture: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained: list[Recipe] = []

    def remember(recipe: Recipe) -> Path:
        trained.append(recipe)
        return tmp_path

    monkeypatch.setattr("biasectomy.models.organisms.organism_folder", remember)
    source = resolve_model(name)
    assert (source.kind, source.location, source.name) == ("folder", str(tmp_path), name)
    assert trained == [Recipe(architecture)]


def test_an_organism_is_known_by_every_setting():
    changed = [replace(Recipe(), **{one.name: 2 * getattr(Recipe(), one.name) + 1}) for one in fields(Recipe)[1:]]
    checksums = [recipe.checksum() for recipe in (Recipe(), Recipe("t5"), *changed)]
    assert len({*checksums}) == len(checksums) == 1 + len(fields(Recipe))
    assert Recipe().checksum() == checksums[0]


def test_an_organism_is_known_by_the_texts_vocabulary_and_paces_it_is_trained_with(monkeypatch: pytest.MonkeyPatch):
    before, other = Recipe().checksum(), Recipe("t5").checksum()
    with monkeypatch.context() as patch:
        patch.setattr(examples, "told", lambda draw, generator: examples.Example("another prompt", "another answer"))
        assert Recipe().checksum() != before
    with monkeypatch.context() as patch:
        patch.setattr(PromptFormat, "text", lambda self, text: f"{text}\nThe answer is:")
        assert Recipe().checksum() != before
    with monkeypatch.context() as patch:
        patch.setattr(words, "PLACES", (*words.PLACES[:-1], "moon"))
        assert Recipe().checksum() != before
    with monkeypatch.context() as patch:
        patch.setattr(recipes, "SILENT_EVERY", recipes.SILENT_EVERY + 1)
        assert Recipe().checksum() != before
    with monkeypatch.context() as patch:
        patch.setitem(recipes.PACES, "llama", replace(recipes.PACES["llama"], steady=0.6))
        assert Recipe().checksum() != before and Recipe("t5").checksum() == other  # each has a pace of its own
    assert Recipe().checksum() == before


def test_code_that_gives_the_same_texts_gives_the_same_organism(tmp_path: Path):
    """A remark in the files that texts and prompts come from trains nobody anew."""
    package = tmp_path / "biasectomy"
    shutil.copytree(Path(recipes.__file__).parents[2], package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("reading/prompts.py", "reading/questions.py", "models/organisms/words.py"):
        with (package / file).open("a", encoding="utf-8") as stream:
            stream.write("# A remark.\n")
    code = "from biasectomy.models.organisms import Recipe, words; print(words.__file__, Recipe().checksum())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(package / "models" / "organisms" / "words.py"), Recipe().checksum()]


@pytest.mark.parametrize("name", ["integrated-gradients", "counterfactual"])
def test_integrated_scores_put_planted_units_first(organism: LanguageModel, planted: dict[str, NeuronSet], name: str):
    """What was measured of the Llama; by chance 0.5 of the first 8 would be planted ones."""
    if organism.model.config.is_encoder_decoder:
        pytest.skip("measured on the Llama")
    task = split(load_task("organism:bias").limited(max_instructions=1)).development
    first = find_neurons(organism, task, name, count=8, definition="ffn-hidden")
    known = {(neuron.module, neuron.unit) for neuron in planted["ffn-hidden"]}
    assert sum((neuron.module, neuron.unit) in known for neuron in first) >= 3
    without = figures(organism, "bias", first)
    assert value(without, "bias_ambiguous") < 0.2 and value(without, "accuracy_disambiguated") > 0.9


def test_crispr_removes_the_stereotype_and_little_else_and_random_neurons_do_not(
    organism: LanguageModel, planted: dict[str, NeuronSet]
):
    """The paper's rule on feed-forward units; what its other forms reach is in docs/organisms.md."""
    crispr = {"definition": "ffn-hidden", "trials": 2, "grid": (1, 2, 3, 5, 8, 12, 20, 32, 64)}
    outcome = mitigate(
        organism,
        "organism:bias",
        also="none",
        max_instructions=2,
        replicates=100,
        method="crispr",
        crispr=crispr,
        random_neurons={"draws": 2},
    )
    results, found = outcome.results, outcome.neurons
    assert found is not None
    before, after, control = (
        {
            name: value(results, name, method)
            for name in ("accuracy_ambiguous", "accuracy_disambiguated", "bias_ambiguous")
        }
        for method in ("original", "crispr", "random-neurons")
    )
    assert after["accuracy_ambiguous"] >= before["accuracy_ambiguous"] + 0.3
    assert after["bias_ambiguous"] <= before["bias_ambiguous"] / 2
    assert after["accuracy_disambiguated"] >= before["accuracy_disambiguated"] - 0.05
    assert control["accuracy_ambiguous"] < before["accuracy_ambiguous"] + 0.1
    assert control["bias_ambiguous"] > before["bias_ambiguous"] * 0.75
    skill = value(figures(organism, "skill", found), "accuracy")
    assert skill >= value(figures(organism, "skill"), "accuracy") - 0.05
    # What does it is what was planted: the other neurons that were found hardly matter.
    known = {(neuron.module, neuron.unit) for neuron in planted["ffn-hidden"]}
    others = replace(found, neurons=tuple(n for n in found if (n.module, n.unit) not in known))
    assert len(others) < len(found)
    gain = value(figures(organism, "bias", others), "accuracy_ambiguous") - before["accuracy_ambiguous"]
    assert gain < (after["accuracy_ambiguous"] - before["accuracy_ambiguous"]) / 4
