"""Presets: settings for a purpose, under one name. What is set beside one, wherever it is written, wins.

What each stands for is written beside the settings: in `presets` of the settings of commands, methods and attributions.
A run keeps what was in force, and the command that makes it again spells it out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from biasectomy.options import Options

PRESET = "preset"
AUTHORS = "paper"  # which methods know by themselves, where their authors' settings are known
PURPOSES = {
    "quick": "A first look, in minutes on two cores for a small model.",
    "full": "Everything: all items, all instructions, narrower intervals.",
    AUTHORS: "CRISPR on BBQ as its authors ran it; every other method by its own authors' settings, where it has them.",
}


def preset_values(fields: Mapping[str, Any], kind: type[Options], sections: Any, name: str) -> dict[str, Any]:
    """What a preset sets, by name; "crispr.grid" in sections.

    Args:
        fields: those that can be set, by name.
        kind: of the command's settings.
        sections: what has settings of its own there, a registry; None where nothing has.
        name: of the preset.
    """
    found = _of(kind, name)
    for section in sections or ():
        own: type[Options] = sections[section].Settings
        values = _of(own, name)
        if PRESET in own.model_fields and name in get_args(own.model_fields[PRESET].annotation):
            values = {PRESET: name} | values
        found |= {f"{section}.{field}": value for field, value in values.items()}
    return {field: value for field, value in found.items() if field in fields}


def _of(kind: type[Options], name: str) -> dict[str, Any]:
    """What a class and its bases say of a preset, the class itself last."""
    said: Iterable[Mapping[str, Any]] = (vars(one).get("presets", {}).get(name, {}) for one in reversed(kind.__mro__))
    return {field: value for values in said for field, value in values.items()}
