"""One command at a time in a run folder: two would mix their rows."""

import contextlib
import errno
import json
import os
import platform
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from biasectomy.errors import RunError
from biasectomy.files import writing
from biasectomy.narration import warn
from biasectomy.processes import Processes

LOCK, HOLDER = ".lock", ".holder"


@contextlib.contextmanager
def holding(folder: Path | None, processes: Processes) -> Iterator[None]:
    """A block in which no other command works in a folder, which is made; of several processes the main one holds it.

    A process that is killed lets go of it. Where the file system knows no locks, a warning says so.

    Raises:
        RunError: another process holds it; names that. The folder cannot be written.
    """
    if folder is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        processes.once(lambda: stack.enter_context(_held(folder)))
        yield


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    with writing(folder):
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    _acquire(lock, folder)
    holder = {"process": os.getpid(), "machine": platform.node(), "since": datetime.now().strftime("%Y-%m-%d %H:%M")}
    try:
        with writing(folder):
            (folder / HOLDER).write_text(json.dumps(holder))
        yield
    finally:
        # Deleted while it is held: who comes next makes a new one.
        for name in (HOLDER, LOCK):
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        lock.release()
        if new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing was written after all


def _acquire(lock: FileLock, folder: Path) -> None:
    """Takes a lock at once; warns where the file system has none."""
    try:
        lock.acquire()
    except Timeout:
        raise RunError(
            f"'{folder}' is in use by {_holder(folder)}; wait until it has ended, or choose another --out."
        ) from None
    except (NotImplementedError, OSError) as error:
        with writing(folder):
            if not os.access(folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from error
        warn(f"'{folder}' is on a file system without locks ({error}); let no other command work in it meanwhile.")


def _holder(folder: Path) -> str:
    try:
        found = json.loads((folder / HOLDER).read_text())
        return f"process {found['process']} on {found['machine']} (since {found['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
