"""What a command may replace: only what a command of its kind wrote, and never what it reads."""

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasectomy.commands.settings_base import PLUGIN, Settings, label
from biasectomy.commands.settings_loading import command_in, command_of
from biasectomy.errors import BiasectomyError, RunError
from biasectomy.files import read_json, writing
from biasectomy.models.manifest import MANIFEST, strange_files
from biasectomy.run_files import ADAPTER, KNOWN, MODEL, RECORD

if TYPE_CHECKING:  # slow to import, and a run folder is looked at before anything else
    from biasectomy.models.language_model import LanguageModel

SHOWN = 5  # names in a message
READ = ("neurons_file", "data", "instructions", "harness_path")  # settings that name what is read


def refuse_output(settings: Settings, model: "LanguageModel | str | None" = None) -> None:
    """Refuses to write what a command writes where something else is.

    Args:
        model: stands in for that of the settings.

    Raises:
        RunError: names what is there, and what would be right.
    """
    out, command = getattr(settings, "out", None), command_of(settings)
    if out is None or command == "replay":  # what is made again says for itself what it replaces
        return
    _refuse_place(out)
    overwrite, inputs = bool(getattr(settings, "overwrite", False)), inputs_of(settings, model)
    if command == "apply":
        refuse_checkpoint(out, overwrite=overwrite, inputs=inputs)
    elif command in ("find", "describe"):
        refuse_file(out, overwrite=overwrite, inputs=inputs, command=command)
    else:
        resume = bool(getattr(settings, "resume", False))
        refuse_run_folder(out, resume=resume, overwrite=overwrite, command=command, inputs=inputs)


def _refuse_place(path: Path) -> None:
    """Refuses a path below what is no folder, or where nothing may be written."""
    with writing(path):
        above = next((folder for folder in path.absolute().parents if os.path.lexists(folder)), None)
        if above is not None and not above.is_dir():
            raise RunError(f"'{path}' cannot be written: '{above}' is not a folder. Choose another --out.")
        if above is not None and not os.access(path if path.is_dir() else above, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def inputs_of(settings: Settings, model: "LanguageModel | str | None" = None) -> dict[str, Path]:
    """The files and folders that a command reads, by what the user calls them.

    Args:
        model: stands in for that of the settings.
    """
    kind = type(settings)
    named = model or getattr(settings, "model", None)
    if named is not None and not isinstance(named, str):
        named = named.source.location if named.source is not None else None
    found = {"the model": [named], "a plugin": getattr(settings, PLUGIN, ())}
    found |= {label(kind, one): [getattr(settings, one, None)] for one in READ}
    found |= {"--store": [getattr(settings, "store", None)], "--with": getattr(settings, "with_sets", ())}
    return {what: Path(path) for what, paths in found.items() for path in paths if path and Path(path).exists()}


def refuse_inputs(out: Path, inputs: Mapping[str, Path]) -> None:
    """Refuses to replace a file or folder that something is read from.

    Raises:
        RunError: names what would be lost.
    """
    replaced = out.resolve()
    for what, path in inputs.items():
        if replaced == path.resolve() or replaced in path.resolve().parents:
            raise RunError(f"'{out}' is not replaced: {what}, '{path}', is read from there. Choose another --out.")


def refuse_run_folder(
    folder: Path, *, resume: bool, overwrite: bool, command: str = "", inputs: Mapping[str, Path] | None = None
) -> list[str]:
    """Names in a run folder that may be used as asked; empty for a new one.

    Args:
        command: its name; one replaces only runs of its own.
        inputs: what it reads.

    Raises:
        RunError: the folder holds something, and neither resuming nor replacing it was asked for or is possible.
    """
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise RunError(f"'{folder}' is a file; --out must name a folder.")
        entries = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    entries = [entry for entry in entries if not entry.startswith(".")]
    if not entries:
        return []
    is_run = (folder / RECORD).exists()
    if not (resume or overwrite):
        what = "a run" if is_run else "files that are not a run"
        hint = "add --resume to go on with it, --overwrite to replace it, or choose another --out."
        raise RunError(f"'{folder}' already holds {what}; {hint if is_run else 'choose another --out.'}")
    if resume and not is_run:
        raise RunError(f"'{folder}' cannot be resumed: it has no {RECORD}. Choose another --out.")
    if overwrite:
        refuse_inputs(folder, inputs or {})
        _refuse_others(folder, entries, command)
    return entries


def _refuse_others(folder: Path, entries: list[str], command: str) -> None:
    """Refuses to replace what is no run, a run of another command, or a run with something of the user's in it."""
    strange = sorted(set(entries) - KNOWN) if (folder / RECORD).exists() else entries
    for part in (MODEL, ADAPTER):
        if not strange and (folder / part).is_dir():
            strange = [f"{part}/{name}" for name in strange_files(folder / part)]
    if strange:
        raise RunError(
            f"'{folder}' is not replaced: it holds {_some(strange)}, which no run wrote. Choose another --out."
        )
    before = _command_of(folder)
    if before and command and before != command:
        raise RunError(
            f"'{folder}' is not replaced: it holds a run of '{before}', and '{command}' replaces only its own. "
            "Choose another --out."
        )


def refuse_checkpoint(folder: Path, *, overwrite: bool, inputs: Mapping[str, Path]) -> None:
    """Refuses to write a checkpoint or an adapter where something else is.

    Raises:
        RunError: the folder holds something and is not to be overwritten, or holds more than what was written here.
    """
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise RunError(f"'{folder}' is a file; --out must name a folder.")
        if not folder.exists() or not any(folder.iterdir()):
            return
    if not overwrite:
        raise RunError(f"'{folder}' exists and is not empty; add --overwrite or choose another --out.")
    refuse_inputs(folder, inputs)
    if strange := strange_files(folder):
        raise RunError(
            f"'{folder}' is not replaced: by its {MANIFEST} it holds {_some(strange)}, which was not written here. "
            "Choose another --out."
            if (folder / MANIFEST).exists()
            else f"'{folder}' is not replaced: it has no {MANIFEST}, so it is not known to be a checkpoint written "
            f"here, and holds {_some(strange)}. Choose another --out."
        )


def refuse_file(path: Path, *, overwrite: bool, inputs: Mapping[str, Path], command: str = "find") -> None:
    """Refuses to write a neuron set, or what one is described as, where something else is.

    Raises:
        RunError: there is a file that is not to be overwritten, or is not what the command writes.
    """
    with writing(path):
        if path.is_dir():
            raise RunError(f"'{path}' is a folder; --out of '{command}' names a file.")
        if not path.exists():
            return
    if not overwrite:
        raise RunError(f"'{path}' exists; add --overwrite to replace it, or choose another --out.")
    refuse_inputs(path, inputs)
    if command == "describe":
        _refuse_other_than_description(path)
        return
    from biasectomy.neurons.neuron_set import NeuronSet

    try:
        NeuronSet.load(path)
    except BiasectomyError:
        raise RunError(f"'{path}' is not replaced: it is no neuron set. Choose another --out.") from None


def _refuse_other_than_description(path: Path) -> None:
    with contextlib.suppress(BiasectomyError):
        content = read_json(path)
        if isinstance(content, dict) and "described" in content:
            return
    raise RunError(f"'{path}' is not replaced: it holds no description of neurons. Choose another --out.")


def _command_of(folder: Path) -> str | None:
    """The command whose run a folder holds; None where its record cannot be read."""
    with contextlib.suppress(BiasectomyError, AttributeError, IndexError):
        record: Any = read_json(folder / RECORD)
        return command_in(str(record.get("command")))
    return None


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
