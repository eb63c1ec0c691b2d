"""What can go wrong, as one tree.

BiasectomyError            everything below; the command line prints it as one sentence and exits with 2
├── SettingsError          an option, a configuration file or an environment variable is not usable
│   └── UnknownNameError   a name that nothing is registered under ("did you mean ...?")
├── SourceError            a model or data file is missing, truncated or not what its checksum says
├── DataError              a data file was read but its content is wrong (names file, line, item)
├── ModelError             a model cannot be loaded, lacks what was looked for, or does not fit in memory
├── NeuronSetError         a neuron set cannot be read or was made for another model
├── ScoreError             a log-likelihood is NaN or infinite (names the item)
├── PluginError            a plugin is missing, cannot be loaded, or failed (names the plugin)
├── HubError               the hub cannot be reached, or does not take what is sent to it
└── RunError               a run folder exists, differs, is unwritable, or the disk is full
    └── ProcessError       another process of the same run failed or is gone
"""

import difflib
import signal
from collections.abc import Iterable
from pathlib import Path


class BiasectomyError(Exception):
    """Base of every error this library raises on purpose.

    `question` is the one it is about, where it is about one; `folder` holds what the run had computed, if anything.
    """

    question: object = None
    folder: Path | None = None


class Stopped(KeyboardInterrupt):
    """The user or the system asks a run to end; `folder` holds what it has computed, None where that is nothing."""

    def __init__(self, number: int = signal.SIGINT, folder: Path | None = None) -> None:
        super().__init__()
        self.number = number  # of the signal
        self.folder = folder


class SettingsError(BiasectomyError):
    """A setting is missing, malformed or contradicts another."""


class UnknownNameError(SettingsError):
    """A name is not among the known ones; the message suggests the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        in_lower_case = {one.lower(): one for one in names}
        close = difflib.get_close_matches(name.lower(), in_lower_case, n=1, cutoff=0.5)
        near = [in_lower_case[one] for one in close]
        hint = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(names)}."
        super().__init__(f"There is no {kind} named '{name}'; {hint}")
        self.kind = kind
        self.name = name
        self.suggestion = near[0] if near else None


class SourceError(BiasectomyError):
    """A file that was to be read or fetched is not there or is damaged."""


class DataError(BiasectomyError):
    """A data file holds something that cannot be used."""


class ModelError(BiasectomyError):
    """A model cannot be used for what was asked."""


class NeuronSetError(BiasectomyError):
    """A neuron set cannot be read or does not belong to the model."""


class ScoreError(BiasectomyError):
    """A model gave a log-likelihood that is not a finite number."""


class PluginError(BiasectomyError):
    """A plugin cannot be found or loaded, or its own code failed."""


class HubError(BiasectomyError):
    """The hub cannot be reached, or does not take what is sent to it."""


class RunError(BiasectomyError):
    """A run folder cannot be made, resumed or written."""


class ProcessError(RunError):
    """Another process of the same run failed, with this message, or is gone."""
