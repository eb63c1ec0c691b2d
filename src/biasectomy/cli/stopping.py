"""Requests to end: Ctrl-C, a closed terminal, a scheduler's SIGTERM. All end a command alike, with what it has kept."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from biasectomy.commands.settings_base import Settings
from biasectomy.commands.settings_loading import command_in, command_of, explicit_command
from biasectomy.errors import BiasectomyError, Stopped
from biasectomy.files import read_json
from biasectomy.processes import is_main
from biasectomy.run_files import RECORD

HEARD = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """A block in which a request to end is raised as `Stopped`; a request that was to be ignored still is."""

    def stop(number: int, frame: object) -> NoReturn:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in HEARD}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            # One of several processes that hears no more must be left so: it has yet to say why it ends.
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


def stopped(settings: Settings, request: KeyboardInterrupt) -> NoReturn:
    """Says what is kept of a command that was asked to end, and exits as others do that a signal ended."""
    number = request.number if isinstance(request, Stopped) else signal.SIGINT
    if is_main():
        kept = kept_in(settings, request)
        sys.stderr.write(f"\nStopped.{f' {kept}' if kept else ''}\n")
        with contextlib.suppress(OSError):
            sys.stderr.flush()
    sys.exit(128 + int(number))


def kept_in(settings: Settings, error: BaseException) -> str:
    """Where a command that ends has kept what it computed, and how to go on; empty where there is nothing."""
    folder = getattr(error, "folder", None)
    if folder is None or not hasattr(settings, "resume"):
        return ""
    return f"What was computed is kept in {folder}; go on with: {_command(settings, folder)} --resume"


def _command(settings: Settings, folder: Path) -> str:
    """The command line of a run as its record has it: of a preset, what the task does not take is left out there."""
    with contextlib.suppress(BiasectomyError, AttributeError, IndexError):
        recorded = str(read_json(folder / RECORD).get("command"))
        if command_in(recorded) == command_of(settings):
            return recorded
    return explicit_command(settings)
