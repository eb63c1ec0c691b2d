"""SHA-256 of large files, which is remembered: it is computed again only where path, size or time of change differ."""

import contextlib
import hashlib
from pathlib import Path

from biasectomy.errors import DataError, RunError, SourceError
from biasectomy.files import read_json, sha256_of, write_json
from biasectomy.wheels import cache_folder

FOLDER = "checksums"
LARGE = 16 * 2**20  # bytes; smaller files are read in no time


def remembered_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    A file that was changed and has the same size and the same time of change, to the nanosecond, is taken for the same.
    """
    if path.stat().st_size < LARGE:
        return sha256_of(path)
    before = _state(path)
    kept = cache_folder() / FOLDER / f"{hashlib.sha256(str(before['path']).encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(SourceError, DataError, TypeError, AttributeError):
        noted = read_json(kept)
        if {name: noted.get(name) for name in before} == before and isinstance(noted.get("sha256"), str):
            return str(noted["sha256"])
    found = sha256_of(path)
    if _state(path) == before:  # else it is being written
        with contextlib.suppress(RunError):  # a cache that cannot be written costs the time again
            write_json(kept, before | {"sha256": found})
    return found


def _state(path: Path) -> dict[str, str | int]:
    path = path.resolve()
    found = path.stat()
    return {"path": str(path), "size": found.st_size, "changed": found.st_mtime_ns}
