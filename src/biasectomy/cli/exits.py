"""How a command ends: its exit code, and one sentence instead of a traceback."""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer

from biasectomy import plugins
from biasectomy.errors import BiasectomyError
from biasectomy.files import FULL

NOBODY_READS = 128 + 13  # as of a tool that SIGPIPE ended


def run_and_exit(
    make: Callable[[], typer.Typer],
    name: str,
    arguments: list[str] | None = None,
    *,
    speaks: Callable[[], bool] = lambda: True,
) -> NoReturn:
    """Runs an app and exits with 0, 2 for an error that is the user's to mend, 130 when interrupted.

    Text that the terminal cannot show is shown by its codes; where nobody reads on (`| head`), it ends without a word.

    Args:
        make: makes what is run.
        name: what its help calls it.
        arguments: of the command line; None takes those of the process.
        speaks: whether this process, of several, is the one to print an error.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = make()(args=arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()  # a disk that is full is noticed here, and not after the last word
        sys.exit(code if isinstance(code, int) else 0)
    except BiasectomyError as error:
        message = str(plugins.blamed(error) or error)
    except typer.TyperException as error:
        message = error.format_message()
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        _silence()
        sys.exit(NOBODY_READS)
    except OSError as error:
        message = _refused(error)
    except Exception as error:
        blamed = plugins.blamed(error)
        if blamed is None:
            raise
        message = str(blamed)
    if speaks():
        with contextlib.suppress(OSError):
            sys.stderr.write(f"Error: {' '.join(message.split())}\n")
            sys.stderr.flush()
    sys.exit(2)


def _refused(error: OSError) -> str:
    """A refusal of the operating system that nothing else has put into words."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is not None:
        return f"'{error.filename}' cannot be used: {reason}."
    try:
        Path.cwd()
    except OSError:
        return "The folder this was started in is no longer there; change to one that is (cd) and try again."
    if error.errno in FULL:
        _silence()
        return "The disk is full: standard output could not be written."
    return f"The operating system refuses: {reason}."


def _silence() -> None:
    """What is still to be printed goes nowhere, so that the end itself is no error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
