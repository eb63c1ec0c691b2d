"""Help teaches: examples that work, names that are whole, the options that most need; and shells complete names."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from biasectomy.cli.app import EXAMPLES, OWN_EXAMPLES, PANELS
from biasectomy.cli.completion import _joined, values_of
from biasectomy.cli.options import option_parameters
from biasectomy.cli.runs import RUNS
from biasectomy.commands.presets import PURPOSES
from biasectomy.commands.settings import COMMANDS
from biasectomy.commands.settings_base import option_name, settable, validated
from biasectomy.commands.settings_loading import all_commands, explicit_command, told_presets
from tests.cli.conftest import Run
from tests.report.made_results import made
from tests.report.test_screen import USUAL, folder_of

EVERY = [(line, said) for kind in all_commands().values() for line, said in kind.examples]
EVERY += [*EXAMPLES, *(one for own in OWN_EXAMPLES.values() for one in own)]
WITH_OPTIONS = [line for line, _ in EVERY if (line.split()[1] in RUNS or line.split()[1] == "study")]


def test_every_command_has_a_place_in_the_list_of_commands() -> None:
    assert set(PANELS) == {*RUNS, *OWN_EXAMPLES, "study"}


def test_every_command_has_three_examples() -> None:
    for name, kind in all_commands().items():
        assert len(kind.examples) == 3, name
    assert all(len(own) == 3 for own in OWN_EXAMPLES.values())


@pytest.mark.parametrize("line", WITH_OPTIONS)
def test_an_example_is_what_its_command_takes(line: str) -> None:
    words = shlex.split(line.partition(" <")[0])[1:]
    name = " ".join(words[:2]) if words[0] == "study" else words[0]
    kind = all_commands()[name]
    by_option = {option_name(field): field for field in settable(kind)}
    rest, values = words[len(name.split()) :], {}
    places = iter(kind.positional)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            values[next(places)] = word
        elif settable(kind)[by_option[word]].annotation is bool:
            values[by_option[word]] = True
        else:
            values[by_option[word]] = rest.pop(0)
    settings = validated(kind, values, {})
    for method in settings.in_use():
        settings.section(method)


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_no_name_is_broken_and_no_line_too_long(run: Run, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    code, out, _ = run("mitigate", "--help-all")
    assert code == 0 and "…" not in out and "\x1b" not in out
    for name in settable(COMMANDS["mitigate"]):
        if name != "model":
            assert re.search(rf"{re.escape(option_name(name))}[ ,]", out), name
    panels = [line for line in out.splitlines() if line.startswith(("│", "╭", "╰"))]
    assert {len(line) for line in panels} == {min(int(width), 100)}


def test_the_first_help_has_what_most_need_and_says_where_the_rest_is(run: Run) -> None:
    code, out, _ = run("mitigate", "--help")
    assert code == 0
    assert "biasectomy mitigate smollm2 --preset quick" in out and "Main options" in out
    assert "--task NAME" in out and "--replicates" not in out.partition("Presets")[0] and "--dpo.steps" not in out
    more = int(re.search(r"(\d+) more options: biasectomy mitigate --help-all", out).group(1))
    kind = COMMANDS["mitigate"]
    assert more == len(settable(kind)) - len(kind.basic) - len(kind.positional)
    assert all(f"--preset {name}" in out for name in PURPOSES) and "--crispr.trials" not in out
    out = run("mitigate", "--method", "dpo", "--dpo.steps", "3", "--help")[1]
    assert "Options of dpo" in out and "--dpo.beta" in out and "--learned-factors.held" not in out
    out = " ".join(out.replace("│", " ").split())
    for name, purpose in PURPOSES.items():
        assert f"--preset {name} {purpose}" in out
    assert "--dpo.preset paper" in out and "--dpo.steps 30" in out  # of the method that is named


@pytest.mark.parametrize("name", all_commands())
def test_the_first_help_of_every_command_fits_two_screens_of_a_small_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for width, most in (("80", 60), ("60", 85)):
        monkeypatch.setenv("COLUMNS", width)
        code, out, _ = run(*name.split(), "--help")
        assert code == 0 and len(out.splitlines()) <= most, out
        kind = all_commands()[name]
        for field in kind.basic or kind.model_fields:
            assert field in kind.positional or re.search(rf"{re.escape(option_name(field))}[ ,\n]", out), field


@pytest.mark.parametrize("name", ["judge", "show", "ls", "validate"])
def test_short_commands_show_all_they_have(run: Run, name: str) -> None:
    code, out, _ = run(name, "--help")
    assert code == 0 and "Examples" in out and "--json" in out and "more options" not in out


def test_what_help_says_of_a_preset_is_what_it_sets() -> None:
    for name in ("mitigate", "compare", "evaluate"):
        kind = COMMANDS[name]
        for preset, (_, said) in zip(PURPOSES, told_presets(kind, ["original"]), strict=True):
            values = {"preset": preset} | ({"methods": "original"} if name == "compare" and preset != "paper" else {})
            words = shlex.split(explicit_command(validated(kind, values, {})))[3:]
            told = shlex.split(said[len(PURPOSES[preset]) :])
            given = [word for word in words if word not in ("--methods", "original")]
            assert sorted(word for word in told if word not in ("--methods", "original")) == sorted(given)


# Completion


def test_names_and_choices_are_completed() -> None:
    kind = COMMANDS["mitigate"]
    options = option_parameters(kind)

    def complete(setting: str, begun: str) -> list[str]:
        return options[setting].annotation.__metadata__[0].autocompletion(begun)

    assert complete("task", "bbq:ag") == ["bbq:age"] and "crows_pairs" in complete("also", "perplexity,c")[0]
    assert complete("method", "crisp") == ["crispr"] and complete("beside", "crispr,crisp") == []
    assert complete("model", "smo") == ["smollm2"] and complete("preset", "q") == ["quick"]
    assert complete("crispr.variant", "") == ["paper", "authors"]
    assert values_of("seed", ()) is None


@pytest.mark.parametrize(
    ("words", "whole", "begun"),
    [
        (["b", "--task", "bbq", ":", "ag"], ["b", "--task", "bbq:ag"], "bbq:"),
        (["b", "--task", "bbq", ":"], ["b", "--task", "bbq:"], "bbq:"),
        (["b", "--task", "bbq", ":", "age,bbq", ":", "s"], ["b", "--task", "bbq:age,bbq:s"], "bbq:age,bbq:"),
        (["b", "--task", "=", "x"], ["b", "--task=x"], "--task="),
        (["b", "--task", ""], ["b", "--task", ""], ""),
        (["b", "bbq", ":", "age", "--ta"], ["b", "bbq:age", "--ta"], ""),
    ],
)
def test_words_that_bash_broke_are_whole_again(words: list[str], whole: list[str], begun: str) -> None:
    assert _joined(words) == (whole, begun)


def test_a_shell_is_answered(tmp_path: Path) -> None:
    script = (
        "import os, sys; sys.argv = ['biasectomy']\n"
        "os.environ |= {'_BIASECTOMY_COMPLETE': 'complete_bash', 'COMP_CWORD': '5',\n"
        "               'COMP_WORDS': 'biasectomy\\nmitigate\\n--task\\nbbq\\n:\\nag'}\n"
        "from biasectomy.cli.app import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.split() == ["False", "age"] or done.stdout.split() == ["age", "False"], done.stderr


def test_what_is_wrong_in_a_line_being_typed_is_not_printed_into_it(tmp_path: Path) -> None:
    typed = {"_BIASECTOMY_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "biasectomy study none-such --"}
    script = "import sys; sys.argv = ['biasectomy']; from biasectomy.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | typed,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


# show


def test_show_prints_a_finished_run(run: Run, tmp_path: Path) -> None:
    folder = folder_of(made(USUAL, method="after"), tmp_path / "run", ("report.md",))
    code, out, err = run("show", str(folder))
    assert (code, err) == (0, "") and "It is better." in out and "+0.70" in out and "report.md" in out
    assert "Cost" not in out and "twin" not in out.lower()
    full = run("show", str(folder), "--full")[1]
    assert "Twin" in full and "It is better." in full and "--full" not in full
    assert json.loads(run("show", str(folder), "--json")[1])["verdict"] == ["It is better."]
    code, out, err = run("show", str(tmp_path))
    assert (code, out) == (2, "") and "holds some: run; give one of them" in err


def test_show_needs_no_torch(tmp_path: Path) -> None:
    folder = folder_of(made(USUAL, method="after"), tmp_path / "run")
    script = (
        f"import sys; sys.argv = ['biasectomy', 'show', {str(folder)!r}]\n"
        "from biasectomy.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'transformers', 'scipy.special') if name in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert outcome.stdout.rstrip().endswith("[]"), outcome.stdout[-300:]


def test_full_and_preset_reach_the_settings(run: Run, called: list[Any]) -> None:
    assert run("mitigate", "--full", "--preset", "quick", "--max-items", "9")[0] == 0
    settings = called[0]
    assert settings.full and (settings.max_items, settings.max_instructions, settings.test_items) == (9, 1, 100)
    assert run("mitigate", "--preset", "quik")[2].rstrip().endswith("(did you mean 'quick'?).")
