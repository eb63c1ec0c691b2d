"""Tasks, methods, attributions and judges from a user's own code.

A plugin is a Python file, or an entry point of an installed package in the group `biasectomy.plugins`; when it is
imported it registers what it brings, exactly as the files of this package do. Plugins are code: none is loaded unless
it is named.
"""

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from biasectomy.errors import BiasectomyError, PluginError, UnknownNameError
from biasectomy.files import sha256_of

GROUP = "biasectomy.plugins"


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded, and the file or the folder its code is in."""

    name: str
    home: Path


_LOADED: dict[str, Plugin] = {}


def load_plugin(name: str | Path) -> None:
    """Loads a plugin once: `my_task.py`, or the name of an entry point.

    Raises:
        PluginError: there is no such file or entry point, or its code fails; names the plugin and the line.
    """
    name = str(name)
    if name.endswith(".py"):
        file = Path(name).resolve()
        if str(file) in _LOADED:
            return
        if not file.is_file():
            raise PluginError(
                f"There is no plugin '{name}'; --plugin takes a Python file, or a name that a package gives."
            )
        plugin = Plugin(name, file)
        with _blaming(plugin):
            _import_file(file)
        _LOADED[str(file)] = plugin
    elif name not in _LOADED:
        entries = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
        if name not in entries:
            raise PluginError(str(UnknownNameError("plugin", name, entries)) if entries else _no_plugins(name))
        module = importlib.util.find_spec(entries[name].module.partition(".")[0])
        origin = Path(module.origin) if module is not None and module.origin else Path(name)
        plugin = Plugin(name, origin.parent if origin.name == "__init__.py" else origin)
        with _blaming(plugin):
            entries[name].load()
        _LOADED[name] = plugin


def loaded() -> list[dict[str, Any]]:
    """Name and checksum of every plugin in force, for a record; the checksum is None where it is more than a file."""
    return [
        {"name": one.name, "sha256": sha256_of(one.home) if one.home.is_file() else None} for one in _LOADED.values()
    ]


def blamed(error: BaseException) -> PluginError | None:
    """An error that came out of a plugin's code as one sentence that names the plugin and its line; else None."""
    return next((found for plugin in _LOADED.values() if (found := _explained(plugin, error))), None)


def _no_plugins(name: str) -> str:
    return f"There is no plugin '{name}': no installed package gives any, and a file's name ends in .py."


def _import_file(file: Path) -> None:
    name = f"biasectomy_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # its name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look modules up by name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


@contextmanager
def _blaming(plugin: Plugin) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _explained(plugin, error, loading=True) or error from error


def _explained(plugin: Plugin, error: BaseException, *, loading: bool = False) -> PluginError | None:
    """None where none of the plugin's lines took part.

    What the library itself refuses, such as a model's log-likelihood that is not finite, is nobody's fault who asked.
    """
    what = "cannot be loaded" if loading else "failed"
    if isinstance(error, SyntaxError) and error.filename == str(plugin.home):
        return PluginError(f"The plugin '{plugin.name}' {what}, line {error.lineno}: {error.msg}.")
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        frame
        for frame in (frames[-1:] if isinstance(error, BiasectomyError) and not loading else frames)
        if plugin.home == Path(frame.filename) or plugin.home in Path(frame.filename).parents
    ]
    if not lines:
        return None
    last = lines[-1]
    where = f"line {last.lineno}" if plugin.home.is_file() else f"{Path(last.filename).name}, line {last.lineno}"
    kind = "" if isinstance(error, BiasectomyError) else f"{type(error).__name__}: "
    reason = " ".join(str(error).split())
    return PluginError(f"The plugin '{plugin.name}' {what}, {where}: {kind}{reason}")
