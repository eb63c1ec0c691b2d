"""Blocks of code in the documentation: which there are, and what can be checked of a command without running it."""

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# A block with this above it is checked as far as it can be without running it.
NOT_RUN = re.compile(r"<!-- not run: (.+) -->\s*$")
FENCE = re.compile(r"^```(.*)$")
PROGRAMS = ("hf", "jupyter")  # of other projects, which are not looked into
LAUNCHERS = ("accelerate", "torchrun")


@dataclass(frozen=True)
class Block:
    """A block of a page; `reason` says why it is not run, where it is not."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each command of a console or shell block."""
        joined = self.text.replace("\\\n", " ")
        lines = [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]
        if self.language == "sh":
            lines = joined.splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> Iterator[Block]:
    """Those of a page, in order."""
    start, language, before, lines = 0, "", "", list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = FENCE.match(line)
        if fence and not start:
            start, language, lines = number, fence[1].split(" ")[0], []
        elif fence:
            marked = NOT_RUN.search(before)
            yield Block(page, start, language, "\n".join(lines) + "\n", marked[1] if marked else None)
            start, before = 0, ""
        elif start:
            lines.append(line)
        elif line.strip():
            before = line


def all_blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def of_biasectomy(words: list[str]) -> list[str] | None:
    """The words behind `biasectomy`, also where a launcher starts it; None where it is another program's command."""
    if words[0] == "biasectomy":
        return words[1:]
    if "-m" in words and words[words.index("-m") + 1] == "biasectomy":
        return words[words.index("-m") + 2 :]
    return None


def check_other(words: list[str]) -> None:
    """What can be told of a command of another program: extras, targets and modules that it names are there."""
    program = Path(words[0]).name
    if program == "pip":
        extras = {name for word in words for found in re.findall(r"\[(.*?)\]", word) for name in found.split(",")}
        assert extras <= set(pyproject()["project"]["optional-dependencies"])
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[1] in targets, f"there is no target {words[1]}"
    elif program in ("python", "python3"):
        assert words[1] == "-m" and find_spec(words[2]) is not None, f"there is no module {words[2]}"
    else:
        assert program in PROGRAMS or (ROOT / words[0]).is_file(), f"what is {words[0]}?"


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs the command line in this process: its exit code."""
    from biasectomy.cli.app import main

    monkeypatch.setattr(sys, "argv", ["biasectomy", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)
