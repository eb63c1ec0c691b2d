"""Settings of things that are chosen by name: methods and attributions, each beside its own code."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

Chosen = TypeVar("Chosen", bound="Options")


class Options(BaseModel):
    """Base of all settings: frozen, and no unknown names; descriptions are the help text.

    `presets` says by the name of a command's preset what it sets here; a class adds to those of its bases.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)


def with_preset(settings: Chosen, presets: Mapping[str, Mapping[str, Any]]) -> Chosen:
    """Settings with the values that their `preset` stands for, by its name; what is set beside it stays as it is."""
    values = presets.get(getattr(settings, "preset", ""), {})
    return settings.model_copy(
        update={name: one for name, one in values.items() if name not in settings.model_fields_set}
    )
