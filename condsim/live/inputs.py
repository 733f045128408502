"""Batches in the forms that people have them, cut and stretched to other sizes for probing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from condsim.errors import CondsimError


@dataclass(frozen=True)
class Batch:
    """Arguments of one forward call.

    units: images or sequences. seq: positions of a sequence, None for a model without sequences.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    units: int
    seq: int | None

    def call(self, model: torch.nn.Module, **more: Any) -> Any:
        """The model's result. more: arguments beside those of the batch."""
        return model(*self.args, **self.kwargs, **more)

    def resized(self, units: int, seq: int | None = None) -> Batch:
        """The same kind of input at another size: units and positions are repeated or cut.

        seq: None to keep the positions.
        """

        def fit(tensor: torch.Tensor) -> torch.Tensor:
            if not self._has_units(tensor):
                return tensor
            has_positions = tensor.ndim > 1 and tensor.shape[1] == self.seq
            positions = seq if has_positions else None
            return stretched(tensor, units, positions).contiguous()

        keeps_positions = self.seq is None or seq is None
        positions = self.seq if keeps_positions else seq
        resized = replace(self, units=units, seq=positions)
        return resized._with(fit)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return self._with(lambda tensor: tensor.to(device))

    def rows(self, start: int, stop: int) -> Batch:
        """Units start ... stop - 1."""

        def cut(tensor: torch.Tensor) -> torch.Tensor:
            return tensor[start:stop] if self._has_units(tensor) else tensor

        return replace(self, units=stop - start)._with(cut)

    def _has_units(self, tensor: torch.Tensor) -> bool:
        return tensor.ndim > 0 and tensor.shape[0] == self.units

    def _with(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """The same with every tensor changed."""

        def changed(value: Any) -> Any:
            return change(value) if isinstance(value, torch.Tensor) else value

        args = tuple(changed(value) for value in self.args)
        kwargs = {}
        for name, value in self.kwargs.items():
            kwargs[name] = changed(value)
        return replace(self, args=args, kwargs=kwargs)


def stretched(tensor: torch.Tensor, rows: int, positions: int | None = None) -> torch.Tensor:
    """`tensor` [rows, positions, ...] at another size: what there is is repeated or cut.

    positions: None to keep the second dimension.
    """
    row = torch.arange(rows, device=tensor.device) % tensor.shape[0]
    tensor = tensor[row]
    if positions is None:
        return tensor
    position = torch.arange(positions, device=tensor.device) % tensor.shape[1]
    return tensor[:, position]


def as_batches(inputs: Any) -> list[Batch]:
    """A tensor, a tuple, a dict of forward() arguments, or a list of such batches → batches.

    Raises CondsimError for an empty list, a batch of no units, or an input without a tensor.
    """
    if not isinstance(inputs, list):
        return [_as_batch(inputs)]
    if not inputs:
        raise CondsimError("inputs: got an empty list; pass at least one batch")
    batches = []
    for item in inputs:
        batches.extend(as_batches(item))
    return batches


def _as_batch(inputs: Any) -> Batch:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, torch.Tensor):
        args = (inputs,)
    elif isinstance(inputs, Mapping):
        kwargs = dict(inputs)
    elif isinstance(inputs, tuple):
        args = inputs
    else:
        raise CondsimError(
            "inputs: expected a tensor, a tuple, a dict of forward() arguments or a list of such, "
            f"got {type(inputs).__name__}"
        )
    tensors: list[torch.Tensor] = []
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor) and value.ndim:
            tensors.append(value)
    if not tensors:
        raise CondsimError("inputs: no tensor with a batch dimension in it")
    first = tensors[0]
    if first.shape[0] == 0:
        raise CondsimError("inputs: the batch is empty (0 units); pass at least one")
    if first.is_floating_point() and not bool(torch.isfinite(first).all()):
        raise CondsimError("inputs: NaN or infinite values in the batch; clean the data first")
    units = int(first.shape[0])
    return Batch(args, kwargs, units, _positions(tensors))


def _positions(tensors: list[torch.Tensor]) -> int | None:
    """Positions of a sequence, None where the tensors hold no sequences.

    Integers [units, positions] are sequences of tokens, and else the first tensor is one of
    vectors where it has three dimensions.
    """
    for tensor in tensors:
        if tensor.ndim == 2 and not tensor.is_floating_point():
            return int(tensor.shape[1])
    first = tensors[0]
    return int(first.shape[1]) if first.ndim == 3 else None
