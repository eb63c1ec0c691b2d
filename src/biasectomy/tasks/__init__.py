"""Tasks by name, such as "bbq:age" or "bbq:age,ses".

A family of tasks is one file of this package that registers itself in `TASKS`; nothing else names it.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

from biasectomy.errors import SettingsError, UnknownNameError
from biasectomy.tasks.base import TASKS, Item, Split, Task, TaskFamily, join, split
from biasectomy.tasks.wordings import load_instructions

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

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
            [(name, sum(family.rows.values()))] * (family.bare is not None)
            + [(f"{name}:{member}", rows) for member, rows in sorted(family.rows.items())]
        )
    ]


def load_task(name: str, *, data_folder: Path | None = None, instructions: Path | None = None) -> Task:
    """A task, or several of one family joined: "bbq:age", "bbq:age,ses", "bbq:all", "crows_pairs".

    Args:
        name: family and members; a member without a family belongs to the family before it. Case does not matter.
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


def load_tasks(name: str, *, data_folder: Path | None = None, instructions: Path | None = None) -> list[Task]:
    """The tasks of a name, those of each family joined: "bbq:age,ses,crows_pairs" are two. See `load_task`."""
    found = []
    for family, members in parse_names(name).items():
        parts = TASKS[family].load(members, data_folder, instructions)
        everything = len(members) > 1 and set(members) == set(TASKS[family].rows)
        whole = family if TASKS[family].bare else f"{family}:all"
        found.append(join(parts, whole if everything else None))
    return found


def parse_names(name: str) -> dict[str, list[str]]:
    """Canonical members by family, each once, in the order named; reads no data.

    Raises:
        UnknownNameError: no such family or member.
        SettingsError: a family without members, or an empty name.
    """
    wanted: dict[str, list[str]] = {}
    family = ""
    for piece in name.lower().split(","):
        prefix, colon, member = (part.strip() for part in piece.rpartition(":"))
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
