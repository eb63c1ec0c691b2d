"""How a command ends: its exit code, and one sentence instead of a traceback."""

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from biasectomy import plugins
from biasectomy.errors import BiasectomyError


def run_and_exit(
    make: Callable[[], typer.Typer],
    name: str,
    arguments: list[str] | None = None,
    *,
    speaks: Callable[[], bool] = lambda: True,
) -> NoReturn:
    """Runs an app and exits with 0, 2 for an error that is the user's to mend, 130 when interrupted.

    Args:
        make: makes what is run.
        name: what its help calls it.
        arguments: of the command line; None takes those of the process.
        speaks: whether this process, of several, is the one to print an error.
    """
    try:
        code = make()(args=arguments, prog_name=name, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except BiasectomyError as error:
        message = str(plugins.blamed(error) or error)
    except typer.TyperException as error:
        message = error.format_message()
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        blamed = plugins.blamed(error)
        if blamed is None:
            raise
        message = str(blamed)
    if speaks():
        sys.stderr.write(f"Error: {' '.join(message.split())}\n")
    sys.exit(2)
