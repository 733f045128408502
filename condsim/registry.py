"""The one registry idiom: a read-only table that is filled when its package is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from condsim.errors import unknown

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Names to things. Registering a name twice is an error, and so is asking for an unknown one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, *names: str) -> Callable[[T], T]:
        """Decorator: enter the decorated thing under each of `names`. Raises ValueError on a duplicate."""

        def enter(thing: T) -> T:
            for name in names:
                if name in self._things:
                    raise ValueError(f"{self.kind} {name!r} is registered twice")
                self._things[name] = thing
            return thing

        return enter

    def __getitem__(self, name: str) -> T:
        try:
            return self._things[name]
        except KeyError:
            raise unknown(self.kind, name, self._things) from None

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)
