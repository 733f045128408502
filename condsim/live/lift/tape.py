"""What a module's own forward does: its calls of torch functions and of whole submodules.

The run that is taped is forced: every comparison and every argmax that could be a decision sends
some rows each way, so that all guarded code is reached.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from condsim.live.lift.forks import (
    CHOICES,
    COMPARISONS,
    LOOK_UPS,
    are_branches,
    chooses_one,
    chooses_several,
    is_hard,
    may_be_ids,
    one_a_row,
)
from condsim.live.lift.nodes import Fork, Node, Ref

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


WRITING = {
    "__setitem__",
    "__iadd__",
    "__isub__",
    "__imul__",
    "__itruediv__",
    "__ifloordiv__",
    "__imod__",
    "__ipow__",
    "__iand__",
    "__ior__",
    "__ixor__",
}
"""Operators that change what stands on their left."""
IN_PYTHON = {"__bool__", "item", "__float__", "__int__", "__index__", "tolist", "numpy"}
"""Functions that give a tensor's values to Python."""


@dataclass(frozen=True)
class Call:
    """What was taped."""

    forward: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def of_others(self, tensors: Sequence[torch.Tensor]) -> Call:
        """The same with other tensors, in the order of its own."""
        others = iter(tensors)

        def other(leaf: Any) -> Any:
            return next(others) if isinstance(leaf, torch.Tensor) else leaf

        args, kwargs = tree_map(other, (self.args, self.kwargs))
        return Call(self.forward, args, kwargs)


class Tape(TorchFunctionMode):
    """The calls of one run of a module's forward.

    host: the module. lone: whether a comparison is forced true for the first row only, or false for
    it only. ways: number of branches that a submodule that gives ids chooses among. opens: whether
    the calls inside a submodule are taped in place of its own. by_ids: whether branches may be
    looked up by the ids of the input.
    After `run`: `call`, `nodes`, in order, `output`, the forward's result with a Ref for every
    tensor, and `asks_in_python`: whether Python asked what a comparison of values gives, as an `if`
    does.
    """

    def __init__(
        self,
        host: nn.Module,
        lone: bool,
        ways: int = 0,
        opens: Callable[[nn.Module], bool] = lambda _: False,
        by_ids: bool = False,
    ) -> None:
        super().__init__()
        self.host = host
        self.by_ids = by_ids
        self.opens = opens
        self.lone = lone
        self.ways = ways
        self.call: Call | None = None
        self.nodes: list[Node] = []
        self.output: Any = None
        self.asks_in_python = False
        self._made_by: dict[torch.Tensor, Ref] = {}  # what made (or last changed) a tensor
        self._in_submodule = False

    def run(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Self:
        """Tape one call of the host's forward."""
        self.call = Call(forward, args, kwargs)
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, torch.Tensor):
                self._add("", None, None, ((), {}), leaf)
        with self._watching_submodules(), self:
            output = forward(*args, **kwargs)
        self.output = self._named(output)
        return self

    @contextlib.contextmanager
    def _watching_submodules(self) -> Iterator[None]:
        """Make a call of a submodule one node, whatever it does inside, as long as it lasts."""
        restored: list[tuple[nn.Module, Any]] = []
        try:
            for module in self.host.modules():
                is_call = module is not self.host and not isinstance(module, CONTAINERS)
                if is_call and not self.opens(module):
                    restored.append((module, module.__dict__.get("forward")))
                    module.forward = partial(self._call_submodule, module, module.forward)
            yield
        finally:
            for module, before in restored:
                if before is None:
                    module.__dict__.pop("forward", None)
                else:
                    module.forward = before

    def _call_submodule(
        self, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        if self._in_submodule:
            return forward(*args, **kwargs)
        arguments = self._named((args, kwargs))
        self._in_submodule = True
        try:
            out, fork = self._forked_by_submodule(forward(*args, **kwargs))
            return self._add("", module, module, arguments, out, fork)
        finally:
            self._in_submodule = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._in_submodule:
            return func(*args, **kwargs)
        arguments = self._named((args, kwargs))
        raw_name = getattr(func, "__name__", "")
        if _writes(raw_name):
            self._keep_value(args[0])
        out = func(*args, **kwargs)
        name = raw_name.strip("_")
        if raw_name in IN_PYTHON:
            self._note_question(raw_name, args[0])
        if raw_name == "__setitem__":
            self._add(name, func, None, arguments, args[0])
            return out
        if not any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(out)):
            return out
        if raw_name in NOTHING and out is args[0]:
            return out
        out, fork = self._forked_by_function(name, args, out)
        return self._add(name, func, None, arguments, out, fork)

    def _keep_value(self, tensor: torch.Tensor) -> None:
        """Keep what a tensor holds that is about to be written into, for the node that made it."""
        made_by = self._made_by.get(tensor)
        if made_by is None:
            return
        node = self.nodes[made_by.node]
        node.out = tree_map(lambda leaf: leaf.clone() if leaf is tensor else leaf, node.out)

    def _note_question(self, name: str, tensor: torch.Tensor) -> None:
        """Note that Python asks for a value: what a comparison gave, or a number that was made."""
        made_by = self._made_by.get(tensor)
        if made_by is None:
            return
        is_number = name in ("item", "__float__") and tensor.is_floating_point()
        if name == "__bool__" or is_number:
            self.asks_in_python = True

    def _forked_by_submodule(self, out: Any) -> tuple[Any, Fork | None]:
        """A submodule's result, forced where it may be a decision, and how rows part by it."""
        if isinstance(out, torch.Tensor) and out.dtype == torch.bool and one_a_row(out):
            return self._forced(out, 2), Fork(2)
        if not isinstance(out, tuple) or self.ways < 2:
            return out, None
        leaves = tree_leaves(out)
        items = [item for item, leaf in enumerate(leaves) if may_be_ids(leaf)]
        if len(items) != 1:
            return out, None
        item = items[0]
        ids = leaves[item]
        forced_ids = self._forced(ids, self.ways)
        forced = tree_map(lambda leaf: forced_ids if leaf is ids else leaf, out)
        return forced, Fork(self.ways, item, slots=int(ids.shape[-1]))

    def _forked_by_function(
        self, name: str, args: tuple[Any, ...], out: Any
    ) -> tuple[Any, Fork | None]:
        """A function's result, forced where it may be a decision, and how rows part by it."""
        if self.by_ids and name in LOOK_UPS and are_branches(out, self.ways):
            return self._forced(out, self.ways), Fork(self.ways)
        scores = next((arg for arg in args if isinstance(arg, torch.Tensor)), None)
        if scores is None or not scores.is_floating_point() or scores not in self._made_by:
            return out, None
        if name in COMPARISONS and one_a_row(out):
            return self._forced(out, 2), Fork(2)
        if name in CHOICES and scores.ndim > 1 and scores.shape[-1] > 1:
            return self._forked_by_choice(name, scores, out)
        return out, None

    def _forked_by_choice(
        self, name: str, scores: torch.Tensor, out: Any
    ) -> tuple[Any, Fork | None]:
        """The same for a choice along the last dimension of scores."""
        ways = int(scores.shape[-1])
        ids = out if isinstance(out, torch.Tensor) else out[-1]
        several = name == "topk" and chooses_several(scores, ids)
        if not several and not chooses_one(scores, ids):
            return out, None
        slots = int(ids.shape[-1]) if several else 0
        forced = self._forced(ids, ways)
        if isinstance(out, torch.Tensor):
            return forced, Fork(ways, None, slots)
        return type(out)((out[0], forced)), Fork(ways, 1, slots)

    def _forced(self, decided: torch.Tensor, branches: int) -> torch.Tensor:
        """A decision that sends rows every way, in place of the forward's own."""
        rows = torch.arange(decided.numel(), device=decided.device)
        if decided.dtype == torch.bool:
            values = (rows == 0) == self.lone
        else:
            values = rows % branches
        return values.view(decided.shape)

    def _add(
        self,
        name: str,
        fn: Callable[..., Any] | None,
        module: nn.Module | None,
        arguments: tuple[Any, Any],
        out: Any,
        fork: Fork | None = None,
    ) -> Any:
        """Add a node; return its result. arguments: positional ones and those by keyword."""
        args, kwargs = arguments
        node = Node(len(self.nodes), name, fn, module, args, kwargs, out, fork)
        self.nodes.append(node)
        if isinstance(out, torch.Tensor):
            self._made_by[out] = Ref(node.number)
            return out
        for item, leaf in enumerate(tree_leaves(out)):
            if isinstance(leaf, torch.Tensor):
                self._made_by[leaf] = Ref(node.number, item)
        return out

    def _named(self, tree: Any) -> Any:
        """A tree of arguments with a Ref in place of every tensor that a node made."""

        def name(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor):
                return self._made_by.get(leaf, leaf)
            return tuple(leaf) if isinstance(leaf, torch.Size) else leaf

        return tree_map(name, tree)


