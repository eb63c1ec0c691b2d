"""Methods by name. A new one is one file of this package that registers itself in `METHODS`; nothing else names it.

The files are read when a command's options are asked for, so they import what is slow to import where it is used.
"""

import importlib
import pkgutil
from typing import Any

from biasectomy.methods.base import METHODS, Cost, Fitted, Method, OnlyInference, Profile
from biasectomy.registry import described

__all__ = ["METHODS", "Cost", "Fitted", "Method", "OnlyInference", "Profile", "describe_methods"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def describe_methods() -> list[dict[str, Any]]:
    """Name, first sentence and profile of every method."""
    return [_described(name) for name in METHODS]


def _described(name: str) -> dict[str, Any]:
    method = METHODS[name]
    profile: Profile = method.profile
    return {
        "name": name,
        "description": described(method),
        "needs": ", ".join(profile.needs) or "nothing",
        "changes": profile.changes,
        "checkpoint": "yes" if profile.checkpoint else "no",
        "costs": profile.costs,
    }
