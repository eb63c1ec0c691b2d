"""Presets: lowest of all that is written, and nothing but settings once they are in force."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from biasectomy.commands.fitting import fitting
from biasectomy.commands.opening import admitted
from biasectomy.commands.presets import PURPOSES
from biasectomy.commands.settings import COMMANDS
from biasectomy.commands.settings_base import settable
from biasectomy.commands.settings_loading import explicit_command, load_settings
from biasectomy.commands.settings_measuring import CompareSettings, EvaluateSettings, MitigateSettings
from biasectomy.errors import SettingsError
from biasectomy.methods import METHODS
from biasectomy.tasks import Task

NEEDED: dict[Any, dict[str, str]] = {CompareSettings: {"methods": "dpo"}}


def in_force(kind: Any, **given: Any) -> dict[str, Any]:
    return kind.of(**NEEDED.get(kind, {}) | given).compared()


@pytest.mark.parametrize("kind", [MitigateSettings, CompareSettings, EvaluateSettings])
@pytest.mark.parametrize("preset", PURPOSES)
def test_the_command_that_makes_it_again_needs_no_preset(kind: Any, preset: str) -> None:
    settings = kind.of(preset=preset, **NEEDED.get(kind, {}))
    words = explicit_command(settings).split()
    assert "--preset" not in words and "preset" not in settings.compared()
    values = {word: words[place + 1] for place, word in enumerate(words) if word.startswith("--")}
    names = {"--" + name.replace("_", "-"): name for name in settable(kind)}
    again = load_settings(kind, {names[option]: value for option, value in values.items()})
    assert again.compared() == settings.compared()


def test_quick_is_less_of_everything_and_paper_is_crispr() -> None:
    quick, usual = in_force(MitigateSettings, preset="quick"), in_force(MitigateSettings)
    assert (quick["max_items"], quick["max_instructions"], usual["max_items"]) == (800, 1, None)
    learned = [values["learned-factors"] for values in (quick, usual)]
    assert learned[0]["first_steps"] < learned[1]["first_steps"] and learned[0]["budgets"] == [1000]
    paper = in_force(MitigateSettings, preset="paper")
    assert (paper["method"], paper["beside"], paper["split"], paper["development_share"]) == (
        "crispr",
        ["none"],
        "random",
        0.1,
    )
    assert (paper["option_order"], paper["objective"], paper["max_instructions"]) == ("file", "accuracy", None)
    assert {paper["crispr"][name] for name in ("instances", "trials", "variant")} == {20, 3, "paper"}
    assert CompareSettings.of(preset="paper").methods == ("cc", "dc", "crispr", "random-neurons")


@pytest.mark.parametrize("where", ["call", "environment", "file"])
def test_what_is_set_beside_it_wins_wherever_it_is_written(
    where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"preset": "quick"}
    config = tmp_path / "run.toml"
    config.write_text("max_items = 9\n[crispr]\ntrials = 2\n" if where == "file" else "")
    if where == "environment":
        monkeypatch.setenv("BIASECTOMY_MAX_ITEMS", "9")
        monkeypatch.setenv("BIASECTOMY_CRISPR_TRIALS", "2")
    elif where == "call":
        given |= {"max_items": "9", "crispr.trials": "2"}
    settings = load_settings(MitigateSettings, given, config)
    assert (settings.max_items, settings.max_instructions, settings.section("crispr").trials) == (9, 1, 2)
    assert settings.section("crispr").grid == (0, 8)


def test_methods_take_the_settings_of_their_authors_unless_something_is_set_beside() -> None:
    settings = CompareSettings.of(preset="paper", methods="dpo,original", dpo={"kind": "peft"})
    dpo = settings.section("dpo")
    assert dpo.preset == "paper" and METHODS["dpo"](dpo).settings.kind == "peft"
    assert "--dpo.preset paper --dpo.kind peft" in explicit_command(settings)  # the default, said all the same
    assert settings.methods == ("dpo", "original") and settings.split == "random"


def test_every_preset_names_settings_that_there_are() -> None:
    for kind in [*COMMANDS.values(), *(METHODS[name].Settings for name in METHODS)]:
        for preset, values in vars(kind).get("presets", {}).items():
            assert preset in PURPOSES and set(values) <= set(kind.model_fields), kind


class OpenedError(Exception):
    """A model is opened once nothing of what was asked for can be refused any more."""


def kinds_of_task(toy_task: Any) -> dict[str, Task]:
    """One that takes all that the paper sets; few items; other goals; items that belong together, or have no gold."""
    plain: Task = toy_task(clusters=50)
    pairs = tuple(replace(item, extra={"pair": item.identifier[:-1]}) for item in plain.items)
    return {
        "plain": plain,
        "few": toy_task(clusters=14),
        "other goals": replace(plain, goals={"fair": plain.goals["accuracy"]}),
        "together": replace(plain, items=pairs, together="pair"),
        "no right answers": replace(plain, items=tuple(replace(item, gold=None) for item in plain.items)),
    }


@pytest.mark.parametrize("kind", [MitigateSettings, CompareSettings])
@pytest.mark.parametrize("preset", PURPOSES)
@pytest.mark.parametrize("name", ["plain", "few", "other goals", "together", "no right answers"])
def test_no_preset_asks_for_what_the_task_does_not_take(
    kind: Any, preset: str, name: str, toy_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any) -> None:
        raise OpenedError

    monkeypatch.setattr("biasectomy.commands.fitting.open_in_format", opened)
    given = {"methods": "fair-prompt"} if kind is CompareSettings and preset != "paper" else {}
    settings = kind.of(preset=preset, also="none", **given)
    optional = settings.optional() if kind is CompareSettings else ()
    if kind is MitigateSettings and name == "no right answers":  # no method that nobody named can be fitted to it
        with pytest.raises(SettingsError, match="'biasectomy ls methods'"):
            fitting(settings, None, kinds_of_task(toy_task)[name], None, optional=optional).__enter__()
        settings = kind.of(preset=preset, also="none", method="fair-prompt", beside="none")
    with pytest.raises(OpenedError):
        fitting(settings, None, kinds_of_task(toy_task)[name], None, optional=optional).__enter__()


def test_what_is_left_out_of_a_preset_is_said_and_what_was_set_by_hand_is_not(
    toy_task: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    tasks, paper = kinds_of_task(toy_task), MitigateSettings.of(preset="paper")
    assert admitted(paper, tasks["plain"]) == paper and not caplog.text
    assert admitted(paper, tasks["other goals"]).objective is None
    assert "Of --preset paper, toy:age cannot take --objective accuracy: left out" in caplog.text
    apart = admitted(paper, tasks["together"])
    assert (apart.split, apart.development_share, apart.option_order) == ("template", 0.5, "file")
    assert "cannot take --development-share 0.1, --split random: left out" in caplog.text
    assert admitted(paper, tasks["few"]).development_share == 0.5
    by_hand = MitigateSettings.of(preset="paper", objective="accuracy", split="random", development_share=0.1)
    assert all(admitted(by_hand, task) == by_hand for task in tasks.values())
