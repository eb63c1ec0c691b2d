"""`python -m benchmarks.evidence [STUDY ...]`: fits and asks every row, and writes the tables of docs/evidence.md."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from biasectomy.cli.exits import run_and_exit
from biasectomy.errors import UnknownNameError
from biasectomy.files import read_json, write_atomically, write_json

DOCUMENT, RAW = Path("docs/evidence.md"), Path("docs/evidence")
# Results of runs of `biasectomy compare`, put there by hand.
COMPARED = {
    "methods": "Every method on the same items: SmolLM2",
    "methods-organism": "Every method on the same items: a Llama with a planted stereotype",
}
PICTURES_FOLDER, PICTURED = Path("docs/pictures"), "age"
IN_PICTURE = (
    "original",
    "always-unknown",
    "random-neurons",
    "crispr-paper",
    "fair-prompt",
    "learned-factors-1000",
    "lora",
)
MARK = "<!-- tables: made by python -m benchmarks.evidence -->"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(metavar="[STUDY ...]", help="Which. Default: all.")] = None,
    work: Annotated[Path, typer.Option(help="Folder that keeps what was fitted and answered.")] = Path("evidence-work"),
    rows: Annotated[str, typer.Option(help="Rows, joined by commas. Default: all of a study.")] = "",
    items: Annotated[int, typer.Option(min=1, help="Items of each task; thrice as many of those that decide.")] = 100,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of the rows that matter most.")] = 5,
    only_tables: Annotated[bool, typer.Option("--only-tables", help="Write the tables anew, compute nothing.")] = False,
) -> None:
    """Fits methods on the same items, asks all of them the same, and writes down what came out."""
    from benchmarks.evidence.studies import STUDIES

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in names or ():
        if name not in STUDIES:
            raise UnknownNameError("study", name, STUDIES)
    if not only_tables:
        from benchmarks.evidence.measuring import Laboratory
        from benchmarks.evidence.merging import with_earlier
        from biasectomy.measuring.results import Results

        for name in names or STUDIES:
            laboratory = Laboratory(STUDIES[name], work, items, seeds)
            found = laboratory.results({one for one in rows.split(",") if one})
            if rows and (raw := RAW / f"{name}.json").exists():
                found = with_earlier(found, Results.from_json(read_json(raw)), [row.name for row in laboratory.rows])
            write_json(RAW / f"{name}.json", found.to_json())
    write_tables()


def write_tables() -> None:
    """Puts the tables of all raw results behind the mark in the document."""
    from benchmarks.evidence.studies import STUDIES
    from benchmarks.evidence.table import compared, rendered
    from biasectomy.measuring.results import Results

    said = DOCUMENT.read_text(encoding="utf-8").partition(MARK)[0]
    tables = [
        rendered(Results.from_json(read_json(RAW / f"{name}.json")), study.title)
        for name, study in STUDIES.items()
        if (RAW / f"{name}.json").exists()
    ]
    tables += [
        compared(Results.from_json(read_json(RAW / f"{name}.json")), title)
        for name, title in COMPARED.items()
        if (RAW / f"{name}.json").exists()
    ]
    write_atomically(DOCUMENT, "\n\n".join([said.rstrip(), MARK, *tables]) + "\n")
    write_picture()


def write_picture() -> None:
    """Draws the plane of README.md, for light and dark pages: the rows that tell most, on the items of Age."""
    from biasectomy.measuring.results import Results
    from biasectomy.report.finished import FinishedRun
    from biasectomy.report.pictures import PICTURES
    from biasectomy.report.pictures.colours import DARK, LIGHT
    from biasectomy.report.pictures.rendering import png, settings

    raw = RAW / f"{PICTURED}.json"
    if not raw.exists():
        return
    found = Results.from_json(read_json(raw))
    shown = tuple(row for row in found.metrics if row.method in IN_PICTURE)
    differences = tuple(row for row in found.differences if row.method in IN_PICTURE)
    run = FinishedRun(RAW, replace(found, metrics=shown, differences=differences), {})
    picture = PICTURES["trade-off"].make(run)
    if picture is None or picture.drawing is None:
        return
    for name, colours in (("trade-off", LIGHT), ("trade-off-dark", replace(DARK, background=DARK.paper))):
        with settings():
            write_atomically(PICTURES_FOLDER / f"{name}.png", png(picture.drawing(colours)))


if __name__ == "__main__":
    run_and_exit(lambda: app, "python -m benchmarks.evidence")
