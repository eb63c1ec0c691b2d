"""The colours of pictures: of a light and a dark page, and marked ones that are found again in an SVG.

Series are told apart by people who do not see red, green or blue well, stand out from the paper by more than 4.5 to 1,
so that text may have their colours, and are told apart by their shapes as well.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Colours:
    """A palette; `background` is what a whole picture stands on, "none" for that of the page."""

    ink: str
    paper: str
    muted: str
    grid: str
    series: tuple[str, ...]
    background: str = "none"

    def by_variable(self) -> dict[str, str]:
        """Every colour by the name of its CSS variable."""
        plain = {f"--{name}": value for name, value in asdict(self).items() if name not in ("series", "background")}
        return plain | {f"--series-{number}": value for number, value in enumerate(self.series, start=1)}


LIGHT = Colours(
    ink="#1a1a1a",
    paper="#ffffff",
    muted="#5a6069",
    grid="#d5d9df",
    series=("#0b62a8", "#c2410c", "#00735c", "#8b3a8f", "#7d5c00", "#0a7591", "#b3205e", "#4d5663"),
    background="#ffffff",
)
DARK = Colours(
    ink="#e8eaed",
    paper="#16181d",
    muted="#a4abb6",
    grid="#3b414a",
    series=("#6db3f2", "#ff9d6b", "#4fd1b0", "#dca3e3", "#e0ba45", "#6ad3ee", "#ff8fb8", "#b9c0ca"),
)
# No picture has these by chance; in its SVG each becomes the variable in its place.
MARKED = Colours(
    ink="#fe0101",
    paper="#fe0102",
    muted="#fe0103",
    grid="#fe0104",
    series=tuple(f"#fe02{number:02x}" for number in range(1, 9)),
)


def variables() -> dict[str, str]:
    """What stands in an SVG in place of each marked colour: a variable with its light value for want of another."""
    light = LIGHT.by_variable()
    return {marked: f"var({name}, {light[name]})" for name, marked in MARKED.by_variable().items()}


def css() -> str:
    """Rules that give the variables their values, light or dark as a reader wishes, and pictures their size."""

    def block(colours: Colours) -> str:
        return "".join(f"{name}:{value};" for name, value in colours.by_variable().items())

    size = 'svg[role="img"]{display:block;width:100%;max-width:40rem;height:auto}'
    return f":root{{{block(LIGHT)}}}@media (prefers-color-scheme:dark){{:root{{{block(DARK)}}}}}{size}"
