"""The command line: what is parsed, what is called, what is printed and the exit code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from biasectomy.cli.app import main
from biasectomy.commands.settings import COMMANDS
from biasectomy.commands.settings_base import option_name, settable
from biasectomy.commands.settings_measuring import EvaluateSettings, MitigateSettings
from biasectomy.commands.settings_neurons import ApplySettings, FindSettings
from biasectomy.errors import ModelError, RunError, Stopped
from tests.cli.conftest import Run


def test_help_needs_neither_torch_nor_numpy() -> None:
    script = (
        "import sys; sys.argv = ['biasectomy', '--help']\n"
        "from biasectomy.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'transformers', 'numpy', 'scipy', 'jinja2') if name in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "mitigate" in outcome.stdout and outcome.stdout.rstrip().endswith("[]"), outcome.stdout[-200:]


def test_python_dash_m() -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "biasectomy", "--version"], capture_output=True, text=True, check=True
    )
    assert outcome.stdout.startswith("biasectomy ")


def test_no_words_show_the_help(run: Run) -> None:
    code, out, _ = run()
    assert code == 0 and all(name in out for name in (*COMMANDS, "ls"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_names_every_option_and_its_default(run: Run, name: str) -> None:
    code, out, _ = run(name, "--help-all")
    assert code == 0
    for field in settable(COMMANDS[name]):
        shown = field.removesuffix("_file").upper() if field in COMMANDS[name].positional else option_name(field)
        assert shown in out, shown
    if "model" in settable(COMMANDS[name]) and COMMANDS[name].model_fields["model"].default == "smollm2":
        assert "[default: smollm2]" in " ".join(out.replace("│", " ").split())


def test_values_reach_the_settings(run: Run, called: list[Any]) -> None:
    code, out, _ = run(
        *("mitigate", "owner/model", "--task", "bbq:ses", "--max-items", "9", "--out", "r"),
        *("--no-crispr.racing", "--crispr.grid", "5,1", "--random-neurons.draws", "7"),
    )
    assert code == 0 and "working" in out and "Nothing changed." in out and "0.50 [0.25, 0.75]" in out
    crispr = {"racing": False, "grid": (0, 1, 5)}
    expected = MitigateSettings.of(
        model="owner/model", task="bbq:ses", max_items=9, crispr=crispr, random_neurons={"draws": 7}
    )
    assert called[0].compared() == expected.compared() and called[0].out == Path("r")


def test_each_command_is_called_with_its_settings(
    run: Run, called: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_folder(tmp_path, monkeypatch)
    assert run("evaluate", "--neurons", "n.json")[0] == 0
    assert run("find", "--count", "7")[0] == 0
    assert run("apply", "n.json", "m")[0] == 0
    assert run("compare", "--methods", "original,crispr")[0] == 0
    assert called[:3] == [
        EvaluateSettings.of(neurons_file=Path("n.json")),
        FindSettings.of(count=7),
        ApplySettings.of(neurons_file=Path("n.json"), model="m"),
    ]
    assert called[3].methods == ("original", "crispr")


def test_configuration_file(run: Run, called: list[Any], tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("seed = 5\n[crispr]\ntrials = 2")
    assert run("mitigate", "--config", str(tmp_path / "c.toml"), "--seed", "6")[0] == 0
    assert (called[0].seed, called[0].section("crispr").trials) == (6, 2)


def test_json_is_all_there_is_on_standard_output(
    run: Run, called: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_folder(tmp_path, monkeypatch)
    code, out, _ = run("mitigate", "--json")
    assert code == 0 and json.loads(out)["verdict"] == ["Nothing changed."]
    assert json.loads(run("apply", "n.json", "--json")[1]) == {"model": "there"}
    assert json.loads(run("find", "--json")[1]) == {"neurons": "neurons.json"}


def test_quiet_prints_nothing(run: Run, called: list[Any]) -> None:
    assert run("mitigate", "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mitigat"], "no command named 'mitigat'; did you mean 'mitigate'?"),
        (["mitigate", "--max-item", "3"], "--max-items"),
        (["mitigate", "--crispr.varient", "paper"], "--crispr.variant"),
        (["mitigate", "--crispr.variant", "author"], "did you mean 'authors'?"),
        (["mitigate", "--seed", "x"], "--seed is 'x'; it must be a whole number"),
        (["mitigate", "--seed"], "--seed"),
        (["mitigate", "a", "b"], "b"),
        (["mitigate", "--config", "/no/such.toml"], "no configuration file"),
        (["apply"], "NEURONS is missing"),
        (["ls", "model"], "did you mean 'models'?"),
        (["ls"], "attributions|judges|methods|models|tasks"),
        (["mitigate", "--plugin", "no/such.py"], "There is no plugin 'no/such.py'"),
        (["compare"], "--methods is missing"),
    ],
)
def test_a_wrong_word_is_one_line_and_code_2(run: Run, called: list[Any], words: list[str], said: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "") and not called
    assert err.startswith("Error: ") and err.count("\n") == 1 and said in err, err


def replace(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    def fail(settings: Any) -> None:
        raise error

    monkeypatch.setattr(sys.modules[f"biasectomy.commands.{name}"], "run", fail)


def test_an_error_of_ours_is_one_line_without_traceback(
    run: Run, called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, "evaluate", ModelError("The model has no\nfeed-forward blocks."))
    assert run("evaluate") == (2, "", "Error: The model has no feed-forward blocks.\n")


def test_a_bug_keeps_its_traceback(called: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    replace(monkeypatch, "evaluate", ZeroDivisionError("bug"))
    monkeypatch.setattr(sys, "argv", ["biasectomy", "evaluate"])
    with pytest.raises(ZeroDivisionError):
        main()


def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a neuron set and a model."""
    (folder / "m").mkdir()
    (folder / "m" / "config.json").write_text("{}")
    (folder / "n.json").write_text("{}")
    monkeypatch.chdir(folder)


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_a_request_to_end_says_how_to_go_on(
    run: Run, called: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, code: int
) -> None:
    in_folder(tmp_path, monkeypatch)
    replace(monkeypatch, "mitigate", Stopped(number, Path("my run")))
    replace(monkeypatch, "find", KeyboardInterrupt())
    found, out, err = run("mitigate", "m", "--out", "my run", "--overwrite", "--seed", "4")
    assert (found, out) == (code, "")
    assert "Stopped. What was computed is kept in my run; go on with: " in err
    assert "biasectomy mitigate m --seed 4 --out 'my run' --resume" in err and "--overwrite" not in err
    code, _, err = run("find")
    assert code == 130 and err.strip() == "Stopped."
    replace(monkeypatch, "mitigate", Stopped(number))  # before there was anything to keep
    assert run("mitigate", "m", "--out", "my run") == (128 + number, "", "\nStopped.\n")


