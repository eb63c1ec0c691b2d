"""The benchmarks. A new one is one file here with one registered function; nothing else names it."""

import importlib
import pkgutil

from benchmarks.base import BENCHMARKS

__all__ = ["BENCHMARKS"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
