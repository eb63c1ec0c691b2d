"""Studies by name. A new one is one file of this package that registers itself in `STUDIES`; nothing else names it.

The files are read when a command's options are asked for, so they import what is slow to import where it is used.
"""

import importlib
import pkgutil

from biasectomy.commands.studies.base import STUDIES, Study

__all__ = ["STUDIES", "Study"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
