"""The run folder: what a command writes while it works, so that nothing computed is ever lost.

    record.json     settings, versions, checksums, the split, times; written first and after every stage
    store/          every answer as it comes, by checksum of who answered and what was asked
    items.jsonl     every answer in a form for people; questions.jsonl what was asked
    methods/NAME/   what each method kept: scores, neurons
    results.json, report.md, report.html, pictures/, neurons.json, model/

A run is resumed by running it again over what is there: whatever is in the folder is not computed anew.
"""

import contextlib
import json
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from biasectomy import plugins
from biasectomy.commands.presets import PRESET
from biasectomy.commands.replacing import refuse_run_folder
from biasectomy.commands.settings_base import Settings
from biasectomy.commands.settings_loading import command_in, explicit_command
from biasectomy.errors import BiasectomyError, RunError, Stopped
from biasectomy.files import read_json, write_atomically, write_json, writing
from biasectomy.measuring.results import Results
from biasectomy.processes import ALONE, Processes
from biasectomy.reading.memory import peak_memory
from biasectomy.report import render_markdown
from biasectomy.report.page import write_page
from biasectomy.run_files import KNOWN, METHODS_FOLDER, PAGE, RECORD, REPORT, RESULTS


class Run:
    """A run folder that is being written; of several processes by the main one.

    Raises:
        RunError: the folder holds something and neither resume nor overwrite was asked for; the settings
            of the run to be resumed differ; the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        command: str,
        *,
        resume: bool,
        overwrite: bool,
        processes: Processes = ALONE,
    ) -> None:
        self.folder, self.processes = folder, processes
        previous = processes.once(lambda: _prepare(folder, command, resume=resume, overwrite=overwrite))
        if previous is not None:
            _refuse_other_settings(folder, previous.get("settings", {}), settings)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.record: dict[str, Any] = {
            "schema_version": 1,
            "status": "running",
            "command": command,
            "settings": settings,
            "versions": versions(),
            "plugins": plugins.loaded(),
            "processes": processes.count,
            "started": now,
            "resumed": [],
            "seconds": {},
        }
        self.previous = previous or {}
        if previous is not None:  # times are those of all that was spent on the run
            self.record["started"] = previous.get("started", now)
            self.record["resumed"] = [*_listed(previous.get("resumed")), now]
            self.record["seconds"] = dict(previous.get("seconds") or {})
        self._clock = time.monotonic()
        self.save_record()

    def path(self, name: str | Path) -> Path:
        """A file of the run."""
        return self.folder / name

    def write(self, name: str | Path, save: Callable[[Path], Any]) -> None:
        """Has a file of the run written."""
        if self.processes.main:
            save(self.path(name))

    def same_as_before(self, key: str, value: Any) -> None:
        """Records a value that a resumed run must find unchanged, such as the checksum of the model.

        Raises:
            RunError: the run to be resumed recorded another value.
        """
        if key in self.previous and self.previous[key] != json.loads(json.dumps(value)):
            raise RunError(
                f"'{self.folder}' cannot be resumed: its {key.replace('_', ' ')} differs from the one now. "
                "Start anew with --overwrite or another --out."
            )
        self.record[key] = value
        self.save_record()

    def stage_done(self, name: str) -> None:
        """Notes the time a stage took, added to what it took before the run was resumed, and saves the record."""
        now = time.monotonic()
        before = float(self.record["seconds"].get(name, 0))
        self.record["seconds"][name] = round(before + now - self._clock, 1)
        self._clock = now
        self.save_record()

    def finish(self, results: Results, neurons: dict[str, list[dict[str, Any]]]) -> None:
        """Writes results and report, and marks the run as finished."""
        self.record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.record["status"] = "finished"
        self.record["peak_memory_bytes"] = peak_memory()
        self.write(RESULTS, lambda path: write_json(path, results.to_json()))
        self.write(REPORT, lambda path: write_atomically(path, render_markdown(results, self.record, neurons)))
        self.save_record()
        self.write(PAGE, lambda path: write_page(path.parent))  # from what is in the folder

    def save_record(self) -> None:
        """Writes `record.json`."""
        self.write(RECORD, lambda path: write_json(path, self.record))


def _prepare(folder: Path, command: str, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """Makes the folder ready; the record of the run to be resumed, if any."""
    entries = refuse_run_folder(folder, resume=resume, overwrite=overwrite, command=command_in(command))
    _remove_unfinished(folder)
    if entries and resume:
        return _read_record(folder / RECORD)
    with writing(folder):
        for name in entries:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        folder.mkdir(parents=True, exist_ok=True)
    return None


def _read_record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
        raise RunError(f"'{path.parent}' cannot be resumed: its {RECORD} is not that of a run. Use --overwrite.")
    return record


def _remove_unfinished(folder: Path) -> None:
    """Removes what a killed process was about to rename: `.results.json.x1y2`, `.model.x1y2`, `methods/.../.trial-0.x`.

    Nobody else writes here meanwhile: the folder is held.
    """
    here = (path for path in folder.glob(".*") if path.name.startswith(tuple(f".{name}." for name in KNOWN)))
    for path in [*here, *(folder / METHODS_FOLDER).rglob(".*")]:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@contextlib.contextmanager
def open_run(folder: Path | None, settings: Settings, processes: Processes = ALONE) -> Iterator[Run | None]:
    """The run folder of a command, or None where it has none; an interruption is noted in the record."""
    if folder is None:
        yield None
        return
    handling = {name: bool(getattr(settings, name)) for name in ("resume", "overwrite")}
    run = Run(folder, settings.compared(), explicit_command(settings), **handling, processes=processes)
    if preset := getattr(settings, PRESET, None) or run.previous.get(PRESET):
        run.record[PRESET] = preset  # its name; the settings hold what it stands for
        run.save_record()
    try:
        yield run
    except BaseException as error:
        run.record["status"] = "interrupted"
        with contextlib.suppress(RunError):
            run.save_record()
        if isinstance(error, Stopped | BiasectomyError):
            error.folder = folder
            raise
        if isinstance(error, KeyboardInterrupt):
            raise Stopped(signal.SIGINT, folder) from error
        raise


def _refuse_other_settings(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    now = json.loads(json.dumps(now))
    for name in sorted(set(before) | set(now)):
        if before.get(name) != now.get(name):
            raise RunError(
                f"'{folder}' cannot be resumed with other settings: {name.replace('_', '-')} was {before.get(name)!r} "
                f"and is {now.get(name)!r} now. Give the same settings, or start anew with --overwrite."
            )


def versions() -> dict[str, Any]:
    """Versions of everything that figures depend on."""
    found: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("biasectomy", "torch", "transformers", "tokenizers", "numpy", "scipy", "safetensors"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    found["commit"] = _commit()
    return found


def _commit() -> str | None:
    """The commit of the source tree this package runs from; None when it is installed from an archive."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
