"""The operator stream of a run, below autograd: names, shapes, weights, guards, and when storages are born and die.

Under `inference_mode` composites (linear, scaled_dot_product_attention, layer_norm) arrive whole, as eager PyTorch calls them.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from condsim.program.operators import elementwise
from condsim.record.interpreter import Interpreter
from condsim.record.strides import inner_loops

SYNCHRONISING = {
    "item",
    "_local_scalar_dense",
    "is_nonzero",
    "nonzero",
    "equal",
    "unique",
    "_unique2",
    "masked_select",
    "tolist",
}
PIECES = {"unbind", "split", "chunk", "split_with_sizes", "tensor_split"}


@dataclass(eq=False)
class RecordedTensor:
    """Shape and name as seen in the run. storage: number of its storage in this recording."""

    shape: tuple[int, ...]
    dtype: str
    weight: str = ""
    storage: int = 0


@dataclass(eq=False)
class RecordedOp:
    """An operator as it was called once."""

    name: str
    inputs: list[RecordedTensor]
    outputs: list[RecordedTensor]
    params: tuple[int, ...]
    role: str
    site: str
    module: str
    entered: int
    instructions: int
    view: bool
    sync: bool
    allocs: list[tuple[int, str]] = field(default_factory=list)  # elements, dtype


@dataclass(eq=False)
class Enter:
    """A guard's body begins."""

    site: str
    choice: int


@dataclass(eq=False)
class Leave:
    """A guard's body ends; outer and count are its rows, known only now."""

    site: str
    outer: int
    count: int


@dataclass(eq=False)
class Died:
    """A storage that `op` allocated has no owner left."""

    op: RecordedOp
    alloc: int


@dataclass(eq=False)
class SiteCall:
    """A moe site's experts begin (or end) to run."""

    site: str
    begins: bool


@dataclass(frozen=True)
class ExpertsCall:
    """How a moe site's experts were called."""

    tokens_per_expert: list[int]
    outer: int
    capacity: int
    unmarked_loop: bool


Event = RecordedOp | Enter | Leave | Died | SiteCall


