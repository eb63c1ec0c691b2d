"""Attributions: a score for each neuron of a model.

A new one is one file here with one registered function from `RuleSettings` to a rule (see `rule.Rule`).
"""

import importlib
import pkgutil

from biasectomy.attribution.rule import ATTRIBUTIONS, Rule, RuleSettings

__all__ = ["ATTRIBUTIONS", "Rule", "RuleSettings", "describe_attributions"]


def describe_attributions() -> list[dict[str, str]]:
    """Name and first sentence of every attribution."""
    return [
        {"name": name, "description": (ATTRIBUTIONS[name].__doc__ or "").strip().splitlines()[0]}
        for name in ATTRIBUTIONS
    ]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
