"""The font that pictures are drawn with: small, with matplotlib's own metrics, and the whole one for other letters."""

import re
from pathlib import Path
from typing import Any

import pytest

from biasectomy.report.pictures.fonts import SMALL, WHOLE, families
from biasectomy.report.pictures.rendering import pdf, settings


def drawn(text: str, **style: Any) -> bytes:
    from matplotlib.figure import Figure

    with settings():
        figure = Figure(figsize=(4, 1))
        figure.text(0.1, 0.5, text, **style)
        return pdf(figure, "A picture")


@pytest.mark.parametrize("style", [{}, {"weight": "bold"}, {"style": "italic"}])
def test_what_pictures_say_is_embedded_from_the_small_font_as_text(style: dict[str, str]) -> None:
    letters = "Größe, Łódź, \N{GREEK SMALL LETTER BETA}, \N{CYRILLIC SMALL LETTER YA}: 5 %"
    content = drawn(f"{letters} \u2192 \u2212 \u2026 \u25a0 “so” \u2191\u2193\u2190\u00a0\u00b1", **style)
    names = set(re.findall(rb"/FontName /(?:[A-Z]{6}\+)?([\w-]+)", content))
    assert names and all(name.startswith(b"BiasectomySans") for name in names)
    assert b"/Subtype /Type3" not in content and b"/ToUnicode" in content


def test_letters_that_it_lacks_come_from_the_whole_font() -> None:
    names = set(re.findall(rb"/FontName /(?:[A-Z]{6}\+)?([\w-]+)", drawn("old \N{HEBREW LETTER ALEF}")))
    assert names == {b"BiasectomySans", b"DejaVuSans"}


def test_lines_of_text_are_as_wide_as_with_the_whole_font() -> None:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.textpath import text_to_path

    assert families() == [SMALL, WHOLE]
    for weight in ("normal", "bold"):
        fonts = [FontProperties(family=[name], size=12, weight=weight) for name in families()]
        assert Path(findfont(fonts[0])).parent != Path(findfont(fonts[1])).parent
        for text in ("Accuracy, disambiguated", "Tj AV To: 61.5 % \u2192"):
            widths = [text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] for font in fonts]
            assert widths[0] == pytest.approx(widths[1], rel=0.01)
