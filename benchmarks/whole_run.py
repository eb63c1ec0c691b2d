"""`biasectomy mitigate` as somebody types it, in a process of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from biasectomy.errors import RunError


@contextlib.contextmanager
def whole_run(model: str, arguments: Sequence[str], threads: int) -> Iterator[tuple[Path, float]]:
    """The folder of a finished run, which is there for as long as the block lasts, and the seconds the command took.

    Args:
        model: its name.
        arguments: what else is typed, but for the folder.
        threads: of the processor, that libraries may take when they are loaded.

    Raises:
        RunError: the command failed; has the end of what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["mitigate", model, *arguments, "--out", str(out)]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "biasectomy", *words],
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RunError(f"'biasectomy mitigate' failed: {done.stderr.strip()[-400:]}")
        yield out, seconds
