"""Code of the documentation runs as it stands there: blocks about `organism`, Python, and the notebooks."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from biasectomy.models.organisms import is_kept
from biasectomy.models.organisms.recipe import Recipe
from tests.documentation_blocks import PAGES, ROOT, Block, blocks, of_biasectomy, run_command

MODEL = "organism"
TUTORIAL = ROOT / "docs" / "tutorial.md"
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
# What a page does not say itself is small here.
SMALL = {"MAX_ITEMS": "40", "MAX_INSTRUCTIONS": "1", "REPLICATES": "50", "CRISPR_INSTANCES": "4", "PROMPTS": "4"}

pytestmark = pytest.mark.skipif(
    not is_kept(Recipe(architecture="llama")), reason="organism is not in the cache, and takes minutes to train"
)


def runs(block: Block) -> bool:
    """Python, unless the page says why not; commands that name the model."""
    if block.reason:
        return False
    return block.language == "python" or any(MODEL in words for words in _own(block))


def _own(block: Block) -> list[list[str]]:
    return (
        [own for words in block.commands() if (own := of_biasectomy(words)) is not None]
        if block.language == "console"
        else []
    )


def run_page(page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs what a page shows, from top to bottom; its Python shares its names."""
    names = {"__name__": "__main__"}
    for block in filter(runs, blocks(page)):
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), names)
        for words in _own(block):
            if MODEL in words:
                code = run_command(words, monkeypatch)
                assert code == 0, f"{block}: {' '.join(words)}: {capsys.readouterr().err}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != TUTORIAL and any(map(runs, blocks(page)))], ids=lambda page: page.name
)
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, value in SMALL.items():
        monkeypatch.setenv(f"BIASECTOMY_{name}", value)
    run_page(page, monkeypatch, capsys)


def test_the_tutorial_runs_and_tells_what_its_commands_find(tmp_path, monkeypatch, capsys):
    """The figures of its tables, and the sentences of its verdict."""
    from biasectomy.files import read_json
    from biasectomy.measuring.results import Results

    monkeypatch.chdir(tmp_path)
    run_page(TUTORIAL, monkeypatch, capsys)
    after = Results.from_json(read_json(Path("after/results.json")), "results.json")
    text = TUTORIAL.read_text(encoding="utf-8")
    for title, metric, task in (
        ("`organism:bias`: accuracy, ambiguous", "accuracy_ambiguous", "organism:bias"),
        ("accuracy, disambiguated", "accuracy_disambiguated", "organism:bias"),
        ("bias score, ambiguous", "bias_ambiguous", "organism:bias"),
        ("`organism:skill`: accuracy", "accuracy", "organism:skill"),
    ):
        before, edited = (after.find(method, metric, task=task) for method in ("original", "edited"))
        assert before is not None and edited is not None
        assert f"| {title} | {before.value:.2f} |\n" in text
        assert f"| {title} | {before.value:.2f} | {edited.value:.2f} |\n" in text
    for sentence in read_json(Path("run/results.json"))["verdict"]:
        assert sentence in text.replace("\n> ", " ")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    """Cell by cell in this process, which takes a kernel's start less."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    names = {"__name__": "__main__"}
    said = io.StringIO()
    with redirect_stdout(said):
        for number, cell in enumerate(cells):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)
                assert cell["outputs"] and not any(one["output_type"] == "error" for one in cell["outputs"]), number
    assert said.getvalue()
