"""The font of pictures: matplotlib's own, cut down to the scripts that most names are written in.

Of a whole font, with its rules for dozens of scripts, it takes several times as long to draw a picture as to embed what
the picture has of it in a PDF. What the small font lacks comes from the whole one.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

WHOLE, SMALL = "DejaVu Sans", "Biasectomy Sans"  # a font that was changed has another name
FACES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf")
# Latin, Greek and Cyrillic letters; punctuation, arrows, mathematical signs, geometric shapes.
LETTERS = ((0x20, 0x180), (0x370, 0x460), (0x2010, 0x2040), (0x2190, 0x21A0), (0x2200, 0x2270), (0x25A0, 0x25D0))
UNUSED = ["GSUB", "GPOS", "GDEF", "MATH", "FFTM"]  # tables
FAMILY, FULL, POSTSCRIPT, TYPOGRAPHIC = 1, 4, 6, 16  # entries of the table of names


@functools.cache
def families() -> list[str]:
    """The small font, which is made once a process, and the whole one."""
    import matplotlib.font_manager

    folder = Path(tempfile.mkdtemp(prefix="biasectomy-fonts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    whole = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in FACES:
        _cut_down(whole / name, folder / name)
        matplotlib.font_manager.fontManager.addfont(folder / name)
    return [SMALL, WHOLE]


def _cut_down(whole: Path, small: Path) -> None:
    from fontTools import subset

    options = subset.Options(glyph_names=False, name_IDs=["*"], legacy_kern=True)
    options.drop_tables += UNUSED
    with subset.load_font(str(whole), options) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=[letter for first, end in LETTERS for letter in range(first, end)])
        cutter.subset(font)
        for entry in font["name"].names:
            if entry.nameID in (FAMILY, FULL, TYPOGRAPHIC):
                entry.string = entry.toUnicode().replace(WHOLE, SMALL)
            elif entry.nameID == POSTSCRIPT:
                entry.string = entry.toUnicode().replace(WHOLE.replace(" ", ""), SMALL.replace(" ", ""))
        subset.save_font(font, str(small), options)
