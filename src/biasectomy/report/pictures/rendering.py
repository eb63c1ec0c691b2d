"""A drawn figure as files: inline SVG whose colours are CSS variables, stand-alone SVG, PNG and PDF.

The same figure gives the same bytes: no dates, no random ids.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from biasectomy.report.pictures.colours import LIGHT, variables
from biasectomy.report.pictures.fonts import families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_AN_INCH = 200
NAMESPACE, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
FONTS = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"  # of a stand-alone file; in a page, the page's
PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'
_LONG = re.compile(r"-?\d+\.\d{3,}")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_VARIABLE = re.compile(r"var\(--[\w-]+, (#[0-9a-f]{6})\)")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
OURS = {
    "pdf.fonttype": 42,  # text that can be searched
    "svg.fonttype": "none",
    "svg.hashsalt": "biasectomy",
    "text.parse_math": False,  # a dollar in a name is a dollar
}


@contextmanager
def settings() -> Iterator[None]:
    """A block in which matplotlib draws as pictures need it, whatever a user's own settings of it are."""
    import matplotlib.style

    fonts = {"font.family": families()}  # which come with matplotlib: the same on every machine
    with matplotlib.style.context(["default", OURS | fonts]), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn by the page's font in the end.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def inline_svg(figure: "Figure", name: str, title: str, alternative: str) -> str:
    """The figure as an `svg` element for a page.

    Args:
        figure: drawn in marked colours.
        name: which all ids begin with.
        title: its short name.
        alternative: what it shows, in words.

    Raises:
        ValueError: a colour in it is of no palette: it would stay as it is on a dark page.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    for artist in figure.findobj():
        artist.set_gid(None)  # names for those who look a mark up in the figure; any text may be in them
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(stream, metadata=nothing)  # type: ignore[no-untyped-call]
    drawn = ElementTree.fromstring(stream.getvalue())
    root = ElementTree.Element("svg", {"xmlns": NAMESPACE[1:-1], "xmlns:xlink": LINK[1:].partition("}")[0]})
    root.attrib |= {"id": name, "viewBox": drawn.attrib["viewBox"], "role": "img"}
    root.attrib |= {"aria-labelledby": f"{name}-title {name}-description"}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    for tag, text in (("title", title), ("desc", alternative)):
        ElementTree.SubElement(root, tag, {"id": f"{name}-{'title' if tag == 'title' else 'description'}"}).text = text
    used = set(_REFERENCE.findall(stream.getvalue())) | {
        one.attrib[LINK][1:] for one in drawn.iter() if LINK in one.attrib
    }
    known = variables()
    for child in drawn:
        root.extend(_plain(child, name, used, known))
    return ElementTree.tostring(root, encoding="unicode")


def _plain(element: ElementTree.Element, name: str, used: set[str], known: dict[str, str]) -> list[ElementTree.Element]:
    """An element without rules for the whole page, styles as attributes (a page may forbid styles), ids with a name.

    Groups and definitions that only hold others give way to what they hold.
    """
    tag = element.tag.removeprefix(NAMESPACE)
    if tag in ("style", "metadata"):
        return []
    children = [plain for child in element for plain in _plain(child, name, used, known)]
    attributes: dict[str, str] = {}
    for key, value in element.attrib.items():
        if key == "style":
            parts = (part.partition(":") for part in value.split(";"))
            attributes |= {name_of.strip(): said.strip() for name_of, _, said in parts}
        elif key == LINK:
            attributes["xlink:href"] = f"#{name}-{value[1:]}"
        elif key == "id":
            attributes |= {"id": f"{name}-{value}"} if value in used else {}
        elif not (key == "transform" and value.startswith("rotate(-0 ")):
            attributes[key] = " ".join(_REFERENCE.sub(rf"url(#{name}-\1)", _rounded(value)).split())
    attributes.pop("font-family", None)
    if tag == "text" and "fill" not in attributes:
        attributes["fill"] = "#000000"  # what the renderer leaves out
    if tag in ("g", "defs") and not attributes:
        return children if tag == "g" or not children else [_element(tag, {}, children)]
    plain = {key: _COLOUR.sub(lambda found: _variable(found.group(), known), one) for key, one in attributes.items()}
    made = _element(tag, plain, children)
    made.text = element.text if tag == "text" else None
    return [made]


def _rounded(value: str) -> str:
    """Places with two decimals: a hundredth of a unit cannot be seen."""
    return _LONG.sub(lambda found: f"{float(found.group()):.2f}".rstrip("0").rstrip("."), value)


def _element(tag: str, attributes: dict[str, str], children: list[ElementTree.Element]) -> ElementTree.Element:
    made = ElementTree.Element(tag, attributes)
    made.extend(children)
    return made


def _variable(colour: str, known: dict[str, str]) -> str:
    if colour not in known:
        raise ValueError(f"a picture has the colour {colour}, which is of no palette")
    return known[colour]


def stand_alone(svg: str) -> str:
    """An inline SVG as a file of its own: with light colours, a size and a background."""
    root = ElementTree.fromstring(_VARIABLE.sub(r"\1", svg))
    left, top, width, height = root.attrib["viewBox"].split()
    opening = re.compile(r"(<svg [^>]*?)(\s*/?>)")
    background = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="{LIGHT.background}"/>'
    text = opening.sub(
        rf'\1 width="{width}" height="{height}" font-family="{FONTS}"\2', _VARIABLE.sub(r"\1", svg), count=1
    )
    return PROLOG + text.replace("</desc>", f"</desc>{background}", 1) + "\n"


def png(figure: "Figure") -> bytes:
    """The figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream = io.BytesIO()
    figure.set_dpi(DOTS_AN_INCH)
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return stream.getvalue()


def pdf(figure: "Figure", title: str) -> bytes:
    """The figure as PDF."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    stream = io.BytesIO()
    metadata = {"Title": title, "Creator": None, "Producer": None, "CreationDate": None}
    FigureCanvasPdf(figure).print_pdf(stream, metadata=metadata)  # type: ignore[no-untyped-call]
    return stream.getvalue()
