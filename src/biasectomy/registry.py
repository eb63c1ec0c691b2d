"""Named things: attributions, tasks and whatever else can be asked for by name."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from biasectomy.errors import UnknownNameError

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """A mapping from names to entries that answers a wrong name with the nearest right one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Decorator that files what it decorates under `name`.

        Raises:
            ValueError: the name is taken.
        """

        def file_under_name(entry: Entry) -> Entry:
            if name in self._entries:
                raise ValueError(f"the {self.kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return file_under_name

    def __getitem__(self, name: str) -> Entry:
        """Raises `UnknownNameError` for a name that is not registered."""
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._entries) from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __contains__(self, name: str) -> bool:
        return name in self._entries


def described(entry: Any) -> str:
    """The first line of an entry's docstring."""
    return next(iter((entry.__doc__ or "").strip().splitlines()), "")