class Unforced(Tape):
    """The calls of one run in which nothing is forced."""

    def _forked_by_submodule(self, out: Any) -> tuple[Any, None]:
        return out, None

    def _forked_by_function(self, name: str, args: tuple[Any, ...], out: Any) -> tuple[Any, None]:
        return out, None


def _writes(name: str) -> bool:
    """Whether a function changes its first argument."""
    if name.startswith("__"):
        return name in WRITING
    return name.endswith("_")


def hard_gates(tape: Tape) -> set[nn.Module]:
    """Submodules that give 0 or 1 for each row, alone or beside other tensors.

    What they decide is decided inside.
    """
    gates = set()
    for node in tape.nodes:
        if node.module is None or node.fork is not None:
            continue
        if any(_is_hard_gate(leaf) for leaf in tree_leaves(node.out)):
            gates.add(node.module)
    return gates


def _is_hard_gate(leaf: Any) -> bool:
    """Whether part of a result is 0 or 1 for each row."""
    if not isinstance(leaf, torch.Tensor) or not leaf.is_floating_point():
        return False
    return one_a_row(leaf) and is_hard(leaf)


def outputs_of(tape: Tape) -> list[torch.Tensor]:
    """The tensors that a forward gave."""
    leaves = tree_leaves(tape.output)
    return [tensor_of(tape, leaf) for leaf in leaves if isinstance(leaf, Ref)]


def tensor_of(tape: Tape, ref: Ref) -> torch.Tensor:
    """The tensor that a Ref names."""
    out = tape.nodes[ref.node].out
    tensor = out if ref.item is None else tree_leaves(out)[ref.item]
    assert isinstance(tensor, torch.Tensor)
    return tensor
