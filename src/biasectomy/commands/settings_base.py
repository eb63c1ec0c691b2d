"""What the settings of all commands have in common: fields, sections of methods and attributions, and complaints.

Inside these files the grid of CRISPR has the name "crispr.grid"; users write `--crispr.grid`, a table `[crispr]`,
`BIASECTOMY_CRISPR_GRID`, or `crispr={"grid": ...}`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import PrivateAttr, ValidationError
from pydantic.fields import FieldInfo

from biasectomy.commands.complaints import explained
from biasectomy.commands.presets import PRESET, PURPOSES, preset_values
from biasectomy.errors import SettingsError, UnknownNameError
from biasectomy.files import expanded
from biasectomy.options import Options
from biasectomy.plugins import load_plugin
from biasectomy.registry import Registry

PLUGIN = "plugin"
# How a run is handled, not what it computes: neither compared when it is resumed nor repeated to make it again. What a
# preset stands for is.
HANDLING = frozenset(
    {"quiet", "json_output", "full", PRESET, "resume", "overwrite", "store", "out", "push", "public", "yes"}
)


class Settings(Options):
    """Base of all settings; made by `of`, so that every complaint is one `SettingsError`."""

    positional: ClassVar[tuple[str, ...]] = ("model",)
    panel: ClassVar[str] = ""  # heading under which the fields a class declares are listed by --help
    basic: ClassVar[tuple[str, ...]] = ()  # fields that --help shows; the others are listed by --help-all
    examples: ClassVar[tuple[tuple[str, str], ...]] = ()  # command lines, and what each does
    sections: ClassVar[Registry[Any] | None] = None  # what is chosen by name and has settings of its own
    _sections: dict[str, Options] = PrivateAttr(default_factory=dict)
    _by_preset: frozenset[str] = PrivateAttr(default_factory=frozenset)

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Settings from Python: fields by name, and sections as dictionaries by the name of what they are for.

        Raises:
            SettingsError: a value is not usable.
            UnknownNameError: no setting has this name.
            PluginError: a plugin cannot be loaded.
        """
        load_plugins(options.get(PLUGIN))
        registry = cls.sections or ()
        # Keywords cannot have hyphens, names of methods do.
        hyphened = {name: name.replace("_", "-") for name in options}
        named = {new if (new := hyphened[name]) in registry else name: value for name, value in options.items()}
        return validated(cls, flat(named), {})

    def with_sections(self, sections: Mapping[str, Options]) -> Self:
        """The same settings with those of methods or attributions.

        Raises:
            SettingsError: fields contradict each other.
        """
        self._sections.update(sections)
        self._check()
        return self

    def is_by_preset(self, field: str) -> bool:
        """Whether a field has the value that a preset gave it: nobody said so for this task in particular."""
        return field in self._by_preset

    def section(self, name: str) -> Options:
        """The settings of a method or an attribution; its defaults where nothing was said.

        Raises:
            UnknownNameError: there is none of this name.
        """
        assert self.sections is not None
        default: type[Options] = self.sections[name].Settings
        return self._sections.get(name) or default()

    def in_use(self) -> Sequence[str]:
        """Names of the sections that count for this command."""
        return ()

    def compared(self) -> dict[str, Any]:
        """What decides the figures, as JSON-like values; sections are dictionaries by name."""
        values: dict[str, Any] = self.model_dump(mode="json", exclude=set(HANDLING))
        chosen = {name: self.section(name).model_dump(mode="json") for name in self.in_use()}
        return values | {name: options for name, options in chosen.items() if options}

    def _check(self) -> None:
        values = self.__dict__
        if values.get("resume") and values.get("overwrite"):
            raise SettingsError("--resume and --overwrite exclude each other; give one of them.")


AnySettings = TypeVar("AnySettings", bound=Settings)


def settable(kind: type[Settings]) -> dict[str, FieldInfo]:
    """Every field by name, those of sections as "crispr.grid"."""
    fields = dict(kind.model_fields)
    for name in kind.sections or ():
        own: type[Options] = kind.sections[name].Settings  # type: ignore[index]
        fields |= {f"{name}.{field}": details for field, details in own.model_fields.items()}
    return fields


def load_plugins(named: Any) -> None:
    """Loads the plugins of a setting: names joined by commas, or a list of them."""
    names = named.split(",") if isinstance(named, str) else named if isinstance(named, list | tuple) else ()
    for name in names:
        if str(name).strip():
            load_plugin(str(name).strip())


def label(kind: type[Settings], name: str) -> str:
    """What a user calls a setting: its option, or a positional argument's name in capitals."""
    return name.removesuffix("_file").upper() if name in kind.positional else option_name(name)


def option_name(field: str) -> str:
    """The command-line option of a field, such as `--max-items`, or `--crispr.clamp-group` of "crispr.clamp_group"."""
    own = {"json_output": "--json", "neurons_file": "--neurons", "save_as": "--as", "with_sets": "--with"}
    return own.get(field, "--" + field.replace("_", "-"))


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of sections, which are dictionaries, as "crispr.grid"."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{field.replace('-', '_')}": one for field, one in value.items()}
        else:
            found[name] = value
    return found


def validated(kind: type[AnySettings], values: Mapping[str, Any], origins: Mapping[str, str]) -> AnySettings:
    """Settings from values by name, those of sections as "crispr.grid".

    Args:
        origins: what to call a value in a complaint; by default its option.

    Raises:
        SettingsError, UnknownNameError: a value or a name is not usable.
    """
    preset = values.get(PRESET)
    by_preset: dict[str, Any] = {}
    if PRESET in kind.model_fields and isinstance(preset, str) and preset in PURPOSES:
        by_preset = preset_values(settable(kind), kind, kind.sections, preset)
    by_preset = {name: value for name, value in by_preset.items() if name not in values}
    values = by_preset | dict(values)
    plain = {name: value for name, value in values.items() if "." not in name}
    by_section: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, dot, field = name.rpartition(".")
        if dot:
            by_section.setdefault(section, {})[field] = value
    registry = kind.sections
    if (strange := next((name for name in by_section if name not in (registry or ())), None)) is not None:
        raise UnknownNameError("section of settings", strange, registry or ())
    labels = {name: origins.get(name, label(kind, name)) for name in settable(kind)}
    paths = [name for name in plain if name in kind.model_fields and "Path" in str(kind.model_fields[name].annotation)]
    plain |= {name: _path(plain[name], labels[name]) for name in paths}
    settings: AnySettings = _made(kind, plain, labels)
    settings._by_preset = frozenset(by_preset)
    return settings.with_sections(
        {name: _made(registry[name].Settings, own, labels, f"{name}.") for name, own in by_section.items()}  # type: ignore[index]
    )


def _path(value: Any, label: str) -> Any:
    """A path with the user's folder in place of a tilde; other values are not touched."""
    if not isinstance(value, str | Path):
        return value
    if value == "":
        raise SettingsError(f"{label} is empty; it must be a path.")
    if "\0" in str(value):
        raise SettingsError(f"{label} is {str(value)!r}; a path cannot hold a NUL character.")
    return expanded(value)


def _made(kind: Any, values: Mapping[str, Any], labels: Mapping[str, str], prefix: str = "") -> Any:
    try:
        return kind(**values)
    except ValidationError as error:
        raise explained(kind, error, labels, prefix) from None
