"""What MRPC, RTE and QNLI share (Wang et al. 2019, "GLUE"): files, rows, clusters, and how they become a task.

GLUE's own files are tab-separated, with a header and without quoting: a quotation mark is a character like any other,
and a tab or a line break stands in no text. MRPC's begins with a byte order mark in some copies. Where the data folder
does not have the file, the same rows are read from the hub, where GLUE's own copy is in Parquet.

Rows that share a text (but for case and white space), or an id of one, are one cluster, and so are those that are
joined through others.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from biasectomy.errors import DataError
from biasectomy.tasks import multiple_choice as choice
from biasectomy.tasks.base import Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.data_files import DataFile
from biasectomy.tasks.hub_data import HubTable, file_or_hub
from biasectomy.tasks.label_choice import OPTIONS, two_texts
from biasectomy.tasks.metrics import Metric
from biasectomy.tasks.wordings import load_instructions

REPOSITORY = "nyu-mll/glue"
HUB_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"  # when it was turned into Parquet, and since
ENTAILMENT = {"entailment": 0, "not_entailment": 1}  # places in OPTIONS


@dataclass(frozen=True)
class Layout:
    """Which columns of a table hold what; `ids` are those of texts. Without an `index` rows are numbered, from 0."""

    first: str
    second: str
    label: str
    labels: Mapping[str, int]  # places in OPTIONS
    index: str | None = None
    ids: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        index = (self.index,) if self.index is not None else ()
        return (*index, *self.ids, self.first, self.second, self.label)


@dataclass(frozen=True)
class Pairs:
    """One of GLUE's data sets of two texts: what it is called, where its rows are, and how they are asked about.

    `published` is the SHA-256 of the file as it was published, and `published_rows` that of the same rows as the hub
    has them; None where it is not known.
    """

    key: str
    title: str
    names: tuple[str, str]  # of the two texts
    metrics: tuple[Metric, ...]
    file_layout: Layout
    hub_layout: Layout
    published: str | None = None
    published_rows: str | None = None

    @property
    def task(self) -> str:
        """The name of the task."""
        return f"{self.key}:dev"

    @property
    def file(self) -> str:
        """The name of the file in a data folder."""
        return f"glue_{self.key}/dev.tsv"

    @property
    def table(self) -> HubTable:
        """The same rows on the hub."""
        return HubTable(REPOSITORY, self.key, "validation", HUB_REVISION, self.hub_layout.columns, self.published_rows)

    def load(self, members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
        """The one task, with yes before no.

        Raises:
            SourceError: neither the file nor the rows of the hub can be had, or the file is damaged.
            DataError: its content cannot be used.
        """
        packaged = resources.files("biasectomy.tasks") / f"instructions/{self.key}.toml"
        wordings = load_instructions(instructions or packaged)
        what = f"{self.title}'s development pairs, GLUE's tab-separated {', '.join(self.file_layout.columns)},"
        found = file_or_hub(self.file, data_folder, what, self.published, self.table)
        if isinstance(found, DataFile):
            items = self.parse(found.text, found.name)
            source = found.source()
            if self.published is None and not found.verified:
                source |= {"unverified": "no checksum of what was published is known"}
        else:
            rows = ((f"{found.table}, row {number}", row) for number, row in enumerate(found.rows))
            items, source = items_of(self.task, rows, self.hub_layout, str(found.table)), found.source()
        return [
            Task(
                self.task,
                items,
                wordings,
                self.metrics + choice.accuracy_by_place(items),
                "1, GLUE",
                two_texts(*self.names),
                answer_rules=choice.LIKELIHOOD_OR_TEXT,
                sources=(source,),
            )
        ]

    def parse(self, text: str, name: str | None = None) -> tuple[Item, ...]:
        """Items in the order of the text of the file.

        Raises:
            DataError: there is no row, or one cannot be used; names file and line.
        """
        name, layout = name or self.file, self.file_layout
        return items_of(self.task, tsv_rows(text, name, layout.columns), layout, name)

    def family(self, rows: int, title: str, licence: str, citation: str) -> TaskFamily:
        """What is registered."""
        source = f"the folder that BIASECTOMY_DATA names, else {REPOSITORY} on the hub"
        return TaskFamily(title, {"dev": rows}, licence, citation, source, self.load, bare=("dev",))


def tsv_rows(text: str, name: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a tab-separated text without quoting, each behind its place for messages; blank lines are passed over.

    Raises:
        DataError: a column is missing, or a row has not as many fields as the header; names `name` and the line.
    """
    header, *lines = text.removeprefix("\N{BYTE ORDER MARK}").split("\n")
    titles = header.split("\t")
    if missing := [column for column in columns if column not in titles]:
        raise DataError(f"{name}, line 1: the column '{missing[0]}' is missing; expected {', '.join(columns)}.")
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(titles):
            raise DataError(f"{name}, line {number}: expected {len(titles)} fields, found {len(cells)}.")
        yield f"{name}, line {number}", dict(zip(titles, cells, strict=True))


