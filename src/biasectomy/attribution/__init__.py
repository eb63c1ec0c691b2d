"""Attributions: a score for each neuron of a model.

A new one is one file here with a class that registers itself in `ATTRIBUTIONS`. The files are read when a command's
options are asked for, so they import what is slow to import where it is used; `products` is what they may share.
"""

import importlib
import pkgutil

from biasectomy.attribution.base import ATTRIBUTIONS, Attribution
from biasectomy.registry import described

__all__ = ["ATTRIBUTIONS", "Attribution", "describe_attributions"]

for _module in pkgutil.iter_modules(__path__):
    if not _module.ispkg:
        importlib.import_module(f"{__name__}.{_module.name}")


def describe_attributions() -> list[dict[str, str]]:
    """Name and first sentence of every attribution."""
    return [{"name": name, "description": described(ATTRIBUTIONS[name])} for name in ATTRIBUTIONS]
