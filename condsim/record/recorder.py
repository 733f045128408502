"""The recorder: names, shapes, weights and guards of what runs, and when storages live and die.

Under `inference_mode` composites (linear, scaled_dot_product_attention, layer_norm) arrive whole,
as eager PyTorch calls them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from condsim.program.operators import strides_recorded
from condsim.program.stages import BACKWARD as BACKWARD
from condsim.program.stages import FORWARD as FORWARD
from condsim.program.stages import OPTIMIZER as OPTIMIZER
from condsim.record.events import (
    Died,
    Enter,
    Event,
    ExpertsCall,
    Leave,
    RecordedTensor,
    SiteCall,
    Stage,
)
from condsim.record.events import RecordedOp as RecordedOp
from condsim.record.interpreter import Interpreter
from condsim.record.layouts import SPARSE_PRODUCTS, lying, of_layout
from condsim.record.operands import PIECES, params_of, stack_pieces, tensors_in
from condsim.record.operator_mode import OperatorMode
from condsim.record.storages import Storages, is_dense
from condsim.record.storages import storage_key as storage_key
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
"""Operators whose result the host waits for."""

OF_PYTORCH = {"aten", "prim", "prims"}
"""Namespaces of operators."""

NO_OPERATORS = {"profiler"}
"""Namespaces of what PyTorch calls to name what runs: optimizers do so."""

NUMBER_BYTES = 8
"""Of a number that stands for a tensor."""

OWNED_BY_ONE = 2
"""Owners of a storage that one tensor has, and the Python object that asks."""

WRITES_ON_VIEW = "CopySlices"
"""The node of an operator that writes on a view, which is made when the operator is done."""


class Recorder(OperatorMode):
    """Records what runs inside it, as a context manager under `torch.inference_mode()`.

    model: its parameters and buffers get their names. dtype: what counts as "float", the dtype of
    the model. follows_autograd: it records a training step, and notes which nodes of autograd
    operators make and run in.

    While it runs, marks and adapters set `role` ("router:SITE") and `site` of what follows.
    `updated` says the weights of an optimizer, in its order.
    After the run: `events`; `calls`, moe site → how its experts were called; `routes`, site →
    numbers of the storages of its decision; `peak_bytes`, the largest sum of bytes of storages that
    were born inside and alive at once; `foreign`, names of operators that are not PyTorch's;
    `recomputed`, the module (or operator) whose forward ran again in the backward, "" for none.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        dtype: torch.dtype = torch.float32,
        follows_autograd: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[Event] = []
        self.role = ""
        self.site = ""
        self.calls: dict[str, ExpertsCall] = {}
        self.updated: tuple[str, ...] = ()
        self.routes: dict[str, list[int]] = {}
        self.foreign: set[str] = set()
        self.recomputed = ""
        self._storages = Storages()
        self._stage = ""
        self._follows_autograd = follows_autograd
        self._paused = False
        self._stopped = False
        self._open_guards: list[str] = []
        self._float = dtype
        self._module_names = {module: name for name, module in model.named_modules()}
        self._modules: list[str] = [""]
        self._modules_entered = 0
        self._python = Interpreter(self._module_begins, self._module_ends)
        self._weights: dict[int, str] = {}
        self.name_weights(dict(model.named_parameters()))
        self.name_weights(dict(model.named_buffers()))

    @property
    def peak_bytes(self) -> int:
        """The largest sum of bytes of storages that were born inside and alive at once."""
        return self._storages.peak_bytes

    def name_weights(self, named: dict[str, torch.Tensor]) -> None:
        """Give names to tensors, also to such as are not parameters of the model."""
        for name, tensor in named.items():
            self._weights[storage_key(tensor)] = name

    def stop(self) -> None:
        """Record no death from now on: the result belongs to the caller."""
        self._stopped = True

    def __enter__(self) -> Recorder:
        super().__enter__()  # type: ignore[no-untyped-call]
        self._python.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._python.__exit__(*exc)
        super().__exit__(*exc)  # type: ignore[no-untyped-call]
        self._stopped = True

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing inside."""
        before, self._paused = self._paused, True
        try:
            with self._python.quiet():
                yield
        finally:
            self._paused = before

    # What marks and adapters say

    def enter(self, site: str, choice: int, of_tokens: bool = False) -> None:
        """A guard's body begins (called by `condsim.branch` and `condsim.tokens`)."""
        self._open_guards.append(site)
        self.events.append(Enter(site, choice, of_tokens=of_tokens))

    def leave(
        self,
        outer: int | None,
        count: int | None,
        units: int | None = None,
        tokens: int | None = None,
    ) -> None:
        """The innermost guard's body ends.

        outer, count, units, tokens: see `Leave`; None where nothing ran, or all units did.
        """
        site = self._open_guards.pop()
        self.events.append(Leave(site, outer or 0, count or 0, units, tokens))

    def begins(self, stage: str) -> None:
        """A stage of a training step begins: BACKWARD, then OPTIMIZER; between them FORWARD and
        BACKWARD of each later micro-batch."""
        self._stage = stage
        self.events.append(Stage(stage))

    @contextlib.contextmanager
    def experts(self, site: str, call: ExpertsCall) -> Iterator[None]:
        """The experts of a moe site run inside, in this way."""
        self.calls[site] = call
        self.events.append(SiteCall(site, begins=True))
        before, self.site = self.site, site
        try:
            yield
        finally:
            self.site = before
            self.events.append(SiteCall(site, begins=False))

    def decided(self, site: str, *tensors: torch.Tensor | None) -> None:
        """These tensors are a site's decision: what leads only to them is its router."""
        with self.paused():
            numbers = [self._storages.known(tensor) for tensor in tensors if tensor is not None]
            before = self.routes.get(site, []) if self._stage == FORWARD else []
            known = [number for number in numbers if number is not None]
            self.routes[site] = [*before, *known]

    # What the interpreter says

    def _module_begins(self, module: torch.nn.Module) -> None:
        name = self._module_names.get(module, self._modules[-1])
        self._modules.append(name)
        self._modules_entered += 1

    def _module_ends(self) -> None:
        if len(self._modules) > 1:
            self._modules.pop()

    # What PyTorch says

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        namespace, name = func._schema.name.split("::")
        if self._paused or namespace in NO_OPERATORS:
            return func(*args, **kwargs)
        if self._adds_in_place(name, args):
            func, name = torch.ops.aten.add_.Tensor, "add_"
        read = tensors_in((args, kwargs))
        name = of_layout(name, (args, kwargs))
        # Storages are numbered in the order in which they are first seen: those read come first.
        read_numbers = [self._storages.number(tensor) for tensor in read]
        result = func(*args, **kwargs)
        inputs = []
        for tensor, number in zip(read, read_numbers, strict=True):
            inputs.append(self._recorded(tensor, number))
        written = tensors_in(result)
        if namespace not in OF_PYTORCH:
            self.foreign.add(name)
        if strides_recorded(name):
            params = inner_loops([*written, *read])
        else:
            params = params_of(name, args)
        if name in SPARSE_PRODUCTS:
            params = lying(read)
        op = self._operator(name, inputs, params)
        self._record_outputs(op, written)
        numbers: list[int] = []
        if self._follows_autograd:
            numbers = self._count_numbers(op, func, args)
        if isinstance(result, (list, tuple)) and name in PIECES:
            stack_pieces(op)
        creates_nothing = bool(written) and not op.allocs
        op.view = creates_nothing and not func._schema.is_mutable
        self.events.append(op)
        self.events += [Died(op, alloc) for alloc in numbers]
        return result

    def _adds_in_place(self, name: str, args: Any) -> bool:
        """Whether autograd adds this gradient to the sum so far in the memory of that.

        It does so where nobody else has that memory, but not while somebody watches as this
        recorder does. So the recorder does it instead.
        Source: PyTorch, torch/csrc/autograd/input_buffer.cpp, accumulate and
        can_accumulate_inplace.
        """
        if self._stage != BACKWARD or name != "add" or len(args) != 2:
            return False
        total, gradient = args
        if not isinstance(gradient, torch.Tensor) or torch._C._current_autograd_node() is None:
            return False
        alike = total.shape == gradient.shape and total.dtype == gradient.dtype
        owners = torch._C._storage_Use_Count(storage_key(total))
        return alike and owners == OWNED_BY_ONE and is_dense(total)

    def _operator(
        self, name: str, inputs: list[RecordedTensor], params: tuple[int, ...]
    ) -> RecordedOp:
        """An operator that runs now, as yet without outputs."""
        numbers_rows = name == "where" and len(inputs) == 1
        op = RecordedOp(
            name=name,
            inputs=inputs,
            outputs=[],
            params=params,
            role=self.role,
            site=self.site,
            module=self._modules[-1],
            entered=self._modules_entered,
            instructions=self._python.taken(),
            view=False,
            sync=name in SYNCHRONISING or numbers_rows,
        )
        self._modules_entered = 0
        if self._follows_autograd:
            self._note_node(op)
        return op

    def _note_node(self, op: RecordedOp) -> None:
        """Note which node of autograd an operator makes, or runs in."""
        if self._stage != BACKWARD:
            op.node = torch._C._autograd._get_sequence_nr()
            return
        node = torch._C._current_autograd_node()
        if node is None:
            return
        if torch.is_grad_enabled():  # a backward that is not itself differentiated has it off
            self.recomputed = self.recomputed or self._modules[-1] or op.name
        variable = getattr(node, "variable", None)
        if variable is None:
            made_after = node.name() == WRITES_ON_VIEW
            op.node = node._sequence_nr() - made_after
        else:
            op.accumulates = self._weights.get(storage_key(variable), "")

    def _record_outputs(self, op: RecordedOp, written: list[torch.Tensor]) -> None:
        """Add an operator's results, and watch over the storages that it created."""
        for tensor in written:
            is_new = self._storages.known(tensor) is None
            number = self._storages.number(tensor)
            op.outputs.append(self._recorded(tensor, number))
            if is_new:
                elements = tensor.untyped_storage().nbytes() // tensor.element_size()
                op.allocs.append((elements, self._dtype(tensor)))
                alloc = len(op.allocs) - 1
                self._storages.born(tensor, partial(self._died, op, alloc))
        self._storages.note_peak()

    def _count_numbers(self, op: RecordedOp, func: Any, args: Any) -> list[int]:
        """Add the storages of numbers that stand for tensors; they die with the operator.

        `x / 2.0` divides by a tensor of one element, which PyTorch makes of the number. Returns
        which of the operator's storages they are.
        """
        numbers = []
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if str(argument.type) == "Tensor" and isinstance(value, (int, float)):
                numbers.append(len(op.allocs))
                op.allocs.append((1, "float64"))
        self._storages.note_peak(more_bytes=len(numbers) * NUMBER_BYTES)
        return numbers

    def _recorded(self, tensor: torch.Tensor, storage: int) -> RecordedTensor:
        """A tensor of an operator. storage: its number."""
        weight = self._weights.get(storage_key(tensor), "")
        return RecordedTensor(tuple(tensor.shape), self._dtype(tensor), weight, storage)

    def _died(self, op: RecordedOp, alloc: int) -> None:
        if not self._stopped:
            self.events.append(Died(op, alloc))

    def _dtype(self, tensor: torch.Tensor) -> str:
        if tensor.dtype == self._float:
            return "float"
        return str(tensor.dtype).removeprefix("torch.")
