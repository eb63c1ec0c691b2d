"""What the page says of how a run can be made again: the command, and all that its figures rest on."""

from collections.abc import Iterable, Mapping
from typing import Any

from biasectomy.report.finished import FinishedRun
from biasectomy.report.number_format import told_format
from biasectomy.run_files import (
    ADAPTER,
    ITEMS,
    JUDGED,
    METHODS_FOLDER,
    MODEL,
    NEURONS,
    PICTURES,
    QUESTIONS,
    RECORD,
    REPORT,
    RESULTS,
    STORE,
)

# What is in the folder, for a reader who opens it.
FILES = {
    RESULTS: "figures, differences, verdict",
    ITEMS: "every answer",
    QUESTIONS: "what was asked",
    RECORD: "settings, seeds, versions, checksums, times",
    NEURONS: "the neurons",
    METHODS_FOLDER: "what each method kept",
    MODEL: "the checkpoint, as transformers loads it",
    ADAPTER: "the adapter, as peft loads it",
    PICTURES: "the pictures of this page as SVG, PNG and PDF",
    REPORT: "this report as plain text",
    JUDGED: "figures by other judges",
    STORE: "answers by checksum, for --resume",
}


def reproduction(run: FinishedRun) -> dict[str, Any]:
    """The command, versions, checksums, data, items and settings of a run."""
    record = run.record
    model = record.get("model") or {}
    facts = [
        ("model", model.get("name")),
        ("weights", record.get("weights") or model.get("fingerprint")),
        ("number format", told_format(record)),
        ("prompt format", (record.get("prompt") or {}).get("format")),
        ("prompts", (record.get("prompt") or {}).get("checksum")),
        ("seed", (record.get("settings") or {}).get("seed")),
        *(record.get("versions") or {}).items(),
    ]
    return {
        "command": record.get("command") or "",
        "facts": [(str(name), str(value)) for name, value in facts if value is not None and value != ""],
        "items": [(str(name), _counted(value)) for name, value in (record.get("items") or {}).items()],
        "sources": list(_sources(record.get("tasks") or ())),
        "settings": list(_flat(record.get("settings") or {})),
        "notes": [f"{task}: {note}." for task, note in run.results.notes.items()],
        "files": [(name, said) for name, said in FILES.items() if name == PICTURES or (run.folder / name).exists()],
        "resumed": record.get("resumed") or [],
    }


def _sources(tasks: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str, str, str]]:
    """Task, file, where from, checksum; each once."""
    seen = set()
    for task in tasks:
        for one in task.get("sources") or ():
            row = (
                str(task.get("name")),
                str(one.get("file", "")),
                str(one.get("origin", "")),
                str(one.get("sha256", "")),
            )
            if row[1:] not in seen:
                seen.add(row[1:])
                yield row


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Settings as the command line names them, without those that are not set."""
    for name, value in settings.items():
        label = f"{prefix}{name}".replace("_", "-")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{label}.")
        elif value is not None and value != []:
            yield label, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _counted(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
