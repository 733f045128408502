"""What a module's own forward does: the calls that it makes of torch functions and of whole submodules, and what flows between them.

The run that is taped is forced: every comparison and every argmax that could be a decision sends some rows each way, so that all guarded code is reached.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

COMPARISONS = {"gt", "ge", "lt", "le"}
CHOICES = {"argmax", "argmin", "max", "min", "topk"}
CONTAINERS = (nn.ModuleList, nn.ModuleDict)
NOTHING = {
    "to",
    "contiguous",
    "float",
    "double",
    "half",
    "bfloat16",
    "type",
    "type_as",
    "cpu",
    "expand",
    "long",
    "int",
    "bool",
}
"""Calls that give the tensor itself where there is nothing to do."""
INPLACE_OPERATORS = {
    "iadd": "add",
    "isub": "sub",
    "imul": "mul",
    "itruediv": "div",
    "iand": "logical_and",
    "ior": "logical_or",
}


@dataclass(frozen=True)
class Ref:
    """The result of a node, or one item of it."""

    node: int
    item: int | None = None


@dataclass(eq=False)
class Node:
    """One call. name: of the torch function without underscores, "" for a module or an input. args, kwargs: with a Ref for every tensor that a node made."""

    number: int
    name: str
    fn: Any
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    branches: int = 0  # how many ways rows can go, where this may be a decision
    decides: int | None = None  # which item of the result is the decision, where it has several
    slots: int = 0  # how many branches each row takes, where that may be several


class Tape(TorchFunctionMode):
    """lone: whether a comparison is forced true for the first row only, or false for it only. ways: what a submodule that gives ids chooses among."""

    def __init__(self, host: nn.Module, lone: bool, ways: int = 0) -> None:
        super().__init__()
        self.host, self.lone, self.ways = host, lone, ways
        self.nodes: list[Node] = []
        self.refs: dict[int, Ref] = {}  # tensor, by identity → what made (or last changed) it
        self.depth = 0
        self.output: Any = None

    def run(self, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tape:
        """Tape one call of the host's forward. self.output: its result with Refs."""
        for t in tree_leaves((args, kwargs)):
            if isinstance(t, torch.Tensor):
                self._add("", None, None, ((), {}), t)
        with self._submodules(), self:
            out = forward(*args, **kwargs)
        self.output = self._named(out)
        return self

    @contextlib.contextmanager
    def _submodules(self) -> Iterator[None]:
        """While it lasts, a call of a submodule is one node, whatever it does inside."""
        restored = []
        try:
            for m in self.host.modules():
                if m is not self.host and not isinstance(m, CONTAINERS):
                    restored.append((m, m.__dict__.get("forward")))
                    m.forward = partial(self._module, m, m.forward)
            yield
        finally:
            for m, before in restored:
                if before is None:
                    m.__dict__.pop("forward", None)
                else:
                    m.forward = before

    def _module(self, module: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
        if self.depth:
            return forward(*args, **kwargs)
        named = self._named((args, kwargs))
        self.depth += 1
        try:
            out = forward(*args, **kwargs)
            if (
                isinstance(out, torch.Tensor)
                and out.dtype == torch.bool
                and out.ndim > 0
                and out.numel() == out.shape[0] > 1
            ):
                return self._add("", module, module, named, self._forced(out, 2), 2)
            chosen = [
                i
                for i, t in enumerate(tree_leaves(out))
                if isinstance(t, torch.Tensor) and t.dtype == torch.int64 and t.ndim > 1
            ]
            if isinstance(out, tuple) and len(chosen) == 1 and self.ways > 1:
                ids = tree_leaves(out)[chosen[0]]
                out = tree_map(lambda t: self._forced(ids, self.ways) if t is ids else t, out)
                return self._add(
                    "", module, module, named, out, self.ways, chosen[0], int(ids.shape[-1])
                )
            return self._add("", module, module, named, out)
        finally:
            self.depth -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.depth:
            return func(*args, **kwargs)
        named = self._named((args, kwargs))
        out = func(*args, **kwargs)
        raw = getattr(func, "__name__", "")
        name = raw.strip("_")
        if raw == "__setitem__":
            self._add(name, func, None, named, args[0])
            return out
        if not any(isinstance(t, torch.Tensor) for t in tree_leaves(out)):
            return out
        if out is args[0] and raw in NOTHING:
            return out
        return self._add(name, func, None, named, *self._decision(name, args, out))

    def _decision(self, name: str, args: Any, out: Any) -> tuple[Any, int, int | None, int]:
        """The result as it is forced, how many ways there are (0: it is no decision), which item it is, and how many ways a row takes."""
        scores = next((t for t in args if isinstance(t, torch.Tensor)), None)
        if scores is None or not scores.is_floating_point() or id(scores) not in self.refs:
            return out, 0, None, 0
        if name in COMPARISONS and out.ndim and out.numel() == out.shape[0] > 1:
            return self._forced(out, 2), 2, None, 0
        if name in CHOICES and scores.ndim > 1 and scores.shape[-1] > 1:
            ids = out if isinstance(out, torch.Tensor) else out[-1]
            ways = int(scores.shape[-1])
            several = (
                name == "topk" and ids.shape[:-1] == scores.shape[:-1] and ids.shape[-1] < ways
            )
            one = (
                ids.dtype == torch.int64
                and ids.ndim > 0
                and ids.numel() == scores.numel() // ways
                and ids.shape[0] == scores.shape[0]
            )
            if several or one:
                ids = self._forced(ids, ways)
                slots = int(ids.shape[-1]) if several else 0
                return (
                    (ids, ways, None, slots)
                    if isinstance(out, torch.Tensor)
                    else (type(out)((out[0], ids)), ways, 1, slots)
                )
        return out, 0, None, 0

    def _forced(self, out: torch.Tensor, branches: int) -> torch.Tensor:
        rows = torch.arange(out.numel(), device=out.device)
        values = (rows == 0) == self.lone if out.dtype == torch.bool else rows % branches
        return values.view(out.shape)

    def _add(
        self, name: str, fn: Any, module: nn.Module | None, arguments: Any, out: Any, *decision: Any
    ) -> Any:
        node = Node(len(self.nodes), name, fn, module, arguments[0], arguments[1], out, *decision)
        self.nodes.append(node)
        if isinstance(out, torch.Tensor):
            self.refs[id(out)] = Ref(node.number)
        else:
            for i, t in enumerate(tree_leaves(out)):
                if isinstance(t, torch.Tensor):
                    self.refs[id(t)] = Ref(node.number, i)
        return out

    def _named(self, tree: Any) -> Any:
        def name(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor):
                return self.refs.get(id(leaf), leaf)
            return tuple(leaf) if isinstance(leaf, torch.Size) else leaf

        return tree_map(name, tree)
