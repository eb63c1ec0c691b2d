"""The documentation says what the code does: commands, options, names, links, and blocks of code that are read."""

import ast
import contextlib
import importlib
import json
import pkgutil
import re
import tomllib
from collections.abc import Iterator

import pytest
import yaml

import biasectomy.tasks
from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.errors import DataError, HubError, SourceError
from biasectomy.methods import METHODS
from biasectomy.tasks import TASKS
from biasectomy.tasks.label_choice import label_metrics
from biasectomy.tasks.metrics import Metric
from biasectomy.tasks.stereoset_scores import by_scores, stereoset_metrics
from documentation.commands_page import commands, commands_page, options
from documentation.names_page import names_page, python_page
from hatch_build import readme_for_index
from tests.documentation_blocks import (
    PAGES,
    ROOT,
    all_blocks,
    blocks,
    check_other,
    of_biasectomy,
    pyproject,
    run_command,
)

LANGUAGES = {"console", "sh", "python", "toml", "json", "text"}
OTHERS = ("accelerate", "hf", "make", "pip", "python", "torchrun")  # programs with options of their own
FOREIGN = {  # options of these, of the group of commands, and of examples of what one may write
    "--cpu", "--help", "--help-all", "--install-completion",
    "--multi_gpu", "--nproc-per-node", "--num_processes", "--version", "--yours.field",
}  # fmt: skip


def test_every_block_says_its_language():
    assert [str(block) for page in PAGES for block in blocks(page) if block.language not in LANGUAGES] == []


