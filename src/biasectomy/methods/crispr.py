"""CRISPR: the neurons behind the confused answer are removed (Yang et al., ACL 2024)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from biasectomy.attribution.crispr import Crispr as CrisprAttribution
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

if TYPE_CHECKING:
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "crispr"


@METHODS.register(NAME)
class Crispr(Ranking):
    """Removes the neurons that raise the confused answer and do not serve the right one (Yang et al. 2024)."""

    title: ClassVar[str] = "CRISPR"
    usual_count: ClassVar[int] = 100
    profile: ClassVar[Profile] = Profile(
        "weights",
        "forward and backward passes over some items, then many answers to all",
        ("weights", "gradients"),
        True,
        sharded=True,
    )

    class Settings(CrisprAttribution.Settings):
        """Options of the method, beside those of its attribution."""

        presets: ClassVar[Mapping[str, Any]] = {
            "quick": {"grid": (0, 8), "instances": 10, "trials": 1},
            "paper": {"variant": "paper", "instances": 20, "trials": 3, "definition": "linear-output"},
        }

        definition: Definition = DEFINITION
        grid: Grid = GRID
        racing: bool = RACING

    def __init__(self, settings: "Crispr.Settings") -> None:
        self.settings = settings
        own = {name: getattr(settings, name) for name in CrisprAttribution.Settings.model_fields}
        self.attribution = CrisprAttribution(CrisprAttribution.Settings(**own))

    def expected_questions(self, development: "Task") -> float:
        """Every drawn item is attributed, and numbers of neurons are raced.

        Raises:
            SettingsError: there are too few items, or they have no right answer.
        """
        return self._top.expected_questions(development)

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedNeurons:
        """Scores the neurons, then chooses how many to remove.

        Raises:
            SettingsError: there are too few development items, or the task sets no goal.
        """
        return self._top.fit(model, development, session)

    def reading(self, items: int) -> "Crispr":
        """See `OfAnySize`: one trial of all of them."""
        return Crispr(self.settings.model_copy(update={"instances": items, "trials": 1}))

    @property
    def _top(self) -> TopNeurons:
        settings = self.settings
        return TopNeurons(NAME, self.attribution, settings.definition, settings.grid, settings.racing)
