"""Which layers of a model a method tries, as an option and as paths."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from biasectomy.errors import SettingsError

DEPTHS = (0.25, 0.5, 0.75)  # of the way through the blocks
LAST = -1


def numbers_in(kind: type[int] | type[float], example: str) -> Any:
    """What reads numbers joined by commas, or one alone."""

    def parse(value: object) -> object:
        if isinstance(value, int | float):
            return (value,)
        if not isinstance(value, str):
            return value
        try:
            return tuple(kind(piece) for piece in value.split(",") if piece.strip())
        except ValueError:
            raise ValueError(f"numbers joined by commas, such as {example}") from None

    return BeforeValidator(parse)


Layers = Annotated[tuple[Annotated[int, Field(ge=LAST)], ...], numbers_in(int, "4,8,12")]


def layers_of(wanted: Sequence[int] | None, blocks: int, option: str) -> list[int]:
    """The numbers of the layers to try, of so many blocks; those at a quarter, half and three quarters by default.

    `LAST` is the last one.

    Raises:
        SettingsError: the model has no such layer.
    """
    if not wanted:
        return sorted({min(blocks - 1, round(depth * blocks)) for depth in DEPTHS})
    if beyond := [one for one in wanted if one >= blocks]:
        raise SettingsError(f"{option} names layer {beyond[0]}; the model's layers are 0 to {blocks - 1}.")
    return sorted({blocks - 1 if one == LAST else one for one in wanted})
