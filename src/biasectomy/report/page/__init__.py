"""The report of a finished run as one page: `report.html`, made from the run's folder alone.

The page holds all it needs, and a policy that lets nothing be fetched and no script run but its own. What a run says,
texts of items first of all, is put into it as text.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from biasectomy.files import write_atomically
from biasectomy.report.finished import FinishedRun
from biasectomy.report.page.sections import Heading, sections
from biasectomy.report.pictures import DARK, LIGHT, Colours, Picture, pictures
from biasectomy.run_files import PAGE, PICTURES

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["render_page", "write_page"]


def write_page(folder: Path) -> Path:
    """Writes RUN/report.html and the pictures in it as files of RUN/pictures/; no model is loaded.

    Args:
        folder: of a finished run.

    Returns:
        The page.

    Raises:
        RunError: the folder holds no finished run, or cannot be written.
        DataError: a file of the run is damaged.
    """
    run = FinishedRun.read(folder)
    drawn = pictures(run)
    for picture in drawn:
        picture.save(folder / PICTURES)
    path = folder / PAGE
    write_atomically(path, render_page(run, drawn))
    return path


def render_page(run: FinishedRun, drawn: Sequence[Picture]) -> str:
    """The page as HTML.

    Args:
        run: a finished run.
        drawn: its pictures, as `pictures` makes them.

    Raises:
        DataError: a file of the run is damaged.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("biasectomy.report", "page"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    style, script = _colours() + _source("page.css"), _source("page.js")
    text = environment.get_template("page.html.jinja").render(
        heading=Heading.of(run),
        sections=sections(run, drawn),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src {_checksum(style)}; script-src {_checksum(script)}; "
        "base-uri 'none'; form-action 'none'",
    )
    return text.rstrip() + "\n"


def _prose(text: str) -> "Markup":
    """A sentence in which what stands between backticks is code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _source(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _checksum(text: str) -> str:
    """By which a policy knows a style or a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _colours() -> str:
    """The colours of pictures and page, light and dark: as the reader's device wishes, or as the page is told."""

    def block(colours: Colours) -> str:
        return "".join(f"{name}:{value};" for name, value in colours.by_variable().items())

    dark = f"color-scheme:dark;{block(DARK)}"
    return (
        f":root{{color-scheme:light;{block(LIGHT)}}}\n:root[data-theme=dark]{{{dark}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
        f"@media print{{:root,:root[data-theme=dark]{{color-scheme:light;{block(LIGHT)}}}}}\n"
    )