def items_of(task: str, rows: Iterable[tuple[str, Mapping[str, Any]]], layout: Layout, name: str) -> tuple[Item, ...]:
    """An item for each row, in their order, with clusters.

    Args:
        task: the name of the task.
        rows: each behind its place for messages.
        layout: of the rows.
        name: of where they are from, for messages.

    Raises:
        DataError: there is no row, or one cannot be used; names its place.
    """
    items: list[Item] = []
    keys: list[list[Hashable]] = []
    places: dict[str, str] = {}
    for number, (place, row) in enumerate(rows):
        _check(row, place, layout)
        index = str(row[layout.index]) if layout.index is not None else str(number)
        if (before := places.setdefault(index, place)) != place:
            raise DataError(f"{place}: the {layout.index} {index} stands there twice, first in {before}.")
        texts = row[layout.first], row[layout.second]
        gold = layout.labels[row[layout.label]]
        items.append(Item(f"{task}/{index}", "", task, texts[0], texts[1], OPTIONS, gold))
        keys.append([*(("id", row[column]) for column in layout.ids), *(_plain(text) for text in texts)])
    if not items:
        raise DataError(f"{name} holds no row; expected rows of {', '.join(layout.columns)}.")
    leaders = first_of_each(keys)
    return tuple(replace(item, cluster=items[leader].identifier) for item, leader in zip(items, leaders, strict=True))


def first_of_each(keys: Sequence[Iterable[Hashable]]) -> list[int]:
    """For each row the first of those that it shares a key with, directly or through others."""
    from scipy import sparse
    from scipy.sparse import csgraph

    columns: dict[Hashable, int] = {}
    pairs = [(row, columns.setdefault(key, len(columns))) for row, own in enumerate(keys) for key in own]
    size = len(keys) + len(columns)
    ends = [row for row, _ in pairs], [len(keys) + column for _, column in pairs]
    _, found = csgraph.connected_components(sparse.coo_array(([1] * len(pairs), ends), (size, size)), directed=False)
    first: dict[int, int] = {}
    return [first.setdefault(int(component), row) for row, component in enumerate(found[: len(keys)])]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _check(row: Mapping[str, Any], place: str, layout: Layout) -> None:
    index = row[layout.index] if layout.index is not None else 0
    named = [
        (f"'{column}'", row[column]) for column in layout.columns if column != layout.index or type(index) is not int
    ]
    if (wrong := wrong_with_texts(named)) is not None:
        raise DataError(f"{place}: {wrong}.")
    if blank := [column for column, text in named if not text.strip()]:
        raise DataError(f"{place}: {blank[0]} is blank.")
    if row[layout.label] not in layout.labels:
        raise DataError(f"{place}: the label '{row[layout.label]}' must be {' or '.join(layout.labels)}.")
