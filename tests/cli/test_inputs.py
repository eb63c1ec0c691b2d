"""Whatever is given to the command line is used or answered in one sentence, with code 2 and without a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biasectomy.commands.settings import COMMANDS
from biasectomy.commands.settings_base import Settings, option_name, settable, validated
from biasectomy.commands.settings_loading import load_settings
from biasectomy.errors import BiasectomyError
from tests.cli.conftest import Run

OPTIONS = [
    (command, option_name(name))
    for command, kind in COMMANDS.items()
    for name, field in settable(kind).items()
    if name not in kind.positional and field.annotation is not bool
]
FIELDS = [(command, name) for command, kind in COMMANDS.items() for name in settable(kind)]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)
in_process = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(st.sampled_from(OPTIONS), st.text())
@in_process
def test_any_text_for_any_option(run: Run, called: list[Any], option: tuple[str, str], text: str) -> None:
    command, name = option
    code, _, err = run(command, *(["n.json"] if command == "apply" else []), name, text)
    assert code in (0, 2)
    if code == 2:
        assert err.startswith("Error: ") and err.count("\n") == 1, err


@given(st.sampled_from(FIELDS), VALUES)
@in_process
def test_any_value_of_a_file_for_any_setting(field: tuple[str, str], value: Any) -> None:
    command, name = field
    others = {"neurons_file": "n.json"} if command == "apply" else {"methods": "cc"} if command == "compare" else {}
    try:
        made = validated(COMMANDS[command], others | {name: value}, {})
        assert isinstance(made, Settings)
        json.dumps(made.compared(), allow_nan=False)
    except BiasectomyError as error:
        assert str(error).count("\n") == 0 or "\n" in str(value)


@given(st.sampled_from(FIELDS), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
@in_process
def test_any_text_of_the_environment_for_any_setting(
    monkeypatch: pytest.MonkeyPatch, field: tuple[str, str], text: str
) -> None:
    command, name = field
    with monkeypatch.context() as changed:
        changed.setenv("BIASECTOMY_" + name.replace(".", "_").replace("-", "_").upper(), text)
        try:
            load_settings(
                COMMANDS[command], {"neurons_file": "n.json", "methods": "cc"} if command == "compare" else {}
            )
        except BiasectomyError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", ""], "--out is empty; it must be a path"),
        (["--out", "~nosuch/x"], "there is no user whose folder '~nosuch' could be"),
        (["--out", "loop/run"], "'loop/run' cannot be written: "),
        (["--out", "x" * 300], "cannot be written: File name too long. Choose another name"),
        (["--out", "file"], "'file' is a file; --out must name a folder"),
        (["--out", "file/run"], "is not a folder. Choose another --out"),
        (["--data", "nosuch"], "There is no data folder 'nosuch'"),
        (["--data", "~nosuch"], "there is no user"),
        (["--task", "bbq:aeg"], "did you mean 'bbq:age'"),
        (["--also", "perplexty"], "did you mean 'perplexity'"),
        (["--answer-rule", "means"], "There is no answer rule named 'means'; did you mean 'mean'"),
        (["--method", "crisp"], "did you mean 'crispr'"),
        (["smolm2"], "did you mean 'smollm2'"),
        (["./nosuch"], "There is no model at './nosuch'"),
        (["--threads", "1000000"], "--threads is '1000000'; it must be at most 1,024"),
        (["--replicates", "1000000000"], "it must be at most 1,000,000"),
        (["--random-neurons.draws", "1000000000"], "it must be at most 1,000"),
        (["--seed", "-1"], "--seed is '-1'; it must be at least 0"),
        (["--max-items", "1e3"], "it must be a whole number"),
        (["--resume", "--overwrite"], "exclude each other"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(
    run: Run, called: list[Any], words: list[str], said: str
) -> None:
    Path("loop").symlink_to("loop")
    Path("file").touch()
    code, out, err = run("mitigate", *words)
    assert (code, out) == (2, "") and not called
    assert err.startswith("Error: ") and err.count("\n") == 1 and said in err, err


def test_a_wrong_name_is_known_without_torch(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['biasectomy', 'mitigate', '--task', 'bbq:aeg']\n"
        "from biasectomy.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, [name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert outcome.stdout == "2 []\n"


# Terminals and folders that refuse


def called_outside(
    words: list[str], folder: Path, *, shell: str = 'exec "$@"', **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, run by a line of the shell."""
    python = [sys.executable, "-m", "biasectomy", *words]
    return subprocess.run(
        ["bash", "-c", shell, "bash", *python],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", **environment},
        check=False,
        timeout=120,
    )


needs_bash = pytest.mark.skipif(not Path("/bin/bash").exists(), reason="needs bash")


@needs_bash
@pytest.mark.parametrize("words", [["ls", "tasks"], ["ls", "tasks", "--json"], ["mitigate", "--help"], ["--help"]])
def test_a_console_of_plain_ascii(tmp_path: Path, words: list[str]) -> None:
    done = called_outside(words, tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    if "--json" in words:
        assert json.loads(done.stdout)


@needs_bash
def test_where_nobody_reads_on_the_command_ends_without_a_word(tmp_path: Path) -> None:
    done = called_outside(["ls", "tasks"], tmp_path, shell='"$@" | true; exit ${PIPESTATUS[0]}')
    assert done.returncode in (0, 141) and done.stderr == b""


@needs_bash
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["ls", "tasks"], ["ls", "tasks", "--json"], ["--version"]])
def test_a_full_disk_behind_standard_output(tmp_path: Path, words: list[str]) -> None:
    done = called_outside(words, tmp_path, shell='"$@" > /dev/full')
    assert done.returncode == 2
    assert done.stderr.decode() == "Error: The disk is full: standard output could not be written.\n"


@needs_bash
def test_a_working_folder_that_was_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    done = called_outside(["mitigate", "./model"], folder, shell='rmdir "$PWD"; exec "$@"')
    assert done.returncode == 2
    assert done.stderr.startswith(b"Error: ") and done.stderr.count(b"\n") == 1 and b"Traceback" not in done.stderr
