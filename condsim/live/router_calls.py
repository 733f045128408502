"""Calls of modules that may be routers, and what stands in for their results in a baseline."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map


@dataclass(frozen=True)
class RouterCall:
    """A call of a module that may be the router. stand_in: for its results in a baseline."""

    module: nn.Module
    tensors: tuple[weakref.ref[torch.Tensor], ...]
    stand_in: StandIn

    @classmethod
    def of(
        cls, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> RouterCall | None:
        """A call; None where it gave no ids, so that it is no router's."""
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if not any(tensor.dtype == torch.int64 for tensor in tensors):
            return None
        references = tuple(weakref.ref(tensor) for tensor in tensors)
        return cls(module, references, StandIn.of(args, kwargs, result))

    def gave(self, ids: torch.Tensor) -> bool:
        """Whether the call gave this very tensor."""
        return any(reference() is ids for reference in self.tensors)


@dataclass(frozen=True)
class Like:
    """What a tensor looked like."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


class StandIn:
    """Zeros in the form of what a call gave, as many rows as another call has.

    A baseline decides nothing, but what reads the scores of a router (a balancing loss, a result
    that is returned) still finds tensors there.
    """

    def __init__(self, rows: torch.Size, result: Any) -> None:
        """rows: dimensions in front of the last of the call's input. result: with `Like`s."""
        self.rows = rows
        self.result = result
        self._made: tuple[torch.Size, Any] | None = None

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> StandIn:
        """For a call and its result."""

        def like(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor):
                return leaf
            return Like(leaf.shape, leaf.dtype, leaf.device)

        return cls(_rows(args, kwargs), tree_map(like, result))

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The zeros for another call."""
        rows = _rows(args, kwargs)
        if self._made is None or self._made[0] != rows:

            def zeros(leaf: Any) -> Any:
                if not isinstance(leaf, Like):
                    return leaf
                shape = _resized(leaf.shape, self.rows, rows)
                return torch.zeros(shape, dtype=leaf.dtype, device=leaf.device)

            self._made = (rows, tree_map(zeros, self.result))
        return self._made[1]


def _rows(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Size:
    """The dimensions in front of the last of a call's first tensor."""
    for leaf in tree_leaves((args, dict(kwargs))):
        if isinstance(leaf, torch.Tensor) and leaf.ndim:
            return leaf.shape[:-1]
    return torch.Size()


def _resized(shape: torch.Size, before: torch.Size, now: torch.Size) -> torch.Size:
    """A shape for other rows: they are its first dimensions, as they are or flat."""
    if shape[: len(before)] == before:
        return now + shape[len(before) :]
    if shape and shape[0] == before.numel():
        return torch.Size((now.numel(), *shape[1:]))
    return shape
