"""What the library says while it works: messages through `logging`, progress through a hook.

Nothing is printed by default, but what is fetched from elsewhere: that takes time and space the caller did not ask for
by name, so it is a warning of the logger `biasectomy.fetching`. The command line shows all of it on the terminal; a
notebook may do so too, with `logging.getLogger("biasectomy")` and `with watching(hook):`.
"""

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

LOGGER = logging.getLogger("biasectomy")
FETCHING = logging.getLogger("biasectomy.fetching")
HEADING = "heading"  # the attribute of a record that names the part which begins


class Advance(Protocol):
    """Reports that so many more units are done, and perhaps what they showed."""

    def __call__(self, count: int = 1, note: str | None = None) -> None: ...


class ProgressHook(Protocol):
    """Makes the block in which one long computation reports how far it is."""

    def __call__(self, description: str, total: int, unit: str) -> AbstractContextManager[Advance]: ...


_hook: ContextVar[ProgressHook | None] = ContextVar("progress hook", default=None)
_stages: ContextVar[tuple[str, ...]] = ContextVar("stages", default=())


def say(text: str) -> None:
    """Something that was found or done."""
    LOGGER.info("%s", text)


def heading(text: str, stage: str | None = None) -> None:
    """The name of the part that begins; where it is one of the stages in force, also which of how many."""
    named = _stages.get()
    which = f"Stage {named.index(stage) + 1} of {len(named)}: " if stage in named else ""
    LOGGER.info("%s", which + text, extra={HEADING: True})


@contextlib.contextmanager
def stages(*names: str) -> Iterator[None]:
    """A block that consists of these stages, in this order; `heading` says which has been reached."""
    token = _stages.set(names)
    try:
        yield
    finally:
        _stages.reset(token)


def warn(text: str) -> None:
    """Something that the user should know although the work goes on."""
    LOGGER.warning("%s", text)


def fetching(text: str) -> None:
    """Something that is fetched or made once and then kept."""
    FETCHING.warning("%s", text)


@contextlib.contextmanager
def watching(hook: ProgressHook) -> Iterator[None]:
    """A block in which every long computation reports to `hook(description, total, unit)`."""
    token = _hook.set(hook)
    try:
        yield
    finally:
        _hook.reset(token)


@contextlib.contextmanager
def progress(description: str, total: int, unit: str = "questions") -> Iterator[Advance]:
    """A block of so many units of work; reports to the hook in force, if there is one."""
    hook = _hook.get()
    if hook is None:
        yield lambda count=1, note=None: None
        return
    with hook(description, total, unit) as advance:
        yield advance
