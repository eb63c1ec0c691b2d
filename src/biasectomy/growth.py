"""Progress of a download as what it is writes grows: whoever downloads, and however, there is something to see."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from biasectomy.narration import progress

SECONDS_BETWEEN_LOOKS = 0.5
MB = 10**6


@contextlib.contextmanager
def growing(folder: Path, description: str, size: int) -> Iterator[None]:
    """A block during which files of so many bytes are written below a folder; reports megabytes."""
    with progress(description, max(1, round(size / MB)), "MB") as advance:
        before, told, ended = bytes_below(folder), 0, threading.Event()

        def look() -> None:
            nonlocal told
            there = min(round((bytes_below(folder) - before) / MB), round(size / MB))
            if there > told:
                advance(there - told)
                told = there

        def watch() -> None:
            while not ended.wait(SECONDS_BETWEEN_LOOKS):
                look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
        look()


def bytes_below(folder: Path) -> int:
    """How many bytes the files below a folder have; those that come and go meanwhile do not matter."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total


def in_words(size: int) -> str:
    """A number of bytes: 98 MB, 2.5 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / MB:.0f} MB"
