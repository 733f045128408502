"""A bounded memory of results, by what they are the result of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")

MOST = 256


class Results:
    """The results that were asked for last.

    A key says all that a result depends on, by content: names, numbers, digests. What was asked
    for longest ago is forgotten first.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, object] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def forget(self, key: Hashable) -> None:
        """Forget the result under a key, if there is one."""
        self._kept.pop(key, None)

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result under a key; it is made where nobody asked for it lately."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]  # type: ignore[return-value]
        made = make()
        self._kept[key] = made
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return made
