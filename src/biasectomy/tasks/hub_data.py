"""Rows of a data set on the hub, at a pinned revision, where the user's folder does not have its file.

They are read with the package `datasets` (an extra), which keeps what it fetched and, from version 4 on, runs no code
of a data set's.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from biasectomy.errors import SourceError
from biasectomy.narration import fetching
from biasectomy.tasks.data_files import DataFile, data_folder_of, folder_file

REASON = 200  # characters of another package's message


@dataclass(frozen=True)
class HubTable:
    """One split of a data set on the hub (or of a folder laid out like one), and which of its columns are wanted.

    `sha256` is that of the rows (see `HubRows`) where it is known that they are what the authors published.
    """

    repository: str
    config: str
    split: str
    revision: str  # of the repository: a commit
    columns: tuple[str, ...]
    sha256: str | None = None

    def __str__(self) -> str:
        return f"{self.repository} ({self.config}, {self.split})"


@dataclass(frozen=True)
class HubRows:
    """The wanted columns of a table, classes by their names; None for a class that is not given.

    `sha256` is over the values of each row in the order of the columns, as a JSON list on a line of its own.
    """

    rows: tuple[dict[str, Any], ...]
    table: HubTable
    revision: str  # that was read; of a folder, what `datasets` keeps it under
    sha256: str
    file: str  # whose place they take in the user's folder
    lacking: str | None = None  # the user's folder that does not have that file

    def source(self) -> dict[str, Any]:
        """What a record says of them; `unverified` says why they are not known to be what was published."""
        table, known = self.table, self.table.sha256
        verified = self.sha256 == known
        reason = "its rows are not those that were published" if known else "no checksum of what was published is known"
        return {
            "file": self.file,
            "sha256": self.sha256,
            "origin": f"{table.repository}@{self.revision[:8]}",
            "verified": verified,
            "repository": table.repository,
            "revision": self.revision,
            "config": table.config,
            "split": table.split,
            **({} if verified else {"unverified": reason}),
            **({"lacking": self.lacking} if self.lacking else {}),
        }


def file_or_hub(
    name: str, data_folder: Path | None, what: str, sha256: str | None, table: HubTable
) -> DataFile | HubRows:
    """A data file of the user's folder; the table where the folder does not have it, or there is none.

    Args:
        name: of the file in the folder.
        what: says what is to be put there, for the message.
        sha256: of what the file's authors published, with line ends as LF; None where that is not known.
        table: of the same rows.

    Raises:
        SourceError: the named folder is not there, the file's checksum is wrong, or neither can be had; says both ways.
        DataError: the file is not UTF-8 text.
    """
    folder = data_folder_of(data_folder)
    there = folder is not None and (folder / name).is_file()
    try:
        return folder_file(name, folder, what, sha256 or "")
    except SourceError as missing:
        if there:
            raise
        try:
            found = hub_rows(table, name)
        except SourceError as error:
            raise SourceError(f"{missing} Or let it be read from the hub: {error}") from error
        return replace(found, lacking=str(folder) if folder is not None else None)


def hub_rows(table: HubTable, file: str) -> HubRows:
    """The rows of a table, fetched where they are not in the cache of `datasets`.

    Args:
        table: says which.
        file: what a record calls them.

    Raises:
        SourceError: `datasets` is not installed, the rows cannot be had, or a column is missing.
    """
    try:
        import datasets
    except ImportError:
        raise SourceError(f"{table} needs the package datasets: pip install 'biasectomy[datasets]'.") from None
    with _reading(table):
        builder = datasets.load_dataset_builder(table.repository, table.config, revision=table.revision)
        if not Path(builder.cache_dir).exists():
            fetching(f"Fetching {table} (once; kept in {datasets.config.HF_DATASETS_CACHE})")
        builder.download_and_prepare()
        found = builder.as_dataset(split=table.split)
    if builder.hash != table.revision and not Path(table.repository).is_dir():
        raise SourceError(  # out of reach of the hub, `datasets` is content with whatever revision it has
            f"{table} is wanted at revision {table.revision}, and datasets has only {builder.hash}; let it be fetched "
            "once with the hub in reach."
        )
    if missing := [column for column in table.columns if column not in found.column_names]:
        known = ", ".join(found.column_names)
        raise SourceError(f"{table} has no column '{missing[0]}' at revision {builder.hash}; it has {known}.")
    names = {column: getattr(found.features[column], "names", None) for column in table.columns}
    rows = tuple(
        {column: _named(row[column], names[column]) for column in table.columns}
        for row in found.select_columns(list(table.columns))
    )
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row[column] for column in table.columns], default=str).encode() + b"\n")
    return HubRows(rows, table, builder.hash, digest.hexdigest(), file)


def _named(value: Any, names: Sequence[str] | None) -> Any:
    """The name of a class in place of its number; other values as they are."""
    if names is None:
        return value
    return names[value] if value in range(len(names)) else None


@contextmanager
def _reading(table: HubTable) -> Iterator[None]:
    """A block without progress bars, in which whatever goes wrong (in many forms) says which rows were wanted."""
    from datasets.utils import disable_progress_bars, enable_progress_bars, is_progress_bar_enabled

    shown = is_progress_bar_enabled()
    disable_progress_bars()
    try:
        yield
    except ConnectionError as error:
        raise SourceError(
            f"{table} is not in the cache of datasets, and the hub cannot be reached ({_short(error)}); check the "
            "network."
        ) from error
    except Exception as error:
        raise SourceError(f"{table} could not be read ({type(error).__name__}: {_short(error)}).") from error
    finally:
        if shown:
            enable_progress_bars()


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:REASON].rstrip(".")
