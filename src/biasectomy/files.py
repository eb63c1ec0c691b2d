"""Reading and writing files so that a killed process never leaves half of one."""

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from biasectomy.errors import DataError, RunError, SourceError

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
IMPOSSIBLE = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOENT, errno.EINVAL)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals, whatever their number, into one clear `RunError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(refusal(path, error)) from error


def refusal(path: Path | str, error: OSError) -> str:
    """Why the operating system did not write a file, and what would be right."""
    if error.errno in FULL:
        return f"The disk is full: '{path}' could not be written. What was written before is kept; free some space."
    reason = error.strerror or str(error) or type(error).__name__
    right = " Choose a folder you may write to." if error.errno in FORBIDDEN else ""
    right = " Choose another name for it." if error.errno in IMPOSSIBLE else right
    return f"'{path}' cannot be written: {reason}.{right}"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a whole file or nothing: to a temporary neighbour first, then renamed over `path`.

    Raises:
        RunError: the folder cannot be written or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise


@contextlib.contextmanager
def making(kept: Path, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """A place beside `kept` where the block makes a file or folder, renamed to `kept` when the block ends.

    So another process never reads half of it; where one was faster, what it made stays.

    Raises:
        RunError: the folder cannot be written or the disk is full.
    """
    with writing(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        prefix = unfinished_prefix(kept.parent, ".making-")
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=prefix) as temporary:
            made = Path(temporary) / kept.name
            yield made
            if is_whole(kept):
                return
            shutil.rmtree(kept, ignore_errors=True)  # a damaged folder; a file is replaced
            try:
                made.replace(kept)
            except OSError:
                if not is_whole(kept):
                    raise


def unfinished_prefix(folder: Path, begin: str) -> str:
    """How the name of an unfinished folder begins: with who makes it. Those of processes that are gone are removed."""
    import psutil

    of_this_machine = f"{begin}{platform.node()}-"
    for left in [path for path in folder.iterdir() if path.name.startswith(of_this_machine)]:
        owner = left.name.removeprefix(of_this_machine).partition(".")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return f"{of_this_machine}{os.getpid()}."


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically; NaN is written as null, since JSON has no NaN."""
    write_atomically(path, json.dumps(without_nan(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def without_nan(value: Any) -> Any:
    """A copy of a JSON-like value in which every NaN or infinity is None."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return value


def expanded(path: Path | str) -> Path:
    """A path with the user's folder in place of a tilde.

    Raises:
        SourceError: it begins with the name of a user there is not.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SourceError(f"'{path}': there is no user whose folder '{Path(path).parts[0]}' could be.") from None


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        SourceError: the file is missing or unreadable.
        DataError: it is not JSON (with the line).
    """
    text = _read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}).") from None
    except RecursionError:
        raise DataError(f"{path}: not usable JSON (objects within objects without end).") from None
    except ValueError:
        raise DataError(f"{path}: a number has too many digits.") from None


def parse_jsonl(text: str, name: str) -> list[tuple[int, dict[str, Any]]]:
    """Rows of a JSON-lines text with their line numbers (from 1); blank lines are passed over.

    Raises:
        DataError: a line is not a JSON object, or there is none at all; names `name` and the line.
    """
    rows = [
        (number, _object(line, f"{name}, line {number}"))
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise DataError(f"{name} is empty; expected one JSON object a line.")
    return rows


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a JSON-lines file with their line numbers (from 1), read as they are wanted: it may be large.

    Raises:
        DataError: a line is not a JSON object; names it.
    """
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            yield number, _object(line, f"'{path}', line {number}")


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not valid JSON ({error.msg}); each line must be one object.") from None
    except RecursionError:
        raise DataError(f"{place}: not usable JSON (objects within objects without end).") from None
    except ValueError:
        raise DataError(f"{place}: a number has too many digits.") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: expected a JSON object, found {type(row).__name__}.")
    return row


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise SourceError(f"There is no file '{path}'.") from None
    except IsADirectoryError:
        raise SourceError(f"'{path}' is a folder; a file was expected.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise SourceError(f"'{path}' cannot be read: {error.strerror}.") from error


def folder_name(name: str) -> str:
    """What the folder of a row of results is called: "unlearn:Women" has a letter that not every disk takes."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