def test_an_error_says_where_what_was_computed_is_kept(
    run: Run, called: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_folder(tmp_path, monkeypatch)
    error = RunError("The disk is full.")
    error.folder = Path("run")
    replace(monkeypatch, "mitigate", error)
    assert run("mitigate", "m")[2] == (
        "Error: The disk is full. What was computed is kept in run; go on with: biasectomy mitigate m --resume\n"
    )
    Path("run").mkdir()
    for recorded, told in (("mitigate m --split random", "mitigate m --split random"), ("compare m", "mitigate m")):
        # What the run settled counts: of a preset, what the task does not take is left out.
        Path("run", "record.json").write_text(json.dumps({"command": f"biasectomy {recorded}"}))
        error.args = ("The disk is full.",)
        assert f"go on with: biasectomy {told} --resume\n" in run("mitigate", "m", "--resume")[2]
    replace(monkeypatch, "apply", RunError("The disk is full."))
    assert "--resume" not in run("apply", "n.json", "m")[2]


def test_ls(run: Run) -> None:
    code, out, _ = run("ls", "models")
    assert code == 0 and "smollm2" in out and "Apache-2.0" in out
    assert {"organism", "smollm2"} <= {model["name"] for model in json.loads(run("ls", "models", "--json")[1])}
    code, out, _ = run("ls", "tasks")
    assert code == 0 and "bbq:age" in out and "3,680" in out
    assert {"bbq:age", "bbq:ses"} <= {task["name"] for task in json.loads(run("ls", "tasks", "--json")[1])}
    assert "crispr" in run("ls", "attributions")[1]
    assert {"original", "crispr"} <= {method["name"] for method in json.loads(run("ls", "methods", "--json")[1])}
    assert run("ls", "judges")[0] == 0
