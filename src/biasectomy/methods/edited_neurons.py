"""Any edit of the neurons that any attribution puts first: removed, dampened or strengthened by one factor."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationError

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.errors import SettingsError
from biasectomy.methods.base import METHODS, Profile
from biasectomy.methods.neuron_edit import (
    DEFINITION,
    GRID,
    RACING,
    Definition,
    FittedNeurons,
    Grid,
    Ranking,
    TopNeurons,
)
from biasectomy.options import Options

if TYPE_CHECKING:
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "edited-neurons"


def _joined(value: object) -> object:
    """A table of a file as it is written on the command line."""
    if not isinstance(value, Mapping):
        return value
    return ",".join(f"{str(name).replace('_', '-')}={one}" for name, one in value.items())


@METHODS.register(NAME)
class EditedNeurons(Ranking):
    """Removes, dampens or strengthens the neurons that an attribution puts first, or last."""

    title: ClassVar[str] = "Edited neurons"
    usual_count: ClassVar[int] = 100
    profile: ClassVar[Profile] = Profile(
        "weights",
        "what the attribution reads, with gradients or without, then many answers to all items",
        ("weights", "gradients"),
        True,
        sharded=True,
    )

    class Settings(Options):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"grid": (0, 8)}}

        attribution: str = Field(
            "gradient", min_length=1, description="How neurons are scored; 'ls attributions' lists the ways."
        )
        options: Annotated[str, BeforeValidator(_joined)] = Field(
            "", description="Options of the attribution, as NAME=VALUE joined by commas: instances=80,against=other."
        )
        factor: float = Field(
            0.0,
            ge=-9,
            le=11,
            allow_inf_nan=False,
            description="What each neuron is multiplied by: 0 removes it, 0.5 dampens it, 1.5 strengthens it.",
        )
        end: Literal["highest", "lowest"] = Field(
            "highest",
            description="Which neurons: those with the highest scores, or the lowest, which speak against the bias.",
        )
        definition: Definition = DEFINITION
        grid: Grid = GRID
        racing: bool = RACING

    def __init__(self, settings: "EditedNeurons.Settings") -> None:
        self.settings = settings
        if settings.factor == 1:
            raise SettingsError(f"--{NAME}.factor 1 leaves every neuron as it is; 0, 0.5 or 1.5 would change some.")
        self.attribution = _attribution(settings.attribution, settings.options)

    def expected_questions(self, development: "Task") -> float:
        """The attribution says what it reads, and numbers of neurons are raced.

        Raises:
            SettingsError: the attribution cannot work on these items.
        """
        return self._top.expected_questions(development)

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedNeurons:
        """Scores the neurons, then chooses how many to edit.

        Raises:
            SettingsError: the attribution cannot work on these items, or the task sets no goal.
        """
        return self._top.fit(model, development, session)

    def reading(self, items: int) -> "EditedNeurons":
        """See `OfAnySize`."""
        known = type(self.attribution.settings).model_fields
        more = [f"{name}={number}" for name, number in (("instances", items), ("trials", 1)) if name in known]
        options = ",".join(filter(None, [self.settings.options, *more]))
        return EditedNeurons(self.settings.model_copy(update={"options": options}))

    @property
    def _top(self) -> TopNeurons:
        one = self.settings
        return TopNeurons(
            NAME,
            self.attribution,
            one.definition,
            one.grid,
            one.racing,
            factor=one.factor,
            scored_by=one.attribution,
            lowest=one.end == "lowest",
        )


def _attribution(name: str, written: str) -> Any:
    """The attribution of a name with options such as "instances=80,against=other".

    Raises:
        UnknownNameError: there is none of this name.
        SettingsError: it has no such option, or a value is not usable; names those it has.
    """
    kind = ATTRIBUTIONS[name]
    pieces = [piece.strip() for piece in written.split(",") if piece.strip()]
    if wrong := next((piece for piece in pieces if "=" not in piece), None):
        raise SettingsError(f"--{NAME}.options holds '{wrong}'; write NAME=VALUE, joined by commas.")
    given = {left.strip().replace("-", "_"): right.strip() for left, _, right in (one.partition("=") for one in pieces)}
    known = ", ".join(field.replace("_", "-") for field in kind.Settings.model_fields) or "none"
    if strange := next((field for field in given if field not in kind.Settings.model_fields), None):
        raise SettingsError(
            f"--{NAME}.options has '{strange}', which the attribution '{name}' does not know; its options: {known}."
        )
    try:
        return kind(kind.Settings(**given))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise SettingsError(f"--{NAME}.options {field}={given.get(field, '')}: {first['msg']}.") from None
