"""Models on PyTorch's meta device, which have shapes and no numbers.

What touches no weight is computed as it would be with weights: tokens, positions, masks, and the
decisions that are forced on the sites. So loops over experts run, and questions that Python asks
about a mask are answered. All that touches a weight has a shape only, and says that it is on the
CPU, so that Python takes the way that it takes with weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from condsim.record.operator_mode import OperatorMode

META = torch.device("meta")
CPU = torch.device("cpu")
DEVICE_OF = torch.Tensor.device.__get__
"""What `tensor.device` calls."""


def is_on_meta(model: torch.nn.Module) -> bool:
    """Whether a model's parameters are on the meta device."""
    return any(parameter.is_meta for parameter in model.parameters())


class OnMeta:
    """While it lasts, operators that read a tensor on the meta device run there, others on the CPU.

    A recorder is entered after it, so that what is recorded is what a model with weights runs.
    """

    def __init__(self) -> None:
        self._operators = _Operators()  # type: ignore[no-untyped-call]
        self._devices = _Devices()

    def __enter__(self) -> OnMeta:
        self._operators.__enter__()  # type: ignore[no-untyped-call]
        self._devices.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exc: Any) -> None:
        self._devices.__exit__(*exc)  # type: ignore[no-untyped-call]
        self._operators.__exit__(*exc)  # type: ignore[no-untyped-call]


class _Operators(OperatorMode):
    """Brings what an operator reads to one device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(_is_on_meta(value) for value in (*args, *kwargs.values())):
            args = tuple([_on_meta(value) for value in args])
            kwargs = {name: _on_meta(value) for name, value in kwargs.items()}
            if func in RESULTS:
                result = RESULTS[func](*args)
                if result is not None:
                    return result
        return func(*args, **kwargs)


def _is_on_meta(value: Any) -> bool:
    """Whether an argument is a tensor on the meta device, or a list with one."""
    if isinstance(value, (list, tuple)):
        return any(_is_on_meta(one) for one in value)
    return isinstance(value, torch.Tensor) and value.is_meta


def _on_meta(value: Any) -> Any:
    """A tensor, a device, or a list of tensors, on the meta device; anything else as it is."""
    if isinstance(value, torch.Tensor):
        if value.is_meta:
            return value
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
    if isinstance(value, (list, tuple)):
        return type(value)(_on_meta(one) for one in value)
    return META if isinstance(value, torch.device) else value


class _Devices(TorchFunctionMode):
    """Says of every tensor that it is on the CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is DEVICE_OF or getattr(func, "__self__", None) is torch.Tensor.device:
            return CPU
        return func(*args, **(kwargs or {}))


# Operators whose meta kernels are unlike those of a CPU


def _grouped_mm(rows: torch.Tensor, matrices: torch.Tensor, *_: Any) -> torch.Tensor:
    """Any dtype; the meta kernel takes bf16 only."""
    return rows.new_empty((rows.shape[0], matrices.shape[-1]))


def _attention(
    query: torch.Tensor, _key: torch.Tensor, value: torch.Tensor, *_: Any
) -> torch.Tensor | None:
    """Heads beside each other in memory, as the flash kernel writes them; None where it does not
    run."""
    if query.ndim != 4 or query.shape[-1] != value.shape[-1]:
        return None
    units, heads, positions, width = query.shape
    return query.new_empty((units, positions, heads, width)).transpose(1, 2)


RESULTS: dict[Any, Callable[..., torch.Tensor | None]] = {
    torch.ops.aten._grouped_mm.default: _grouped_mm,
    torch.ops.aten.scaled_dot_product_attention.default: _attention,
}
"""Operator → what it gives for its arguments, on the meta device."""