class Recorder(TorchDispatchMode):
    """Records what runs inside it. Use as a context manager around a forward pass under `torch.inference_mode()`.

    model: its parameters and buffers get their names. dtype: what counts as "float", the dtype of the model.
    After the run: `events`, and `peak_bytes`, the largest sum of bytes of storages that were born inside and alive at once.
    """

    def __init__(self, model: torch.nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[Event] = []
        self.role = ""
        self.site = ""
        self.calls: dict[str, ExpertsCall] = {}
        self.routes: dict[str, list[int]] = {}  # site → storages of its decision
        self.peak_bytes = 0
        self._live_bytes = 0
        self._paused = False
        self._open: list[str] = []
        self._float = dtype
        self._ids: dict[int, int] = {}
        self._count = 0
        self._modules: list[str] = [""]
        self._entered = 0
        self._python = Interpreter(self._module_begins, self._module_ends)
        self._done = False
        self._names = {id(m): n for n, m in model.named_modules()}
        self._weights: dict[int, str] = {}
        for name, t in [*model.named_parameters(), *model.named_buffers()]:
            self._weights[t.untyped_storage()._cdata] = name

    def name_weights(self, named: dict[str, torch.Tensor]) -> None:
        """Give names to tensors that are not parameters of the model."""
        for name, t in named.items():
            self._weights[t.untyped_storage()._cdata] = name

    def stop(self) -> None:
        """What dies from now on is not recorded: the result belongs to the caller."""
        self._done = True

    def __enter__(self) -> Recorder:
        super().__enter__()  # type: ignore[no-untyped-call]
        with self.paused():
            torch.zeros(
                0
            )  # the first operator of a process under such a mode imports much of PyTorch
        self._python.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._python.__exit__(*exc)
        super().__exit__(*exc)  # type: ignore[no-untyped-call]
        self._done = True

    def _module_begins(self, module: torch.nn.Module) -> None:
        self._modules.append(self._names.get(id(module), self._modules[-1]))
        self._entered += 1

    def _module_ends(self) -> None:
        if len(self._modules) > 1:
            self._modules.pop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing inside is recorded."""
        before, self._paused = self._paused, True
        try:
            with self._python.quiet():
                yield
        finally:
            self._paused = before

    def enter(self, site: str, choice: int) -> None:
        """A guard's body begins (called by `condsim.branch`)."""
        self._open.append(site)
        self.events.append(Enter(site, choice))

    def leave(self, outer: int | None, count: int | None) -> None:
        """The innermost guard's body ends."""
        self.events.append(Leave(self._open.pop(), outer or 0, count or 0))

    @contextlib.contextmanager
    def experts(
        self,
        site: str,
        tokens_per_expert: list[int],
        outer: int,
        capacity: int = 0,
        unmarked_loop: bool = False,
    ) -> Iterator[None]:
        """The experts of a moe site run inside.

        outer: rows that arrive. unmarked_loop: they run in a Python loop over hit experts that carries no marks (`tree` finds it).
        """
        self.calls[site] = ExpertsCall(tokens_per_expert, outer, capacity, unmarked_loop)
        self.events.append(SiteCall(site, True))
        before, self.site = self.site, site
        try:
            yield
        finally:
            self.site = before
            self.events.append(SiteCall(site, False))

    def decided(self, site: str, *tensors: torch.Tensor | None) -> None:
        """These tensors are a site's decision: what leads only to them is its router."""
        with self.paused():
            self.routes[site] = [
                self._ids[k]
                for t in tensors
                if t is not None and (k := t.untyped_storage()._cdata) in self._ids
            ]

    def _storage(self, t: torch.Tensor) -> tuple[int, bool]:
        storage = t.untyped_storage()
        key = storage._cdata
        known = key in self._ids
        if not known:
            self._count += 1
            self._ids[key] = self._count
            weakref.finalize(storage, self._forget, key).atexit = False
        return self._ids[key], not known

    def _forget(self, key: int) -> None:
        self._ids.pop(key, None)

    def _died(self, op: RecordedOp, alloc: int, size: int) -> None:
        self._live_bytes -= size
        if not self._done:
            self.events.append(Died(op, alloc))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        read_ids = [self._storage(t)[0] for t in read]
        result = func(*args, **kwargs)
        written = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
        name = func._schema.name.split("::")[1]
        params = inner_loops([*written, *read]) if elementwise(name) else _params(name, args)
        op = RecordedOp(
            name,
            [self._tensor(t, i) for t, i in zip(read, read_ids, strict=True)],
            [],
            params,
            self.role,
            self.site,
            self._modules[-1],
            self._entered,
            self._python.taken(),
            False,
            name in SYNCHRONISING or (name == "where" and len(read) == 1),
            [],
        )
        self._entered = 0
        for t in written:
            number, fresh = self._storage(t)
            op.outputs.append(self._tensor(t, number))
            if fresh:
                size = t.untyped_storage().nbytes()
                op.allocs.append((size // t.element_size(), self._dtype(t)))
                self._live_bytes += size
                weakref.finalize(
                    t.untyped_storage(), self._died, op, len(op.allocs) - 1, size
                ).atexit = False
        self.peak_bytes = max(self.peak_bytes, self._live_bytes)
        if (
            isinstance(result, (list, tuple))
            and name in PIECES
            and len({t.shape for t in op.outputs}) <= 1
        ):
            first = op.outputs[
                0
            ]  # as many pieces as the data asks for: one output with their number in front
            op.outputs = [
                RecordedTensor(
                    (len(op.outputs), *first.shape), first.dtype, first.weight, first.storage
                )
            ]
        op.view = bool(written) and not op.allocs and not func._schema.is_mutable
        self.events.append(op)
        return result

    def _dtype(self, t: torch.Tensor) -> str:
        return "float" if t.dtype == self._float else str(t.dtype).removeprefix("torch.")

    def _tensor(self, t: torch.Tensor, number: int) -> RecordedTensor:
        return RecordedTensor(
            tuple(t.shape),
            self._dtype(t),
            self._weights.get(t.untyped_storage()._cdata, ""),
            number,
        )


def _params(name: str, args: Any) -> tuple[int, ...]:
    """What shapes do not say of an operator: a convolution's stride and groups."""
    if name in ("conv2d", "conv1d"):
        stride = args[3] if len(args) > 3 else [1]
        groups = args[6] if len(args) > 6 else 1
        return (int(stride[0] if isinstance(stride, (list, tuple)) else stride), int(groups))
    return ()
