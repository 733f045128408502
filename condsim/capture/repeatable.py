"""Whether a model gives the same result for the same input, so that a trace can stand for it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from condsim.errors import CondsimError
from condsim.live.equality import close, same_bits
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel

Sums = list[tuple[torch.Size, float, float]]
"""Of each tensor: its shape, the sum of its elements, and that of their absolute values."""


def own_result(live: LiveModel, batch: Batch) -> list[torch.Tensor]:
    """What the model by itself gives for a batch, without adapters.

    Raises CondsimError where it gives something else the second time: it draws random numbers or
    keeps a state, and no trace is that of the model. Also where it changes its inputs.
    """
    before = torch.random.get_rng_state()
    with inputs_kept(batch):
        first = live.run_bare(batch)
    draws = not torch.equal(before, torch.random.get_rng_state())
    second = live.run_bare(batch)
    repeats = same_bits(first, second) if draws else close(first, second)
    if not repeats:
        raise CondsimError(_refusal(live, batch, draws))
    return first


@contextlib.contextmanager
def inputs_kept(batch: Batch) -> Iterator[None]:
    """Raises CondsimError at the end where a forward has changed the batch, which is put back."""
    tensors = batch.tensors()
    given = [tensor.clone() for tensor in tensors]
    yield
    if same_bits(tensors, given):
        return
    for tensor, copied in zip(tensors, given, strict=True):
        tensor.detach().copy_(copied)
    raise CondsimError(
        "the model changes its inputs in place, so that the next pass over them would be another "
        "one: let forward() work on a copy (x = x.clone())"
    )


def _refusal(live: LiveModel, batch: Batch, draws: bool) -> str:
    why = "it draws random numbers" if draws else "it keeps a state, or draws random numbers"
    where = _first_that_differs(live, batch)
    subject = f"{where} gives" if where else "the model gives"
    return (
        f"{subject} another result for the same input, in evaluation mode too: {why}; switch noise "
        "(jitter, gumbel, dropout) off where it is not training, and keep counts out of forward()"
    )


def _first_that_differs(live: LiveModel, batch: Batch) -> str:
    """The module that is done first with another result for the same input; "" for none."""
    with _noted(live.model) as calls:
        live.run_bare(batch)
    with _noted(live.model) as again:
        live.run_bare(batch)
    second = {(call.path, call.turn): call for call in again}
    for call in calls:
        other = second.get((call.path, call.turn))
        if other is not None and call.took == other.took and call.gave != other.gave:
            return call.path or "the model"
    return ""


@dataclass(frozen=True)
class _Call:
    """A call of a module that is done.

    turn: how many calls of it were done before. took: its arguments. gave: its result.
    """

    path: str
    turn: int
    took: Sums
    gave: Sums


@contextlib.contextmanager
def _noted(model: nn.Module) -> Iterator[list[_Call]]:
    """Note, while it lasts, what each module takes and gives."""
    calls: list[_Call] = []
    turns: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        for path, module in model.named_modules():

            def done(_: nn.Module, args: Any, kwargs: Any, out: Any, path: str = path) -> None:
                calls.append(_Call(path, turns[path], _sums((args, kwargs)), _sums(out)))
                turns[path] += 1

            hook = module.register_forward_hook(done, with_kwargs=True)
            stack.callback(hook.remove)
        yield calls


def _sums(tree: Any) -> Sums:
    sums: Sums = []
    for leaf in tree_leaves(tree):
        if isinstance(leaf, torch.Tensor):
            values = leaf.double()
            sums.append((leaf.shape, float(values.sum()), float(values.abs().sum())))
    return sums
