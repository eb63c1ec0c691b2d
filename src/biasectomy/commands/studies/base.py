"""What a study is: several fits and measurements that answer one question, with a table and a verdict."""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from biasectomy.registry import Registry

if TYPE_CHECKING:  # a study's settings are asked for by `--help`, which needs nothing of this
    from biasectomy.commands.outcome import Outcome
    from biasectomy.commands.settings_base import Settings
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task


class Study(Protocol):
    """A study, as a class that is registered; its docstring's first line describes it.

    `Settings` are those of `biasectomy study NAME`, with `out`, `resume` and `overwrite`.
    """

    Settings: ClassVar[type["Settings"]]

    @staticmethod
    def run(
        settings: Any,
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """Computes it; model and task stand in for those of the settings, without `keep` no folder is written."""


STUDIES: Registry[Any] = Registry("study")  # classes of studies
