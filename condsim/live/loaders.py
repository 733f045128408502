"""Batches as a DataLoader gives them: the inputs of forward, and labels after them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from condsim.live.wrappers import with_signature

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def without_labels(model: torch.nn.Module, inputs: Any) -> Any:
    """What capture takes, of a DataLoader or of what it gives; other inputs as they are.

    Of [inputs, labels], the tensors stay that forward() takes by position, as a tuple.
    """
    if isinstance(inputs, DataLoader):
        return [_arguments(model, item) for item in inputs]
    if _has_labels(inputs):  # one item of a loader
        return [_arguments(model, inputs)]
    if not isinstance(inputs, list):
        return inputs
    return [_arguments(model, item) if _has_labels(item) else item for item in inputs]


def _arguments(model: torch.nn.Module, item: Any) -> Any:
    """One batch of a loader as the arguments of a call."""
    if not isinstance(item, (list, tuple)):
        return item
    return tuple(item[: _most_arguments(model)])


def _most_arguments(model: torch.nn.Module) -> int | None:
    """Arguments that forward() takes by position; None for any number, or where nobody can say."""
    try:
        parameters = inspect.signature(with_signature(model).forward).parameters.values()
    except (TypeError, ValueError):  # a forward that is not Python's has none
        return None
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(parameter.kind in POSITIONAL for parameter in parameters)


def _has_labels(item: Any) -> bool:
    """Whether an item holds tensors of the same units, the last of one dimension, others of more.

    A list of batches is none: these have the same number of dimensions.
    """
    if not isinstance(item, (list, tuple)) or not all(
        isinstance(value, torch.Tensor) for value in item
    ):
        return False
    tensors: Sequence[torch.Tensor] = item
    if len(tensors) < 2 or any(not tensor.ndim for tensor in tensors):
        return False
    same_units = len({len(tensor) for tensor in tensors}) == 1
    return same_units and tensors[-1].ndim == 1 and tensors[0].ndim > 1
