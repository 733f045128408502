"""The one registry idiom: a read-only table that is filled when its package is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from condsim.errors import unknown

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Names to entries. To register a name twice is an error, and so is to ask for an unknown one.

    kind: what an entry is, for error messages ("strategy").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, *names: str) -> Callable[[T], T]:
        """Decorator: enter what is decorated under each name.

        The decorator raises ValueError for a name that is taken.
        """

        def enter(entry: T) -> T:
            for name in names:
                if name in self._entries:
                    raise ValueError(f"{self.kind} {name!r} is registered twice")
                self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        """The entry of a name. Raises CondsimError for an unknown one, with the known names.

        So does `get`: an entry is never missing.
        """
        if name not in self:
            raise unknown(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
