"""The cache that a decode step starts from, as it is before each call.

A call changes what it is handed: it adds keys and values, and counts on. So each call gets a copy.
No decoder copies its cache between two tokens, though, and a copy pushes out of the processor's
caches what the next call would find there. So calls share the tensors that none of them writes, as
the keys of a cache that grows by concatenation. Tensors that a call writes in place are copied.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

Arguments = dict[str, Any]
"""Arguments of a call by name."""
CopyTensor = Callable[[torch.Tensor, dict[int, Any]], torch.Tensor]
"""What `copy.deepcopy` does with a tensor, and with what it has copied so far."""

_copy_tensor: CopyTensor = torch.Tensor.__deepcopy__


@dataclass
class StepCache:
    """What a call changes of its arguments, and copies of it.

    arguments: as they are before a call.
    """

    arguments: Arguments = field(default_factory=dict)
    _tried: set[str] = field(default_factory=set)
    _shared: set[int] = field(default_factory=set)
    """Addresses of the memory that no call has written."""

    def for_a_call(self) -> Arguments:
        """Arguments that one call may change."""

        def copied(tensor: torch.Tensor, so_far: dict[int, Any]) -> torch.Tensor:
            if _address(tensor) in self._shared:
                return tensor
            return _copy_tensor(tensor, so_far)

        with _tensors_copied_by(copied):
            return copy.deepcopy(self.arguments)

    def share(self, side: str, call: Callable[..., Any]) -> None:
        """Share from now on what the calls of all sides so far leave as it is.

        side: whose call it is; each is tried once. call: takes the arguments.
        """
        if side in self._tried:
            return
        kept = self._kept_by(call)
        self._shared = self._shared & kept if self._tried else kept
        self._tried.add(side)

    def _kept_by(self, call: Callable[..., Any]) -> set[int]:
        """Addresses of the memory that a call leaves as it is."""
        copies: list[tuple[torch.Tensor, torch.Tensor]] = []

        def copied(tensor: torch.Tensor, so_far: dict[int, Any]) -> torch.Tensor:
            made = _copy_tensor(tensor, so_far)
            copies.append((tensor, made))
            return made

        with _tensors_copied_by(copied):
            arguments = copy.deepcopy(self.arguments)
        call(**arguments)
        addresses = {_address(tensor) for tensor, _ in copies}
        written = {_address(tensor) for tensor, made in copies if not _same_values(tensor, made)}
        return addresses - written


def _address(tensor: torch.Tensor) -> int:
    """Where the memory of a tensor starts; views of one piece of memory have one address."""
    return tensor.untyped_storage().data_ptr()


@contextlib.contextmanager
def _tensors_copied_by(copied: CopyTensor) -> Iterator[None]:
    """While it lasts, `copy.deepcopy` copies tensors so."""
    torch.Tensor.__deepcopy__ = copied  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.__deepcopy__ = _copy_tensor  # type: ignore[method-assign]


def _same_values(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether all values are equal, NaN to NaN."""
    both_nan = one.ne(one) & other.ne(other)
    return bool((one.eq(other) | both_nan).all())
