"""Settings: where values come from, what is refused and how, and the command that makes a run again."""

import shlex
from pathlib import Path

import pytest

from biasectomy.commands.settings import COMMANDS
from biasectomy.commands.settings_base import option_name, settable
from biasectomy.commands.settings_loading import explicit_command, load_settings
from biasectomy.commands.settings_measuring import CompareSettings, EvaluateSettings, MitigateSettings
from biasectomy.commands.settings_neurons import ApplySettings, FindSettings
from biasectomy.errors import SettingsError, UnknownNameError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(
        'seed = 3\ncount = 9\nmodel = "from-file"\n[crispr]\ntrials = 4\ninstances = 5\ngrid = [7, 3]\n'
        "[random-neurons]\ndraws = 7\n"
    )
    return path


def test_precedence_is_command_line_environment_file_default(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIASECTOMY_SEED", "2")
    monkeypatch.setenv("BIASECTOMY_CRISPR_TRIALS", "2")
    settings = load_settings(MitigateSettings, {"seed": "1"}, config)
    crispr = settings.section("crispr")
    assert (settings.seed, crispr.trials, crispr.instances, crispr.clamp_group) == (1, 2, 5, 1)
    assert settings.model == "from-file" and settings.section("random-neurons").draws == 7
    assert crispr.grid == (0, 3, 7)


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
    assert load_settings(MitigateSettings, {"crispr.grid": text}).section("crispr").grid == grid


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seed": "x"}, ["--seed is 'x'", "a whole number"]),
        ({"seed": "-1"}, ["--seed is '-1'", "at least 0"]),
        ({"crispr.instances": "2.5"}, ["--crispr.instances is '2.5'", "a whole number"]),
        ({"level": "1"}, ["--level is '1'", "less than 1"]),
        ({"level": "nan"}, ["--level is 'nan'"]),
        ({"margin": "much"}, ["--margin is 'much'", "a number"]),
        ({"crispr.variant": "papr"}, ["--crispr.variant is 'papr'", "paper, authors", "did you mean 'paper'?"]),
        ({"crispr.grid": "1,-2"}, ["--crispr.grid is '1,-2'", "0 or more"]),
        ({"crispr.grid": "1;2"}, ["--crispr.grid is '1;2'"]),
        ({"crispr.grid": (1, 2.5)}, ["--crispr.grid"]),
        ({"device": "gpu"}, ["--device is 'gpu'", "cuda"]),
        ({"max_items": "0"}, ["--max-items is '0'", "at least 1"]),
        ({"development_share": "0"}, ["--development-share is '0'", "more than 0"]),
        ({"crispr.racing": "perhaps"}, ["--crispr.racing is 'perhaps'", "true or false"]),
        ({"task": ""}, ["--task is ''"]),
        ({"crispr.clamp_group": "4"}, ["--crispr.clamp-group 4", "--crispr.variant authors"]),
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
        MitigateSettings.of(seed="x")
    with pytest.raises(UnknownNameError, match="did you mean 'max_items'"):
        MitigateSettings.of(max_item=3)
    with pytest.raises(UnknownNameError, match=r"did you mean 'crispr\.variant'"):
        MitigateSettings.of(crispr={"varient": "paper"})
    with pytest.raises(UnknownNameError, match=r"no section of settings named 'crisper'; did you mean 'crispr'"):
        MitigateSettings.of(crisper={"variant": "paper"})
    assert MitigateSettings.of(random_neurons={"draws": 9}).section("random-neurons").draws == 9
    with pytest.raises(SettingsError, match="NEURONS is missing"):
        ApplySettings.of()
    with pytest.raises(SettingsError, match="--methods is missing"):
        CompareSettings.of()


def test_the_complaint_says_where_the_value_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[crispr]\ntrials = 'three'")
    with pytest.raises(SettingsError, match=r"'crispr.trials' in .*mine\.toml is 'three'"):
        load_settings(FindSettings, {}, path)
    monkeypatch.setenv("BIASECTOMY_CRISPR_TRIALS", "many")
    with pytest.raises(SettingsError, match="environment variable BIASECTOMY_CRISPR_TRIALS is 'many'"):
        load_settings(FindSettings, {}, path)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("sede = 1", UnknownNameError, "did you mean 'seed'"),
        ("seed = ", SettingsError, "not valid TOML"),
        ("[seed]\nx = 1", UnknownNameError, "no setting .* named 'seed.x'"),
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
        MitigateSettings.of().seed = 1  # type: ignore[misc]


def test_explicit_command_names_every_setting_that_is_not_the_default() -> None:
    assert explicit_command(MitigateSettings.of()) == "biasectomy mitigate smollm2"
    settings = MitigateSettings.of(
        crispr={"racing": False, "grid": (1, 2)}, data=Path("my data"), trust_remote_code=True, overwrite=True
    )
    command = explicit_command(settings)
    assert "--no-crispr.racing" in command and "--crispr.grid 0,1,2" in command and "--data 'my data'" in command
    assert "--trust-remote-code" in command and "--overwrite" not in command
    assert explicit_command(EvaluateSettings.of(neurons_file=Path("n.json"))).endswith("--neurons n.json")
    assert explicit_command(ApplySettings.of(neurons_file=Path("n.json"), count=0)) == (
        "biasectomy apply n.json smollm2 --count 0"
    )
    assert explicit_command(CompareSettings.of(methods="original,crispr", fair_prompt={"sentence": "Be fair."})) == (
        "biasectomy compare smollm2 --methods original,crispr"  # what is not asked for has no say
    )


def test_explicit_command_makes_equal_settings() -> None:
    settings = MitigateSettings.of(
        model="./a model", task="bbq:ses,bbq:age", seed=7, margin=0.1, crispr={"racing": False, "grid": (4,)},
        random_neurons={"draws": 5},
    )  # fmt: skip
    words = iter(shlex.split(explicit_command(settings))[2:])
    given: dict[str, object] = {"model": next(words)}
    names = {option_name(name): name for name in settable(MitigateSettings)}
    for word in words:
        if word.startswith("--no-"):
            given[names["--" + word[5:]]] = False
        else:
            given[names[word]] = next(words)
    again = load_settings(MitigateSettings, given)
    assert again.compared() == settings.compared()


def test_what_decides_the_figures_holds_the_sections_in_use_and_nothing_of_handling() -> None:
    compared = MitigateSettings.of(quiet=True, out=Path("x"), store=Path("y"), resume=True).compared()
    assert compared["crispr"]["variant"] == "paper" and compared["random-neurons"]["draws"] == 5
    assert not {"quiet", "out", "store", "resume", "overwrite", "json_output", "fair-prompt"} & set(compared)


def test_every_field_of_every_command_has_a_description() -> None:
    for kind in COMMANDS.values():
        for name, field in settable(kind).items():
            assert field.description and field.description[0].isupper(), (kind, name)


def test_a_variable_that_no_setting_has_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BIASECTOMY_DATA", "BIASECTOMY_CACHE", "BIASECTOMY_TEST_ORGANISM", "BIASECTOMY_CRISPR_GRID"):
        monkeypatch.setenv(name, "1")
    load_settings(MitigateSettings, {})
    monkeypatch.setenv("BIASECTOMY_SEDE", "1")
    with pytest.raises(UnknownNameError, match=r"BIASECTOMY_SEDE.*did you mean 'BIASECTOMY_SEED'"):
        load_settings(MitigateSettings, {})


@pytest.mark.parametrize("field", ["out", "data", "store", "instructions"])
def test_an_empty_path_is_not_the_folder_one_is_in(field: str) -> None:
    with pytest.raises(SettingsError, match=f"--{field} is empty; it must be a path"):
        load_settings(MitigateSettings, {field: ""})
