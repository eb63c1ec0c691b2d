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
        TaskDescription(f"{name}:{member}", family.title, rows, family.licence, family.citation, family.source)
        for name in TASKS
        for family in [TASKS[name]]
        for member, rows in sorted(family.rows.items())
    ]


def load_task(name: str, *, data_folder: Path | None = None, instructions: Path | None = None) -> Task:
    """A task, or several joined: "bbq:age", "bbq:age,ses", "bbq:age,bbq:ses", "bbq:all"; case does not matter.

    Args:
        name: family and members; a member without a family belongs to the family before it.
        data_folder: where data files are looked for first; None for the usual places.
        instructions: a file of the user's own wordings in place of the packaged ones.

    Raises:
        UnknownNameError: no such family or member.
        SettingsError: a family without members, an empty name, or families whose metrics differ.
        SourceError: a file is missing or damaged.
        DataError: a file's content cannot be used.
    """
    wanted = _parse(name)
    tasks = [
        task for family, members in wanted.items() for task in TASKS[family].load(members, data_folder, instructions)
    ]
    (family, members), *others = wanted.items()
    everything = not others and len(members) > 1 and set(members) == set(TASKS[family].rows)
    return join(tasks, f"{family}:all" if everything else None)


def _parse(name: str) -> dict[str, list[str]]:
    """Canonical members by family, each once, in the order named."""
    wanted: dict[str, list[str]] = {}
    family = ""
    for piece in name.lower().split(","):
        prefix, colon, member = (part.strip() for part in piece.rpartition(":"))
        if not colon and member in TASKS:
            known = ", ".join(sorted(TASKS[member].rows))
            raise SettingsError(
                f"'{member}' is a family of tasks: name some of it, as in '{member}:all'. It has: {known}."
            )
        family = prefix if colon else family
        if not member:
            raise SettingsError(f"The task name '{name}' has an empty part; a good one looks like 'bbq:age,ses'.")
        key = member.replace("-", "_").replace(" ", "_")
        if family not in TASKS or key not in {"all", *TASKS[family].rows, *TASKS[family].aliases}:
            known_names = [task.name for task in describe_tasks()] + [f"{every}:all" for every in TASKS]
            raise UnknownNameError("task", f"{family}:{member}" if family else member, known_names)
        members = sorted(TASKS[family].rows) if key == "all" else [TASKS[family].aliases.get(key, key)]
        wanted[family] = list(dict.fromkeys(wanted.get(family, []) + members))
    return wanted
