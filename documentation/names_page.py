"""The pages that list what there is: names of tasks, methods, attributions, judges and models; the Python interface."""

from collections.abc import Mapping, Sequence
from typing import Any

KINDS = {
    "commands": "Commands",
    "methods": "Methods",
    "attribution": "Attributions",
    "tasks": "Tasks, items and metrics",
    "models": "Models",
    "neurons": "Neurons",
    "reading": "Questions and answers",
    "measuring": "Results and sessions",
}


def names_page() -> str:
    """Everything that is chosen by name, as Markdown."""
    from biasectomy.attribution import describe_attributions
    from biasectomy.methods import describe_methods
    from biasectomy.models.sources import describe_models
    from biasectomy.tasks import TASKS
    from biasectomy.tasks.judges import describe_judges

    families = [
        {
            "name": name,
            "title": TASKS[name].title,
            "members": ", ".join(TASKS[name].rows),
            "licence": TASKS[name].licence,
        }
        for name in TASKS
    ]
    parts = [
        "# What there is\n\nAs `biasectomy ls` lists it. A wrong name is answered with the nearest right one.\n",
        "## Tasks\n\n`ls tasks` has each with its size, citation and source; what they say: [tasks](../tasks.md).\n",
        _table(families),
        "## Methods\n\nWhat each does: [methods](../methods.md).\n",
        _table(describe_methods()),
        "## Attributions\n",
        _table(describe_attributions()),
        "## Judges\n",
        _table(describe_judges()),
        "## Models\n",
        _table(describe_models()),
    ]
    return "\n".join(parts)


def python_page() -> str:
    """The public names of the package, as directives for mkdocstrings."""
    import biasectomy

    by_kind: dict[str, list[str]] = {}
    for name in biasectomy.__all__:
        home = biasectomy._HOMES[name]
        by_kind.setdefault(KINDS.get(home.partition(".")[0], "More"), []).append(f"::: biasectomy.{home}.{name}\n")
    order = [kind for kind in (*KINDS.values(), "More") if kind in by_kind]
    text = (
        "# Python\n\nEverything here is a name of the package itself: `biasectomy.mitigate`, `biasectomy.load`, ...\n"
    )
    return text + "".join(f"\n## {kind}\n\n" + "\n".join(by_kind[kind]) for kind in order)


def _table(entries: Sequence[Mapping[str, Any]]) -> str:
    columns = list(entries[0])
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for entry in entries:
        cells = [_cell(column, entry[column]) for column in columns]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _cell(column: str, value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:,}" if isinstance(value, int) else str(value)
    text = text.replace("|", "\\|").replace("<", "&lt;")
    return f"`{text}`" if column == "name" else text
