"""A call of a module's own forward: its arguments, at other sizes, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from condsim.live.inputs import stretched

HARMLESS = (torch.Tensor, str, int, float, bool, torch.dtype, torch.device)
"""What a forward may be called with to be taped."""
MORE_POSITIONS = 3
"""Positions that a second tape of sequences has more than the first."""


@dataclass(slots=True)
class Constants:
    """What two calls must share for one lifted forward to stand for both.

    structure: how the arguments are put together. values: those that are no tensors.
    """

    structure: Any
    values: list[Any]

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Constants:
        """Those of a call."""
        leaves, structure = tree_flatten((args, kwargs))
        return cls(structure, [leaf for leaf in leaves if not isinstance(leaf, torch.Tensor)])


@dataclass(frozen=True)
class HostCall:
    """A call of a module's own forward."""

    forward: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def leaves(self) -> list[Any]:
        """All arguments, those inside of lists, tuples and dicts one by one."""
        leaves: list[Any] = tree_leaves((self.args, self.kwargs))
        return leaves

    def first(self) -> torch.Tensor | None:
        """The first tensor with dimensions: its sizes count as rows and positions."""
        for leaf in self.leaves():
            if isinstance(leaf, torch.Tensor) and leaf.ndim:
                return leaf
        return None

    def has_sequences(self) -> bool:
        """Whether the first tensor's second dimension is one of positions."""
        first = self.first()
        if first is None:
            return False
        return first.ndim == 3 or (first.ndim == 2 and not first.is_floating_point())

    def is_plain(self) -> bool:
        """Whether the arguments are tensors and numbers, at least one a tensor with dimensions."""
        harmless = [leaf is None or isinstance(leaf, HARMLESS) for leaf in self.leaves()]
        return self.first() is not None and all(harmless)

    def resized(self, rows: int, more_positions: int = 0) -> tuple[Any, Any]:
        """(args, kwargs) for so many rows: what there is is repeated.

        more_positions: how many positions each sequence has more.
        """
        first = self.first()
        assert first is not None

        def fit(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor) or leaf.shape[:1] != first.shape[:1]:
                return leaf
            positions = None
            if more_positions and leaf.ndim > 1 and leaf.shape[1] == first.shape[1]:
                positions = leaf.shape[1] + more_positions
            return stretched(leaf, rows, positions).clone()

        args, kwargs = tree_map(fit, (self.args, self.kwargs))
        return args, kwargs


def copied(leaf: Any) -> Any:
    """A copy of a tensor, which a forward may change."""
    return leaf.clone() if isinstance(leaf, torch.Tensor) else leaf
