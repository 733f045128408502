"""Batches in the forms that people have them, cut and stretched to other sizes for probing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from condsim.errors import CondsimError
from condsim.live.wrappers import with_signature

SEQUENCE_AXIS = 1
"""The axis along which the positions of a sequence lie, where nothing else is said."""

SequenceAxis = int | Literal["auto"] | None
"""The axis of positions; "auto": to be found out; None: units have no positions."""


@dataclass(frozen=True)
class Batch:
    """Arguments of one forward call.

    units: images or sequences. seq: positions of a sequence, None for a model without sequences.
    axis: the one along which positions lie. targets: what a loss compares the result with.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    units: int
    seq: int | None
    axis: int = SEQUENCE_AXIS
    targets: torch.Tensor | None = None

    def call(self, model: torch.nn.Module, **more: Any) -> Any:
        """The model's result. more: arguments beside those of the batch."""
        return model(*self.args, **self.kwargs, **more)

    def resized(self, units: int, seq: int | None = None) -> Batch:
        """The same kind of input at another size: units and positions are repeated or left out.

        seq: None to keep the positions. A batch with padding stays one with padding.
        """
        padding = self._padding()
        unit = torch.arange(units) % self.units
        keeps_positions = self.seq is None or seq is None
        positions = self.seq if keeps_positions else seq
        position = torch.arange(positions or 1) % (self.seq or 1)
        if padding is not None:
            unit = _both_kinds_first(padding)[unit]
            position = torch.linspace(0, (self.seq or 1) - 1, positions or 1).round().long()

        def fit(tensor: torch.Tensor) -> torch.Tensor:
            chosen = {} if keeps_positions else dict.fromkeys(self._position_axes(tensor), position)
            if self._has_units(tensor):
                chosen[0] = unit
            for axis, places in chosen.items():
                tensor = tensor.index_select(axis, places.to(tensor.device))
            return tensor

        return replace(self, units=units, seq=positions)._with(fit)

    def without_positions(self) -> Batch:
        """The same as units of one fixed size."""
        return replace(self, seq=None)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return self._with(lambda tensor: tensor.to(device))

    def rows(self, start: int, stop: int) -> Batch:
        """Units start ... stop - 1."""

        def cut(tensor: torch.Tensor) -> torch.Tensor:
            return tensor[start:stop] if self._has_units(tensor) else tensor

        return replace(self, units=stop - start)._with(cut)

    @property
    def has_padding(self) -> bool:
        """Whether some positions are masked and others are not."""
        return self._padding() is not None

    def fixed_sizes(self) -> list[dict[int, int]]:
        """Axis → size of every tensor, without the axes of units and of positions."""
        fixed = []
        for tensor in self.tensors():
            sizes = dict(enumerate(tensor.shape))
            vary = [0] if self._has_units(tensor) else []
            for axis in (*vary, *self._position_axes(tensor)):
                sizes.pop(axis, None)
            fixed.append(sizes)
        return fixed

    def tensors(self) -> list[torch.Tensor]:
        """Its tensors that have a dimension."""
        values = (*self.args, *self.kwargs.values())
        return [value for value in values if isinstance(value, torch.Tensor) and value.ndim]

    def _has_units(self, tensor: torch.Tensor) -> bool:
        return tensor.ndim > 0 and tensor.shape[0] == self.units

    def _position_axes(self, tensor: torch.Tensor) -> list[int]:
        """The axes of a tensor along which positions lie.

        What has no units (a mask of all pairs, one row of positions) has them in every axis of
        that size, and a mask of pairs [units, ..., positions, positions] in the last two.
        """
        if self.seq is None:
            return []
        alike = [axis for axis, size in enumerate(tensor.shape) if size == self.seq]
        if not self._has_units(tensor):
            return alike
        last_two = [tensor.ndim - 2, tensor.ndim - 1]
        may_be_mask = tensor.ndim > 3 or (tensor.ndim == 3 and not tensor.is_floating_point())
        if may_be_mask and last_two == alike[-2:]:
            return last_two
        axes = (self.axis, SEQUENCE_AXIS) if tensor.ndim > self.axis else (SEQUENCE_AXIS,)
        return [axis for axis in axes if axis in alike][:1]

    def _padding(self) -> torch.Tensor | None:
        """The mask [units, positions] of zeros and ones; None where there is none."""
        for tensor in self.tensors():
            may_be_mask = tensor.ndim == 2 and not tensor.is_floating_point()
            if may_be_mask and self._has_units(tensor) and _is_mixed(tensor):
                return tensor
        return None

    def _with(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """The same with every tensor changed."""

        def changed(value: Any) -> Any:
            return change(value) if isinstance(value, torch.Tensor) else value

        args = tuple(changed(value) for value in self.args)
        kwargs = {}
        for name, value in self.kwargs.items():
            kwargs[name] = changed(value)
        return replace(self, args=args, kwargs=kwargs, targets=changed(self.targets))


def _is_mixed(mask: torch.Tensor) -> bool:
    """Whether a tensor holds zeros and ones, and nothing else."""
    ones = (mask == 1).sum()
    return bool(ones > 0) and bool(ones < mask.numel()) and bool(((mask == 0) | (mask == 1)).all())


def _both_kinds_first(mask: torch.Tensor) -> torch.Tensor:
    """The numbers of a mask's rows, those with zeros and ones first, int64 [units]."""
    is_plain = (mask == mask[:, :1]).all(1)
    return torch.argsort(is_plain.int(), stable=True).cpu()


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


def as_batches(inputs: Any, sequence_axis: SequenceAxis = "auto") -> list[Batch]:
    """A tensor, a tuple, a dict of forward() arguments, or a list of such batches → batches.

    sequence_axis: the axis of positions; None for units without; "auto" for 1 where the tensors
        look like sequences.
    Raises CondsimError for an empty list, a batch of no units, or an input without a tensor.
    """
    if not isinstance(inputs, list):
        return [_as_batch(inputs, sequence_axis)]
    if not inputs:
        raise CondsimError("inputs: got an empty list; pass at least one batch")
    batches = []
    for item in inputs:
        if isinstance(item, list):
            _refuse_labels(item)
        batches.extend(as_batches(item, sequence_axis))
    return batches


def _refuse_labels(batch: list[Any]) -> None:
    """Raises CondsimError for a list that a DataLoader would give: (inputs, labels)."""
    tensors = [value for value in batch if isinstance(value, torch.Tensor) and value.ndim]
    units = {len(tensor) for tensor in tensors}
    dimensions = [tensor.ndim for tensor in tensors]
    if len(units) == 1 and len(set(dimensions)) > 1 and dimensions[-1] == 1:
        raise CondsimError(
            "inputs: a list in the list holds tensors of the same units, the last of one dimension:"
            " that looks like the (inputs, labels) of a DataLoader, but stands for several batches;"
            " pass the inputs alone, or a tuple for the arguments of one call"
        )


def _as_batch(inputs: Any, sequence_axis: SequenceAxis) -> Batch:
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
    if sequence_axis is None:
        return Batch(args, kwargs, units, seq=None)
    if sequence_axis == "auto":
        return Batch(args, kwargs, units, _positions(tensors))
    if not 1 <= sequence_axis < first.ndim:
        raise CondsimError(
            f"sequence_axis must be an axis of the inputs after the first, got {sequence_axis} "
            f"for a tensor of shape {tuple(first.shape)}"
        )
    return Batch(args, kwargs, units, int(first.shape[sequence_axis]), sequence_axis)


def with_targets(
    batches: list[Batch], targets: torch.Tensor | list[torch.Tensor] | None
) -> list[Batch]:
    """Batches with what a loss compares their results with.

    targets: one tensor [units, ...] a batch, or None for none. Raises CondsimError where they do
    not fit.
    """
    if targets is None:
        return batches
    given = targets if isinstance(targets, list) else [targets]
    if len(given) != len(batches):
        raise CondsimError(
            f"train: there are targets of {len(given)} batches and inputs of {len(batches)}; "
            "pass one tensor of targets a batch"
        )
    found = []
    for number, (batch, target) in enumerate(zip(batches, given, strict=True)):
        if target.ndim == 0 or target.shape[0] != batch.units:
            raise CondsimError(
                f"train: batch {number} has {batch.units} units, and its targets have the shape "
                f"{tuple(target.shape)}; the first axis must be the units"
            )
        found.append(replace(batch, targets=target))
    return found


def require_arguments(model: torch.nn.Module, batches: Sequence[Batch]) -> None:
    """Raises CondsimError where forward() does not take what a batch has."""
    try:
        signature = inspect.signature(with_signature(model).forward)
    except (TypeError, ValueError):  # a forward that is not Python's has none
        return
    for number, batch in enumerate(batches):
        try:
            signature.bind(*batch.args, **batch.kwargs)
        except TypeError as error:
            raise CondsimError(
                f"inputs: forward() of {type(model).__name__} takes {signature}, and batch "
                f"{number} does not fit ({error})"
            ) from error


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
