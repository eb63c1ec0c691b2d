"""A picture of a run, and the registry that pictures are made from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from biasectomy.files import write_atomically
from biasectomy.registry import Registry
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.colours import LIGHT, MARKED, Colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawing = Callable[[Colours], "Figure"]
Maker = Callable[[FinishedRun], "Picture | None"]


@dataclass(frozen=True)
class Picture:
    """A picture as inline SVG, with what it says in words.

    `svg` has a view box and no width, so that a page sets its size; its colours are CSS variables with light defaults,
    its text is text, its font that of the page, and all its ids begin with the name.
    """

    name: str  # of its files, without ending; its id in a page
    title: str
    caption: str  # what it shows and how to read it
    alternative: str  # the same as the picture in words, with the main figures
    svg: str
    drawing: Drawing | None = field(default=None, repr=False, compare=False)  # None: there is the SVG alone

    @classmethod
    def drawn(cls, name: str, title: str, caption: str, alternative: str, drawing: Drawing) -> "Picture":
        """A picture whose SVG comes from a drawing, which is made anew for every palette and kind of file."""
        from biasectomy.report.pictures.rendering import inline_svg, settings
        from biasectomy.report.pictures.sheet import printable

        title, caption, alternative = (printable(text) for text in (title, caption, alternative))
        with settings():
            svg = inline_svg(drawing(MARKED), name, title, alternative)
        return cls(name, title, caption, alternative, svg, drawing)

    def save(self, folder: Path) -> list[Path]:
        """Writes NAME.svg (stand-alone, in light colours), NAME.png (200 dots an inch) and NAME.pdf, atomically.

        Raises:
            RunError: the folder cannot be written.
        """
        from biasectomy.report.pictures.rendering import pdf, png, settings, stand_alone

        contents: dict[str, str | bytes] = {"svg": stand_alone(self.svg)}
        if self.drawing is not None:
            with settings():
                figure = self.drawing(LIGHT)
                contents |= {"png": png(figure), "pdf": pdf(figure, self.title)}
        paths = {folder / f"{self.name}.{ending}": content for ending, content in contents.items()}
        for path, content in paths.items():
            write_atomically(path, content)
        return list(paths)


@dataclass(frozen=True)
class Registered:
    """What makes a picture of a run, None where the run has nothing for it; pictures stand in the order of `place`."""

    make: Maker
    place: int


PICTURES: Registry[Registered] = Registry("picture")


def register(name: str, place: int) -> Callable[[Maker], Maker]:
    """Decorator that files what makes a picture under the picture's name; places are tens, so that others fit in."""

    def file_under_name(make: Maker) -> Maker:
        PICTURES.register(name)(Registered(make, place))
        return make

    return file_under_name
