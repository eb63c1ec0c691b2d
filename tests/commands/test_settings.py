"""Settings: where values come from, what is refused and how, and the command that makes a run again."""

import shlex
from pathlib import Path

import pytest

from biasectomy.errors import SettingsError, UnknownNameError
from biasectomy.commands.settings import (
    COMMANDS,
    ApplySettings,
    EvaluateSettings,
    FindSettings,
    MitigateSettings,
    explicit_command,
    load_settings,
    option_name,
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text('seed = 3\ntrials = 4\ninstances = 5\ngrid = [7, 3]\ncount = 9\nmodel = "from-file"\n')
    return path


def test_precedence_is_command_line_environment_file_default(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIASECTOMY_SEED", "2")
    monkeypatch.setenv("BIASECTOMY_TRIALS", "2")
    settings = load_settings(MitigateSettings, {"seed": "1"}, config)
    assert (settings.seed, settings.trials, settings.instances, settings.controls) == (1, 2, 5, 3)
    assert settings.model == "from-file"
    assert settings.grid == (0, 3, 7)


def test_an_empty_environment_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIASECTOMY_SEED", "")
    assert load_settings(FindSettings, {}).seed == 0


def test_data_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BIASECTOMY_DATA", str(tmp_path))
    assert load_settings(MitigateSettings, {}).data == tmp_path


def test_a_file_may_serve_several_commands(config: Path) -> None:
    assert load_settings(FindSettings, {}, config).count == 9
    assert not hasattr(load_settings(MitigateSettings, {}, config), "count")


@pytest.mark.parametrize(
    ("text", "grid"), [("5", (0, 5)), ("3, 1,1", (0, 1, 3)), ("0", (0,)), ("300,0,20", (0, 20, 300)), ("", (0,))]
)
def test_grid_always_has_zero_and_is_sorted(text: str, grid: tuple[int, ...]) -> None:
    assert load_settings(MitigateSettings, {"grid": text}).grid == grid


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seed": "x"}, ["--seed is 'x'", "a whole number"]),
        ({"seed": "-1"}, ["--seed is '-1'", "at least 0"]),
        ({"instances": "2.5"}, ["--instances is '2.5'", "a whole number"]),
        ({"level": "1"}, ["--level is '1'", "less than 1"]),
        ({"level": "nan"}, ["--level is 'nan'"]),
        ({"margin": "much"}, ["--margin is 'much'", "a number"]),
        ({"variant": "papr"}, ["--variant is 'papr'", "paper, authors", "did you mean 'paper'?"]),
        ({"grid": "1,-2"}, ["--grid is '1,-2'", "0 or more"]),
        ({"grid": "1;2"}, ["--grid is '1;2'"]),
        ({"grid": (1, 2.5)}, ["--grid"]),
        ({"device": "gpu"}, ["--device is 'gpu'", "cuda"]),
        ({"max_items": "0"}, ["--max-items is '0'", "at least 1"]),
        ({"development_share": "0"}, ["--development-share is '0'", "more than 0"]),
        ({"racing": "perhaps"}, ["--racing is 'perhaps'", "true or false"]),
        ({"task": ""}, ["--task is ''"]),
        ({"clamp_group": "4"}, ["--clamp-group 4", "--variant authors"]),
        ({"resume": True, "overwrite": True}, ["--resume", "--overwrite"]),
    ],
)
def test_a_bad_value_is_one_sentence_with_option_value_and_remedy(given: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(MitigateSettings, given)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_direct_use_complains_in_the_same_way() -> None:
    with pytest.raises(SettingsError, match="--seed is 'x'; it must be a whole number"):
        MitigateSettings(seed="x")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="did you mean 'max_items'"):
        MitigateSettings(max_item=3)  # type: ignore[call-arg]
    with pytest.raises(SettingsError, match="NEURONS is missing"):
        ApplySettings()  # type: ignore[call-arg]


def test_the_complaint_says_where_the_value_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("trials = 'three'")
    with pytest.raises(SettingsError, match=r"'trials' in .*mine\.toml is 'three'"):
        load_settings(FindSettings, {}, path)
    monkeypatch.setenv("BIASECTOMY_TRIALS", "many")
    with pytest.raises(SettingsError, match="environment variable BIASECTOMY_TRIALS is 'many'"):
        load_settings(FindSettings, {}, path)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("sede = 1", UnknownNameError, "did you mean 'seed'"),
        ("seed = ", SettingsError, "not valid TOML"),
        ("[seed]\nx = 1", SettingsError, "a whole number"),
        (None, SettingsError, "no configuration file"),
    ],
)
def test_bad_configuration_files(tmp_path: Path, content: str | None, error: type[Exception], words: str) -> None:
    path = tmp_path / "settings.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=words):
        load_settings(MitigateSettings, {}, path)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        MitigateSettings().seed = 1  # type: ignore[misc]


def test_explicit_command_names_every_setting_that_is_not_the_default() -> None:
    assert explicit_command(MitigateSettings()) == "biasectomy mitigate smollm2"
    settings = MitigateSettings(racing=False, grid=(1, 2), data=Path("my data"), trust_remote_code=True, overwrite=True)
    command = explicit_command(settings)
    assert "--no-racing" in command and "--grid 0,1,2" in command and "--data 'my data'" in command
    assert "--trust-remote-code" in command and "--overwrite" not in command
    assert explicit_command(EvaluateSettings(neurons_file=Path("n.json"))).endswith("--neurons n.json")
    assert explicit_command(ApplySettings(neurons_file=Path("n.json"), count=0)) == (
        "biasectomy apply n.json smollm2 --count 0"
    )


def test_explicit_command_makes_equal_settings() -> None:
    settings = MitigateSettings(model="./a model", task="bbq:ses,bbq:age", seed=7, margin=0.1, racing=False, grid=(4,))
    words = iter(shlex.split(explicit_command(settings))[2:])
    given: dict[str, object] = {"model": next(words)}
    names = {option_name(name): name for name in MitigateSettings.model_fields}
    for word in words:
        if word.startswith("--no-"):
            given[names["--" + word[5:]]] = False
        else:
            given[names[word]] = next(words)
    assert load_settings(MitigateSettings, given) == settings


def test_every_field_of_every_command_has_a_description() -> None:
    for kind in COMMANDS.values():
        for name, field in kind.model_fields.items():
            assert field.description and field.description[0].isupper(), (kind, name)
