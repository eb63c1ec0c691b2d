"""Settings from where users write them, and the command line that repeats them.

A value comes from the command line, else from the environment (`BIASECTOMY_SEED=1`, `BIASECTOMY_CRISPR_GRID=0,8`), else
from a TOML file (`seed = 1`; `[crispr]` with `grid = [0, 8]`), else from the default written beside its name.
"""

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biasectomy.commands.presets import PRESET, PURPOSES, preset_values
from biasectomy.commands.settings import COMMANDS
from biasectomy.commands.settings_base import (
    HANDLING,
    PLUGIN,
    AnySettings,
    Settings,
    flat,
    label,
    load_plugins,
    option_name,
    settable,
    validated,
)
from biasectomy.commands.studies.base import STUDIES
from biasectomy.errors import SettingsError, UnknownNameError

ENVIRONMENT_PREFIX = "BIASECTOMY_"
FOLDERS = ("BIASECTOMY_CACHE", "BIASECTOMY_DATA")  # variables that are no settings
STUDY = "study"
FOR_TESTS = "BIASECTOMY_TEST_"


def load_settings(kind: type[AnySettings], given: Mapping[str, Any], config: Path | None = None) -> AnySettings:
    """Settings from what the command line gave, the environment, a TOML file and the defaults, in that order.

    One TOML file may serve all commands: a name that only another command knows is passed over.

    Raises:
        SettingsError: a value is not usable or the file cannot be read.
        UnknownNameError: the file or a variable of the environment has a name that no command knows.
        PluginError: a plugin cannot be loaded.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    in_file = read_config(config) if config else {}
    named = given.get(PLUGIN) or os.environ.get(ENVIRONMENT_PREFIX + PLUGIN.upper()) or in_file.get(PLUGIN)
    load_plugins(named)  # they bring sections
    known = settable(kind)
    _refuse_unknown_variables()
    if config:
        _refuse_unknown(in_file, config)
        for name, value in in_file.items():
            if name in known:
                values[name], origins[name] = value, f"'{name}' in {config}"
    for name in known:
        variable = _variable(name)
        if text := os.environ.get(variable):
            values[name], origins[name] = text, f"the environment variable {variable}"
    for name, value in given.items():
        values[name], origins[name] = value, label(kind, name)
    return validated(kind, values, origins)


def all_commands() -> dict[str, type[Settings]]:
    """The settings of every command by its name, such as "mitigate" or "study transfer"."""
    return COMMANDS | {f"{STUDY} {name}": STUDIES[name].Settings for name in STUDIES}


def command_of(settings: Settings) -> str:
    """The name of the command that settings are of."""
    return next(name for name, kind in all_commands().items() if kind is type(settings))


def command_in(line: str) -> str:
    """The name of the command of a command line.

    Raises:
        IndexError: it has none.
    """
    words = line.split()
    return " ".join(words[1:3]) if words[1] == STUDY else words[1]


def explicit_command(settings: Settings) -> str:
    """The shell command line that makes a run again: every setting that is not the default, spelled out."""
    kind = type(settings)
    words = ["biasectomy", *command_of(settings).split()]
    words += [str(getattr(settings, name)) for name in kind.positional]
    for name, field in kind.model_fields.items():
        if name not in kind.positional and (name not in HANDLING or name == "out"):
            words += _spelled(name, getattr(settings, name), field.default)
    for section in settings.in_use():
        options = settings.section(section)
        fields = type(options).model_fields
        # What was set beside a method's own preset wins over it, the default too.
        beside = PRESET in fields and getattr(options, PRESET) != fields[PRESET].default
        for name, field in fields.items():
            unsaid = None if beside and name in options.model_fields_set else field.default
            words += _spelled(f"{section}.{name}", getattr(options, name), unsaid)
    return shlex.join(words)


def purposes(kind: type[Settings]) -> list[tuple[str, str]]:
    """What each preset of a command is for."""
    return [(f"--preset {name}", said) for name, said in PURPOSES.items()] if PRESET in kind.model_fields else []


def told_presets(kind: type[Settings], named: Sequence[str]) -> list[tuple[str, str]]:
    """What each preset of a command stands for, in words and as options: of those methods that are named or usual."""
    if PRESET not in kind.model_fields:
        return []
    fields, told = settable(kind), []
    required = {name: tuple(named) for name, field in kind.model_fields.items() if field.is_required()}
    for name, purpose in PURPOSES.items():
        values = preset_values(fields, kind, kind.sections, name)
        plain = {field: value for field, value in values.items() if "." not in field}
        sections = {*named, *kind.model_construct(**required | plain).in_use()}
        words = [
            word
            for field, value in values.items()
            if field in plain or field.rpartition(".")[0] in sections
            for word in _spelled(field, value, fields[field].default)
        ]
        told.append((f"--preset {name}", f"{purpose} {shlex.join(words)}".rstrip()))
    return told


def read_config(path: Path) -> dict[str, Any]:
    """A TOML file's values by name; those of a table `[crispr]` as "crispr.grid".

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"There is no configuration file '{path}'; give --config a TOML file that exists."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The configuration file '{path}' cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The configuration file '{path}' is not valid TOML: {error}.") from None
    return flat(values)


def _variable(name: str) -> str:
    """The variable of the environment that sets a field."""
    return ENVIRONMENT_PREFIX + name.replace(".", "_").replace("-", "_").upper()


def _refuse_unknown_variables() -> None:
    known = {_variable(name) for kind in all_commands().values() for name in settable(kind)} | set(FOLDERS)
    for name in sorted(os.environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known and not name.startswith(FOR_TESTS):
            raise UnknownNameError("environment variable", name, known)


def _refuse_unknown(values: Mapping[str, Any], config: Path) -> None:
    known = {name for kind in all_commands().values() for name in settable(kind)}
    for name in values:
        if name not in known:
            raise UnknownNameError(f"setting (in {config})", name, known)


def _spelled(name: str, value: Any, default: Any) -> list[str]:
    """The words of an option whose value is not the default."""
    if value is None or value == default:
        return []
    option = option_name(name)
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    return [option, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
