"""What is written into a checkpoint's folder beside it: which files were made, so that they are known again."""

from pathlib import Path

from biasectomy.errors import DataError, SourceError
from biasectomy.files import read_json, sha256_of, write_json

MANIFEST = "biasectomy.json"


def write_manifest(folder: Path) -> None:
    """Notes the SHA-256 of every file in a folder, in a file of its own there."""
    write_json(folder / MANIFEST, {"files": {name: sha256_of(folder / name) for name in _names(folder)}})


def note_file(folder: Path, name: str, checksum: str) -> None:
    """Notes a file that comes into a folder after the others; before it is written, so that one half done is told."""
    write_json(folder / MANIFEST, {"files": dict(sorted((_noted(folder) | {name: checksum}).items()))})


def is_as_written(folder: Path) -> bool:
    """Whether a folder holds every file of its manifest, unchanged."""
    noted = _noted(folder)
    try:
        return bool(noted) and all(sha256_of(folder / name) == checksum for name, checksum in noted.items())
    except OSError:
        return False


def strange_files(folder: Path) -> list[str]:
    """Names of files in a folder that its manifest does not know; all of them where there is none."""
    noted = _noted(folder)
    return [name for name in _names(folder) if name not in noted]


def _names(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(name for name in found if name != MANIFEST)


def _noted(folder: Path) -> dict[str, str]:
    try:
        files = read_json(folder / MANIFEST)["files"]
    except (SourceError, DataError, KeyError, TypeError):
        return {}
    return {str(name): str(checksum) for name, checksum in files.items()} if isinstance(files, dict) else {}
