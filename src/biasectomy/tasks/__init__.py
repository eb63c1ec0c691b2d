"""Tasks by name, such as "bbq:age" or "bbq:age,ses".

A family of tasks is one file of this package that registers itself in `TASKS`; nothing else names it. A task of a
user's own is named by the TOML file that describes it (see `own_tasks`).
"""

import importlib
import os
import pkgutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from biasectomy.errors import SettingsError, SourceError, UnknownNameError
from biasectomy.files import expanded
from biasectomy.tasks.base import TASKS, Item, Split, Task, TaskFamily, join, split
from biasectomy.tasks.own_tasks import is_task_file, load_own_task
from biasectomy.tasks.wordings import load_instructions

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

EVERYTHING = "all"  # as a name of tasks

__all__ = [
    "TASKS",
    "Item",
    "Split",
    "Task",
    "TaskDescription",
    "TaskFamily",
    "describe_tasks",
    "join",
    "load_instructions",
    "load_task",
    "load_tasks",
    "parse_names",
    "split",
]


@dataclass(frozen=True)
class TaskDescription:
    """One line of the list of tasks."""

    name: str
    title: str
    rows: int
    licence: str
    citation: str
    source: str


def describe_tasks() -> list[TaskDescription]:
    """Every task that can be loaded, by name."""
    return [
        TaskDescription(named, family.title, rows, family.licence, family.citation, family.source)
        for name in TASKS
        for family in [TASKS[name]]
        for named, rows in (
            [(name, _bare_rows(family))] * (family.bare is not None)
            + [(f"{name}:{member}", rows) for member, rows in sorted(family.rows.items())]
        )
    ]


def _bare_rows(family: TaskFamily) -> int:
    """How many rows the family's name alone stands for; where it decides for itself, those of one member."""
    return sum(family.rows[member] for member in family.bare or list(family.rows)[:1])


def load_task(name: str, *, data_folder: Path | None = None, instructions: Path | None = None) -> Task:
    """A task, or several of one family joined: "bbq:age", "bbq:age,ses", "bbq:all", "crows_pairs"; or "mine.toml".

    Args:
        name: family and members; a member without a family belongs to the family before it. Case does not matter. Or
            the TOML file of a task of the user's own.
        data_folder: where data files are looked for first; None for the usual places.
        instructions: a file of the user's own wordings in place of the packaged ones.

    Raises:
        UnknownNameError: no such family or member.
        SettingsError: a family without members, an empty name, or tasks of several families.
        SourceError: a file is missing or damaged.
        DataError: a file's content cannot be used.
    """
    tasks = load_tasks(name, data_folder=data_folder, instructions=instructions)
    if len(tasks) > 1:
        raise SettingsError(f"'{name}' names several tasks with metrics of their own; name one of them.")
    return tasks[0]


def load_tasks(
    name: str,
    *,
    data_folder: Path | None = None,
    instructions: Path | None = None,
    lacking: Callable[[str, SourceError], None] | None = None,
) -> list[Task]:
    """The tasks of a name, those of each family joined: "bbq:age,ses,crows_pairs" are two. See `load_task`.

    Args:
        name: see `load_task`; or "all": every family that says something of any model.
        data_folder: see `load_task`.
        instructions: see `load_task`.
        lacking: is told which family lacks what, and it is left out; None raises instead.
    """
    found = []
    for family, members in parse_names(name).items():
        if is_task_file(family):
            found.append(load_own_task(Path(family), instructions))
            continue
        try:
            parts = TASKS[family].load(members, data_folder, instructions)
        except SourceError as error:
            if lacking is None:
                raise
            lacking(family, error)
            continue
        everything = len(members) > 1 and set(members) == set(TASKS[family].rows)
        whole = family if TASKS[family].bare else f"{family}:all"
        # What is asked under other instructions is another task, though it is of the same family.
        alike = [list(some) for _, some in groupby(parts, key=lambda part: part.instructions)]
        found += [join(some, whole if everything and len(alike) == 1 else None) for some in alike]
    twice = [named for named, count in Counter(task.name for task in found).items() if count > 1]
    if twice:
        raise SettingsError(f"Two of the tasks of '{name}' have the name '{twice[0]}'; each needs a name of its own.")
    return found


def parse_names(name: str) -> dict[str, list[str]]:
    """Canonical members by family, each once, in the order named, and none of a file's path; reads no data.

    Raises:
        UnknownNameError: no such family or member.
        SettingsError: a family without members, or an empty name.
        SourceError: there is no such file.
    """
    if name.strip().lower() == EVERYTHING:
        general = {family: TASKS[family] for family in TASKS if TASKS[family].general}
        return {name: list(sorted(one.rows) if one.bare is None else one.bare) for name, one in general.items()}
    wanted: dict[str, list[str]] = {}
    family = ""
    for piece in name.split(","):
        if is_task_file(file := piece.strip()):
            if not os.path.isfile(expanded(file)):  # noqa: PTH113, which raises where a name is too long
                raise SourceError(f"There is no file '{file}'; a task of your own is described by a TOML file.")
            wanted[file] = []
            continue
        prefix, colon, member = (part.strip() for part in piece.lower().rpartition(":"))
        if not colon and member in TASKS and not _is_member(family, member):
            family = member
            bare = TASKS[family].bare
            if bare is None:
                known = ", ".join(sorted(TASKS[family].rows))
                raise SettingsError(
                    f"'{member}' is a family of tasks: name some of it, as in '{member}:all'. It has: {known}."
                )
            wanted[family] = list(dict.fromkeys(wanted.get(family, []) + list(bare)))
            continue
        family = prefix if colon else family
        if not member:
            raise SettingsError(f"The task name '{name}' has an empty part; a good one looks like 'bbq:age,ses'.")
        if family not in TASKS or not (_is_member(family, member) or _canonical(member) == "all"):
            known_names = [task.name for task in describe_tasks()] + [f"{every}:all" for every in TASKS]
            raise UnknownNameError("task", f"{family}:{member}" if family else member, known_names)
        key = _canonical(member)
        members = sorted(TASKS[family].rows) if key == "all" else [TASKS[family].aliases.get(key, key)]
        wanted[family] = list(dict.fromkeys(wanted.get(family, []) + members))
    return wanted


def _canonical(member: str) -> str:
    return member.replace("-", "_").replace(" ", "_")


def _is_member(family: str, member: str) -> bool:
    return family in TASKS and _canonical(member) in {*TASKS[family].rows, *TASKS[family].aliases}
