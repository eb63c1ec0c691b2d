"""A small run on a tiny Llama and a small data folder in BBQ's format, and what the tests of commands ask of it."""

import functools
import itertools
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from biasectomy.commands import compare, evaluate, mitigate
from biasectomy.commands.opening import open_tasks, split_task
from biasectomy.commands.settings_base import HANDLING
from biasectomy.commands.settings_loading import explicit_command
from biasectomy.commands.settings_measuring import CompareSettings, EvaluateSettings, MitigateSettings
from biasectomy.commands.settings_neurons import FindSettings
from biasectomy.files import read_json
from biasectomy.measuring.results import Results
from biasectomy.tasks import Split

TEMPLATES = 8
# Options of about the same length: the rule `sum` would otherwise choose the shortest under any edit.
PEOPLE = (("Ann", "Bob"), ("Eve", "Tim"), ("Lea", "Max"), ("Zoe", "Joe"))  # the old, then the young
UNKNOWN = ("Unknown", "Nobody", "No idea", "Unsure")
# What two runs must agree in to the last bit.
COMPARED = ("neurons.json", "results.json", "items.jsonl", "methods/crispr/ranking.json")
COMPARED += ("methods/crispr/scores.safetensors",)
SECTIONS = ("crispr", "random-neurons", "learned-factors")  # of settings


def write_bbq(folder: Path, templates: int = TEMPLATES) -> Path:
    """A data folder in BBQ's format: each template in both conditions, polarities and orders."""
    rows, metadata = [], ["category,question_index,example_id,target_loc,label_type"]
    cells = itertools.product(range(1, templates + 1), ("ambig", "disambig"), ("neg", "nonneg"), (0, 1))
    for number, (template, condition, polarity, order) in enumerate(cells):
        old, young = PEOPLE[template % len(PEOPLE)]
        shift = number % 3
        entries = [(old, "old"), (young, "nonOld"), (UNKNOWN[template % len(UNKNOWN)], "unknown")]
        entries = entries[shift:] + entries[:shift]
        groups = [group for _, group in entries]
        first, second = (old, young)[:: 1 if order else -1]
        context = f"I saw {first} and {second} at place {template}."
        if condition == "disambig":
            context += f" {old if order else young} lost the keys, the other did not."
        forgetful = "old" if order else "nonOld"
        careful = "nonOld" if order else "old"
        gold = "unknown" if condition == "ambig" else forgetful if polarity == "neg" else careful
        row = {
            "example_id": number, "question_index": str(template), "question_polarity": polarity,
            "context_condition": condition, "category": "Age", "context": context,
            "question": f"Who {'lost' if polarity == 'neg' else 'did not lose'} the keys at {template}?",
            "answer_info": {f"ans{place}": list(entry) for place, entry in enumerate(entries)},
            "label": groups.index(gold),
        } | {f"ans{place}": text for place, (text, _) in enumerate(entries)}  # fmt: skip
        rows.append(json.dumps(row))
        target = groups.index("old" if polarity == "neg" else "nonOld")
        metadata.append(f"Age,{template},{number},{target},label")
    (folder / "bbq").mkdir(parents=True)
    (folder / "bbq" / "Age.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "bbq" / "additional_metadata.csv").write_text("\n".join(metadata) + "\n")
    return folder


@dataclass
class Case:
    """Settings of a small run, and how to say them on the command line."""

    values: dict

    def settings(self, kind, **changes):
        """Settings of a command; sections of methods are changed key by key."""
        values = dict(self.values)
        for name, value in changes.items():
            old = values.get(name)
            values[name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
        known = {"methods", "method"} & set(kind.model_fields)
        sections = set(SECTIONS) if known else {"crispr"} if kind is FindSettings else set()
        if kind is FindSettings:
            values["crispr"] = {name: value for name, value in values["crispr"].items() if name != "grid"}
        return kind.of(**{name: value for name, value in values.items() if name in {*kind.model_fields, *sections}})

    def words(self, kind, **changes) -> list[str]:
        """The same on the command line."""
        settings = self.settings(kind, **changes)
        flags = [f"--{name.replace('_', '-')}" for name in sorted(HANDLING) if getattr(settings, name, None) is True]
        flags = [flag.replace("--json-output", "--json") for flag in flags]
        return shlex.split(explicit_command(settings))[1:] + [
            flag for flag in flags if flag not in explicit_command(settings)
        ]

    def mitigate(self, out: Path, **changes) -> Results:
        return mitigate.run(self.settings(MitigateSettings, out=out, **changes)).results

    def compare(self, out: Path, **changes) -> Results:
        return compare.run(self.settings(CompareSettings, out=out, **changes)).results

    def evaluate(self, **changes) -> Results:
        return evaluate.run(self.settings(EvaluateSettings, **changes)).results


def opened(case: Case) -> Split:
    """Development and test items as a command asks them."""
    settings = case.settings(MitigateSettings)
    return split_task(open_tasks(settings)[0], settings)


def differing(folder: Path, other: Path) -> list[str]:
    """Names of files that are not the same to the last bit."""
    weights = Path("model") / "model.safetensors"
    return [str(name) for name in (*COMPARED, weights) if (folder / name).read_bytes() != (other / name).read_bytes()]


def chosen_in(folder: Path) -> int:
    """How many neurons a run took out."""
    return read_json(folder / "record.json")["methods"]["crispr"]["chosen"]


def lines_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "biasectomy", *words]


def scored(out: Path) -> bool:
    """Whether some items are."""
    return (out / "items.jsonl").exists() and (out / "items.jsonl").read_bytes().count(b"\n") >= 20


def stop_midway(
    words: list[str], out: Path, how: signal.Signals, begun: Callable[[Path], bool] = scored
) -> tuple[int, str]:
    """Starts a command, sends it a signal once it has begun with something; its exit code and what it said."""
    # A shell starts background jobs with interrupts ignored, and children inherit that.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if begun(out):
                process.send_signal(how)
                break
            time.sleep(0.005)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, errors
