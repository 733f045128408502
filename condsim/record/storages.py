"""The storages of a recording: their numbers, when they die, and how many bytes live at once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch


class Storages:
    """The storages that a recording has seen.

    live_bytes: of those that were born inside and are alive. peak_bytes: the most that were.
    """

    def __init__(self) -> None:
        self.live_bytes = 0
        self.peak_bytes = 0
        self._numbers: dict[int, int] = {}
        self._seen = 0

    def number(self, tensor: torch.Tensor) -> int:
        """Return the number of a tensor's storage here; a new one where it has none."""
        key = storage_key(tensor)
        if key not in self._numbers:
            self._seen += 1
            self._numbers[key] = self._seen
            when_dead(tensor.untyped_storage(), self._forget, key)
        return self._numbers[key]

    def known(self, tensor: torch.Tensor) -> int | None:
        """Return the number of a tensor's storage; None where it was never seen."""
        return self._numbers.get(storage_key(tensor))

    def born(self, tensor: torch.Tensor, died: Callable[[], None]) -> None:
        """Count a storage that was made inside. died: called when it has no owner left."""
        storage = tensor.untyped_storage()
        size_bytes = storage.nbytes()
        self.live_bytes += size_bytes
        when_dead(storage, self._dies, size_bytes, died)

    def note_peak(self, more_bytes: int = 0) -> None:
        """Keep how many bytes live now, if more than ever. more_bytes: that are not counted."""
        self.peak_bytes = max(self.peak_bytes, self.live_bytes + more_bytes)

    def _dies(self, size_bytes: int, died: Callable[[], None]) -> None:
        self.live_bytes -= size_bytes
        died()

    def _forget(self, key: int) -> None:
        """A storage died: its key may come to mean another one."""
        self._numbers.pop(key, None)


def storage_key(tensor: torch.Tensor) -> int:
    """What tells a storage from all others that are alive.

    The address of its data does not: storages without elements share it.
    """
    return int(tensor.untyped_storage()._cdata)


def when_dead(storage: torch.UntypedStorage, call: Any, *args: Any) -> None:
    """Call a function when a storage has no owner left, but not when the process ends."""
    weakref.finalize(storage, call, *args).atexit = False


def is_dense(tensor: torch.Tensor) -> bool:
    """Whether a tensor's elements fill its memory, each place once, in some order of dimensions."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True
