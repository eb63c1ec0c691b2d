"""Pictures of a run by name. A new one is one file of this package that registers itself; nothing else names it.

matplotlib is imported where something is drawn.
"""

import importlib
import pkgutil

from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import PICTURES, Picture, register
from biasectomy.report.pictures.colours import DARK, LIGHT, Colours, css

__all__ = ["DARK", "LIGHT", "PICTURES", "Colours", "Picture", "css", "pictures", "register"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def pictures(run: FinishedRun) -> list[Picture]:
    """All that the run has something for, in the order of a report.

    Raises:
        DataError: a file of the run is damaged.
    """
    makers = sorted((PICTURES[name] for name in PICTURES), key=lambda one: one.place)
    return [picture for one in makers if (picture := one.make(run)) is not None]
