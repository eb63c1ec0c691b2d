"""Changes of a model that are in force, one inside the other: edits, adapters, whatever can be taken back."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

Maker = Callable[[], AbstractContextManager[None]]


@dataclass
class _Change:
    """How a change is made, what it is known by, and what takes it back while it is made."""

    make: Maker
    key: Any
    taking_back: ExitStack = field(default_factory=ExitStack)

    def begin(self) -> None:
        self.taking_back.enter_context(self.make())

    def end(self) -> None:
        self.taking_back.close()


class Changes:
    """A stack of changes: each is made inside those before it, and all can be undone for a while."""

    def __init__(self) -> None:
        self._in_force: list[_Change] = []

    @property
    def keys(self) -> list[Any]:
        """What the changes in force are known by, outermost first; those that change no answer are left out."""
        return [change.key for change in self._in_force if change.key is not None]

    def __bool__(self) -> bool:
        """Whether a change is in force that may change answers."""
        return bool(self.keys)

    @contextlib.contextmanager
    def made(self, make: Maker, key: Any) -> Iterator[None]:
        """A block in which a change is in force."""
        change = _Change(make, key)
        change.begin()
        self._in_force.append(change)
        try:
            yield
        finally:
            self._in_force[:] = [other for other in self._in_force if other is not change]
            change.end()

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """A block in which none is in force; afterwards they are made again in their order, errors included."""
        undone: list[_Change] = []
        try:
            while self._in_force:
                undone.append(self._in_force.pop())
                undone[-1].end()
            yield
        finally:
            for change in reversed(undone):
                change.begin()
                self._in_force.append(change)
