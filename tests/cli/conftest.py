"""The command line run in this process, over stand-ins for the commands."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from biasectomy.cli.app import main
from biasectomy.commands.settings import COMMANDS
from biasectomy.measuring.results import MetricRow, Results
from biasectomy.narration import say

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["biasectomy", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Stand-ins for the commands, in a folder of their own; the list holds the settings they were called with."""
    monkeypatch.chdir(tmp_path)
    calls: list[Any] = []
    row = MetricRow("original", "bbq:age", "test", "accuracy", 0.5, 0.25, 0.75, 9, 3, 1.0)
    outcome = SimpleNamespace(
        results=Results((row,), verdict=["Nothing changed."], interval={"level": 0.95}), folder=None
    )

    def command(answer: Any) -> Callable[[Any], Any]:
        def run(settings: Any) -> Any:
            say("working")
            calls.append(settings)
            return answer

        return run

    for name in COMMANDS:
        fake: Any = ModuleType(f"biasectomy.commands.{name}")
        fake.run = command({"find": None, "apply": Path("there")}.get(name, outcome))
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return calls
