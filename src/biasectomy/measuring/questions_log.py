"""`questions.jsonl`: what was asked, in a form for people; answers are in `items.jsonl`, under the same names."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from biasectomy.files import write_atomically
from biasectomy.tasks.base import Task

LONGEST = 2000  # characters of a text; whole paragraphs of perplexity are in the task's files


def write_questions(path: Path, measured: Iterable[tuple[Task, str]]) -> None:
    """Writes one object a line for each item: its texts, its options as they were asked, its labels.

    Args:
        path: the file.
        measured: tasks, and which of their items these are, such as "test".

    Raises:
        RunError: the file cannot be written.
    """
    rows = (row for task, split in measured for row in _rows(task, split))
    write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _rows(task: Task, split: str) -> Iterable[dict[str, Any]]:
    for item in task.items:
        row: dict[str, Any] = {"split": split, "task": item.task, "item": item.identifier, "cluster": item.cluster}
        texts = {"context": item.context, "question": item.question}
        row |= {name: _shortened(text) for name, text in texts.items() if text}
        row |= {"options": [_shortened(option) for option in item.options]} if item.options else {}
        places = {"gold": item.gold, "target": item.target, "unknown": item.unknown}
        row |= {name: place for name, place in places.items() if place is not None}
        yield row | ({"labels": dict(item.labels)} if item.labels else {})


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
