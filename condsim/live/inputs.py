"""Batches in the forms that people have them, cut and stretched to other sizes for probing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from condsim.errors import CondsimError


@dataclass(frozen=True)
class Batch:
    """Arguments of one forward call. units: images or sequences. seq: tokens a sequence, None for a model without."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    units: int
    seq: int | None

    def call(self, model: torch.nn.Module, **more: Any) -> Any:
        return model(*self.args, **self.kwargs, **more)

    def resized(self, units: int, seq: int | None = None) -> Batch:
        """The same kind of input at another size: units and positions are repeated or cut."""

        def fit(t: Any) -> Any:
            if not isinstance(t, torch.Tensor) or t.ndim == 0 or t.shape[0] != self.units:
                return t
            t = t[torch.arange(units, device=t.device) % self.units]
            if seq is not None and self.seq is not None and t.ndim > 1 and t.shape[1] == self.seq:
                t = t[:, torch.arange(seq, device=t.device) % self.seq]
            return t.contiguous()

        new_seq = seq if self.seq is not None and seq is not None else self.seq
        return Batch(
            tuple(map(fit, self.args)), {k: fit(v) for k, v in self.kwargs.items()}, units, new_seq
        )

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""

        def moved(t: Any) -> Any:
            return t.to(device) if isinstance(t, torch.Tensor) else t

        return Batch(
            tuple(map(moved, self.args)),
            {k: moved(v) for k, v in self.kwargs.items()},
            self.units,
            self.seq,
        )

    def rows(self, start: int, stop: int) -> Batch:
        """Units start ... stop - 1."""

        def cut(t: Any) -> Any:
            return (
                t[start:stop]
                if isinstance(t, torch.Tensor) and t.ndim and t.shape[0] == self.units
                else t
            )

        return Batch(
            tuple(map(cut, self.args)),
            {k: cut(v) for k, v in self.kwargs.items()},
            stop - start,
            self.seq,
        )


def as_batches(inputs: Any) -> list[Batch]:
    """A tensor, a tuple, a dict of forward() arguments, or a list of such batches → batches.

    Raises CondsimError for an empty list, a batch of no units, or an input without a tensor.
    """
    if isinstance(inputs, list):
        if not inputs:
            raise CondsimError("inputs: got an empty list; pass at least one batch")
        return [b for i in inputs for b in as_batches(i)]
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
            f"inputs: expected a tensor, a tuple, a dict of forward() arguments or a list of such, got {type(inputs).__name__}"
        )
    tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, torch.Tensor) and t.ndim]
    if not tensors:
        raise CondsimError("inputs: no tensor with a batch dimension in it")
    first = tensors[0]
    if first.shape[0] == 0:
        raise CondsimError("inputs: the batch is empty (0 units); pass at least one")
    if first.is_floating_point() and not bool(torch.isfinite(first).all()):
        raise CondsimError("inputs: NaN or infinite values in the batch; clean the data first")
    integer = next((t for t in tensors if not t.is_floating_point() and t.ndim == 2), None)
    seq = (
        int(integer.shape[1])
        if integer is not None
        else int(first.shape[1])
        if first.ndim == 3
        else None
    )
    return [Batch(args, kwargs, int(first.shape[0]), seq)]
