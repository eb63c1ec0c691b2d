"""Methods by name. A new one is one file of this package that registers itself in `METHODS`; nothing else names it.

The files are read when a command's options are asked for, so they import what is slow to import where it is used.
"""

import importlib
import pkgutil
from typing import Any

from biasectomy.methods.base import METHODS, Cost, Fitted, Method, OnlyInference
from biasectomy.registry import described

__all__ = ["METHODS", "Cost", "Fitted", "Method", "OnlyInference", "describe_methods"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def describe_methods() -> list[dict[str, Any]]:
    """Name, title and first sentence of every method."""
    return [{"name": name, "title": METHODS[name].title, "description": described(METHODS[name])} for name in METHODS]