# Commands


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands judge their options and names, and then do nothing; files and models that are not here are no fault."""
    from biasectomy.cli import app
    from biasectomy.commands import names
    from biasectomy.commands.studies import STUDIES

    checked = names.check_names

    def lenient(settings):
        with contextlib.suppress(SourceError, DataError, HubError):
            checked(settings)

    def nothing(*given, **named):
        return None

    monkeypatch.setattr(names, "check_names", lenient)
    monkeypatch.setattr(app, "show", nothing)
    for name in app.RUNS:
        monkeypatch.setitem(app.RUNS, name, nothing)
    for name in STUDIES:
        monkeypatch.setattr(STUDIES[name], "run", nothing)


def test_every_command_that_a_page_shows_is_one(no_work, monkeypatch, capsys, tmp_path):
    from biasectomy.cli.runs import RUNS

    monkeypatch.chdir(tmp_path)
    known = {words.split()[0] for words, _ in commands()}
    for block in all_blocks("console", "sh"):
        for words in block.commands():
            own = of_biasectomy(words)
            if own is None:
                check_other(words)
                continue
            if own[0] in FOREIGN:
                continue
            assert own[0] in known, f"{block}: there is no command {own[0]}"
            if (own[0] in RUNS or own[0] == "study") and "--plugin" not in own:  # a plugin's names are its own
                code = run_command(own, monkeypatch)
                assert code == 0, f"{block}: {' '.join(words)}: {capsys.readouterr().err}"


def test_every_option_that_a_page_names_is_one():
    """In code within a sentence; blocks are checked above."""
    known = {option for _, command in commands() for option in options(command)}
    wrong = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for code in re.findall(r"`([^`\n]+)`", text):
            if page.name == "benchmarks.md" or code.split()[0].rpartition("/")[2] in OTHERS:
                continue
            for option in re.findall(r"(?<![\w-])--[a-z][\w.-]*", code):
                if option not in known | FOREIGN:
                    wrong.append(f"{page.name}: {option}")
    assert wrong == []


def test_the_page_of_commands_has_every_command_and_every_option_once_or_more():
    page = commands_page()
    for words, command in commands():
        assert f"\n## `{words}`\n" in page
        missing = [option for option in options(command) if f"`{option}`" not in page]
        assert missing == [], words


# Blocks that are read


@pytest.mark.parametrize("block", [block for block in all_blocks("python") if block.reason], ids=str)
def test_python_that_is_not_run_is_python_and_names_what_there_is(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module == "biasectomy":
            assert all(hasattr(biasectomy, alias.name) for alias in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "biasectomy":
            assert hasattr(biasectomy, node.attr)


@pytest.mark.parametrize("block", all_blocks("toml", "json"), ids=str)
def test_data_can_be_read(block):
    if block.language == "toml":
        tomllib.loads(block.text)
    else:
        for line in block.text.splitlines():
            json.loads(line)


# Names


def test_every_formula_is_told():
    """Of each method and attribution, and of each metric that a module of tasks has."""
    text = (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([^`]+)`", text))
    assert set(METHODS) | set(ATTRIBUTIONS) <= told
    endings = re.compile(r"^instruction_(deviation|range)(?=_)_?|_(labels|names|prompted|answered)$")
    metrics = {endings.sub("", metric.name) for metric in _metrics()}
    assert len(metrics) > 40 and metrics <= told | {""}


def _metrics() -> Iterator[Metric]:
    for module in pkgutil.iter_modules(biasectomy.tasks.__path__):
        for value in vars(importlib.import_module(f"biasectomy.tasks.{module.name}")).values():
            yield from (one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Metric))
    yield from stereoset_metrics(by_scores)
    for key in ("boolq", "mrpc", "rte", "qnli"):
        yield from label_metrics(key, key)


def test_the_lists_hold_everything_there_is():
    names, python = names_page(), python_page()
    assert all(f"`{name}`" in names for registry in (METHODS, ATTRIBUTIONS, TASKS) for name in registry)
    assert all(f".{name}\n" in python for name in biasectomy.__all__)


# Links


def test_links_between_files_lead_somewhere():
    wrong = []
    for page in (*PAGES, ROOT / "CHANGELOG.md"):
        text = page.read_text(encoding="utf-8")
        shown = re.findall(r'(?:src|srcset)="(?!https?:)([^"]+)"', text)
        for target in (*shown, *re.findall(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)", text)):
            path = page.parent / target.partition("#")[0]
            made = page.parent.name == "docs" and target.startswith(
                ("reference/", "notebooks/", "changelog", "contributing")
            )
            if not path.exists() and not made:
                wrong.append(f"{page.name}: {target}")
    assert wrong == []


def test_the_documentation_is_in_the_archive_of_sources():
    included = pyproject()["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"/docs", "/documentation", "/examples", "/mkdocs.yml", "/README.md"} <= set(included)


# The package index


def test_links_of_the_index_s_page_are_absolute_or_none():
    text = "![plane](docs/images/a.png) [page](docs/b.md#c) [out](https://example.org) [below](#d)"
    there = readme_for_index(text, "https://example.org/project/")
    assert there == (
        "![plane](https://example.org/project/raw/main/docs/images/a.png) "
        "[page](https://example.org/project/blob/main/docs/b.md#c) [out](https://example.org) [below](#d)"
    )
    assert readme_for_index(text, None) == " page [out](https://example.org) [below](#d)"
    shown = '<picture><source srcset="{0}/dark.png"><img src="{0}/a.png"></picture>\n\nwhat it shows\n\nbelow'
    picture, raw = shown.format("docs"), "https://example.org/project/raw/main/docs"
    assert readme_for_index(picture, "https://example.org/project") == shown.format(raw)
    assert readme_for_index(picture, None) == "below"
    for source in (None, "https://example.org/project"):
        whole = readme_for_index((ROOT / "README.md").read_text(encoding="utf-8"), source)
        assert set(re.findall(r"""(?:\]\(|src=|srcset=")(?!https?:)([^)"]+)[)"]""", whole)) == set()


def test_workflows_run_what_must_pass_on_every_python_that_is_supported():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: 3."
    said = [one.removeprefix(prefix[:-2]) for one in pyproject()["project"]["classifiers"] if one.startswith(prefix)]
    assert tested == said
    assert {"run": ".ci/run"} in workflow["jobs"]["tests"]["steps"]
