"""Plugins: the examples run, and what is wrong with one is told in a sentence that names it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "plugins"
METHOD = """
from biasectomy import METHODS
from biasectomy.methods import OnlyInference, Profile
from biasectomy.options import Options
{before}
@METHODS.register("broken")
class Broken(OnlyInference):
    Settings = Options
    title = "Broken"
    profile = Profile("answers", "nothing")

    def __init__(self, settings): ...

    def expected_questions(self, development): return 0

    def fit(self, model, development, session):
        {fit}
"""


def run(*words: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """Runs the command line in a process of its own, since plugins stay loaded."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120", **environment}
    done = subprocess.run(
        [sys.executable, "-m", "biasectomy", *words], capture_output=True, text=True, cwd=folder, env=variables
    )
    return done.returncode, done.stdout, done.stderr


def test_a_task_and_a_method_from_outside(tiny_folder, tmp_path):
    plugins = f"{EXAMPLES / 'task_example.py'},{EXAMPLES / 'method_example.py'}"
    words = ("mitigate", str(tiny_folder), "--task", "jobs", "--method", "dampened", "--also", "none", "--json")
    code, out, errors = run(*words, "--plugin", plugins, "--dampened.factor", "0.5", "--out", "run", folder=tmp_path)
    assert code == 0, errors
    results = json.loads(out)
    assert {row["metric"] for row in results["metrics"]} == {"doctors"} and results["goals"] == {"jobs": "doctors"}
    neurons = json.loads((tmp_path / "run" / "neurons.json").read_text())["neurons"]
    assert len(neurons) == 16 and {neuron["factor"] for neuron in neurons} == {0.5}
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert [len(one["sha256"]) for one in record["plugins"]] == [64, 64] and "--plugin" in record["command"]
    assert record["settings"]["dampened"] == {"factor": 0.5, "layers": 1}


def test_an_attribution_from_outside(tiny_folder, tmp_path):
    (tmp_path / "settings.toml").write_text(f"plugin = '{EXAMPLES / 'attribution_example.py'}'\nmax_items = 40\n")
    words = ("find", str(tiny_folder), "--attribution", "weight-norm", "--count", "5", "--config", "settings.toml")
    code, _, errors = run(*words, folder=tmp_path)
    assert code == 0, errors
    found = json.loads((tmp_path / "neurons.json").read_text())
    assert found["found_with"]["attribution"] == "weight-norm"
    scores = [neuron["score"] for neuron in found["neurons"]]
    assert len(scores) == 5 and scores == sorted(scores, reverse=True) and scores[-1] > 0


def test_a_judge_from_outside(tiny_folder, tmp_path):
    plugin = str(EXAMPLES / "judge_example.py")
    words = ("evaluate", str(tiny_folder), "--task", "story", "--also", "none", "--out", "run", "--json")
    code, out, errors = run(*words, folder=tmp_path, BIASECTOMY_PLUGIN=plugin)
    assert code == 0, errors
    (row,) = json.loads(out)["metrics"]
    items = [json.loads(line) for line in (tmp_path / "run" / "items.jsonl").read_text().splitlines()]
    shares = [sum(map(str.isupper, item["texts"][0])) / max(1, len(item["texts"][0])) for item in items]
    assert [item["shouting"] for item in items] == pytest.approx(shares)
    assert row["value"] == pytest.approx(sum(shares) / 3) and row["items"] == 3
    assert "shouting" in run("ls", "judges", "--plugin", plugin, folder=tmp_path)[1]
    assert "shouting" not in run("ls", "judges", folder=tmp_path)[1]  # none is loaded unless it is named


def test_an_installed_package_brings_plugins_by_name(tmp_path):
    package = tmp_path / "site" / "mine-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[biasectomy.plugins]\njobs = mine_jobs\n")
    (package.parent / "mine_jobs.py").write_text((EXAMPLES / "task_example.py").read_text())
    path = {"PYTHONPATH": str(package.parent)}
    assert "jobs:all" in run("ls", "tasks", "--plugin", "jobs", folder=tmp_path, **path)[1]
    assert "jobs:all" not in run("ls", "tasks", folder=tmp_path, **path)[1]
    code, _, errors = run("ls", "tasks", "--plugin", "jbos", folder=tmp_path, **path)
    assert code == 2 and errors == "Error: There is no plugin named 'jbos'; did you mean 'jobs'?\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no plugin 'mine.py'; --plugin takes a Python file, or a name that a package gives."),
        ("x = 1\ny = (", "The plugin 'mine.py' cannot be loaded, line 2: '(' was never closed."),
        (
            "import torch\n\nimport no_such_module",
            "The plugin 'mine.py' cannot be loaded, line 3: ModuleNotFoundError:",
        ),
        (
            METHOD.format(before="", fit="return self").replace('"broken"', '"crispr"'),
            "The plugin 'mine.py' cannot be loaded, line 6: ValueError: the method 'crispr' is registered twice",
        ),
    ],
    ids=["missing", "syntax", "import", "name taken"],
)
def test_a_plugin_that_cannot_be_loaded(tmp_path, content, said):
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    code, out, errors = run("ls", "methods", "--plugin", "mine.py", folder=tmp_path)
    assert (code, out) == (2, "") and errors.startswith(f"Error: {said}") and errors.count("\n") == 1, errors


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        ("return 1 / 0", "Error: The plugin 'mine.py' failed, line 17: ZeroDivisionError: division by zero"),
        ("return development.goal('nonsense')", "Error: There is no objective of jobs named 'nonsense'"),
    ],
)
def test_a_plugin_that_fails_while_it_works(tiny_folder, tmp_path, fit, said):
    """Its own errors name it; what the library refuses is told as ever."""
    (tmp_path / "mine.py").write_text(METHOD.format(before="", fit=fit))
    words = ("mitigate", str(tiny_folder), "--task", "jobs", "--method", "broken", "--also", "none", "--quiet")
    code, _, errors = run(*words, "--plugin", f"{EXAMPLES / 'task_example.py'},mine.py", folder=tmp_path)
    assert code == 2 and errors.startswith(said) and errors.count("\n") == 1, errors


def test_the_documentation_shows_the_examples_as_they_are():
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    for example in sorted(EXAMPLES.glob("*.py")):
        code = example.read_text(encoding="utf-8")
        assert code in text, example.name
        assert len(code.splitlines()) <= 45
