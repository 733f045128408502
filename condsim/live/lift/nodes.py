"""One call on a tape of a forward, what it reads of other calls, and how rows may part by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Ref:
    """The result of a node, or one item of it."""

    node: int
    item: int | None = None


@dataclass(frozen=True)
class Fork:
    """How rows may part by the result of a node.

    branches: ways that they can go. item: which item of the result decides, where it has several.
    slots: branches that each row takes, where that may be several; else 0.
    """

    branches: int
    item: int | None = None
    slots: int = 0


@dataclass(eq=False)
class Node:
    """One call, or one input of the forward.

    name: of the torch function without underscores; "" for a module or an input. fn: what is
    called, None for an input. module: the submodule that is called. args, kwargs: of the call, with
    a Ref for every tensor that a node made. out: its result. fork: where it may be a decision.
    """

    number: int
    name: str
    fn: Callable[..., Any] | None
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    fork: Fork | None = None

    @property
    def is_input(self) -> bool:
        """Whether it is an input of the forward."""
        return self.fn is None

    @property
    def single(self) -> bool:
        """Whether its result is one tensor."""
        return isinstance(self.out, torch.Tensor)

    @property
    def is_of_numbers(self) -> bool:
        """Whether its result is one floating-point tensor, or several and nothing else."""
        leaves = tree_leaves(self.out)
        return all(isinstance(leaf, torch.Tensor) and leaf.is_floating_point() for leaf in leaves)

    @property
    def results(self) -> list[Ref]:
        """Its result, or every item of it."""
        if self.single:
            return [Ref(self.number)]
        return [Ref(self.number, item) for item in range(len(tree_leaves(self.out)))]

    @property
    def branches(self) -> int:
        """Ways that rows can go by its result; 0 where it is no decision."""
        return 0 if self.fork is None else self.fork.branches

    @property
    def read(self) -> list[Ref]:
        """What it reads of other nodes."""
        leaves = tree_leaves((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, Ref)]

    def decided(self) -> torch.Tensor:
        """The tensor that says which way each row goes."""
        assert self.fork is not None
        decided = self.out if self.single else tree_leaves(self.out)[self.fork.item or 0]
        assert isinstance(decided, torch.Tensor)
        return decided
