"""Settings of things that are chosen by name: methods and attributions, each beside its own code."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Base of all settings: frozen, and no unknown names; descriptions are the help text."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)
