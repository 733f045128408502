"""A training step of a live model: forward, loss, backward, optimizer, gradients dropped.

It runs at learning rate 0, so that routing repeats, with an optimizer of its own, which is made
after the user's. What a step changes all the same is put back afterwards.
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.program.accumulation import check_accumulate

Loss = Callable[..., torch.Tensor]
"""The output of the model, and targets where there are some → one number to make smaller."""

MakeOptimizer = Callable[[Iterable[torch.Tensor]], torch.optim.Optimizer]
"""Weights → their optimizer, as a class of torch.optim."""

Weights = list[tuple[str, torch.Tensor]]
"""Names of weights, and the weights; one name may stand for several that share their memory."""

STATE = "/"
"""Between the name of a weight and that of what an optimizer keeps for it."""


def loss_of_output(output: Any) -> torch.Tensor:
    """The loss that a model gives itself: `output.loss`, or the output where it is one number."""
    loss = getattr(output, "loss", output)
    if not isinstance(loss, torch.Tensor) or (loss is output and loss.numel() != 1):
        raise CondsimError(
            f"train: the model's output ({type(output).__name__}) has no loss; pass labels with "
            "the inputs, or Training(loss=...), a function of the output"
        )
    return loss


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    loss: (output of the model) → one number, or (output, targets of the batch) where there are
        targets; by default the loss that the output has itself.
    optimizer: an optimizer of the model's weights, of which another one like it is made; or what
        makes one of weights, as `torch.optim.AdamW` does.
    targets: what the loss compares the output with, a tensor [units, ...] a batch.
    accumulate: micro-batches a step: each runs forward and backward and adds to the gradients of
        those before it, then one optimizer step follows. A batch is a micro-batch.
    """

    loss: Loss = loss_of_output
    optimizer: torch.optim.Optimizer | MakeOptimizer = torch.optim.AdamW
    targets: torch.Tensor | list[torch.Tensor] | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Raises CondsimError for a number of micro-batches that no step has."""
        check_accumulate(self.accumulate)

    def optimizer_of(self, weights: Weights) -> torch.optim.Optimizer:
        """An optimizer of these weights at learning rate 0, with its state.

        weights: what the user's optimizer does not have is in its first group.
        Raises CondsimError where no optimizer can be made.
        """
        if isinstance(self.optimizer, torch.optim.Optimizer):
            optimizer = _like(self.optimizer, weights)
        else:
            optimizer = self.optimizer([weight for _, weight in weights])
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise CondsimError(
                "train: optimizer must be a torch.optim.Optimizer or make one of weights, got "
                f"{type(optimizer).__name__}"
            )
        for group in optimizer.param_groups:
            _stand_still(group)
        _begin_state(optimizer)
        return optimizer

    def loss_value(self, output: Any, targets: torch.Tensor | None) -> torch.Tensor:
        """The loss of a batch. Raises CondsimError for what cannot be made smaller."""
        loss = self.loss(output) if targets is None else self.loss(output, targets)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            got = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise CondsimError(f"train: loss must give one number, got {got}; take its mean()")
        if not loss.requires_grad:
            raise CondsimError(
                "train: the loss depends on no weight that needs a gradient: it was detached, or "
                "every weight is frozen (requires_grad=False)"
            )
        return loss


def _like(user: torch.optim.Optimizer, weights: Weights) -> torch.optim.Optimizer:
    """An optimizer of the class and the options of the user's, over its weights and other ones."""
    wanted = {id(weight): weight for _, weight in weights}
    groups = []
    for group in user.param_groups:
        options = {name: value for name, value in group.items() if name != "params"}
        own = [wanted.pop(id(weight)) for weight in group["params"] if id(weight) in wanted]
        groups.append({**options, "params": own})
    groups[0]["params"] += wanted.values()
    arguments = inspect.signature(type(user)).parameters
    defaults = {name: value for name, value in user.defaults.items() if name in arguments}
    try:
        return type(user)([group for group in groups if group["params"]], **defaults)
    except (TypeError, ValueError) as error:
        raise CondsimError(
            f"train: no other {type(user).__name__} can be made like the given one ({error}); "
            "pass a function that makes one of weights"
        ) from error


def _stand_still(group: dict[str, Any]) -> None:
    """Set a group's learning rate to 0."""
    if isinstance(group["lr"], torch.Tensor):
        group["lr"] = torch.zeros_like(group["lr"])
    else:
        group["lr"] = 0.0


def _begin_state(optimizer: torch.optim.Optimizer) -> None:
    """Let the optimizer make what it keeps for each weight: recorded steps are not the first."""
    for weight in _weights_of(optimizer):
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _weights_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def named_state(optimizer: torch.optim.Optimizer, weights: Weights) -> Weights:
    """What an optimizer keeps, by the name of the weight and its own."""
    named = []
    for name, weight in weights:
        for kept, value in optimizer.state.get(weight, {}).items():
            if isinstance(value, torch.Tensor):
                named.append((f"{name}{STATE}{kept}", value))
    return named


def names_in_order(optimizer: torch.optim.Optimizer, weights: Weights) -> tuple[str, ...]:
    """The names of an optimizer's weights in the order of its updates."""
    names = {id(weight): name for name, weight in weights}
    in_order = [names[id(weight)] for weight in _weights_of(optimizer)]
    return tuple(dict.fromkeys(in_order))


@contextlib.contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put weights, buffers, gradients, modes and random states back afterwards."""
    tensors = [*model.parameters(), *model.buffers()]
    copies = [tensor.detach().clone() for tensor in tensors]
    gradients = [(weight, weight.grad) for weight in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    of_python, of_numpy = random.getstate(), np.random.get_state()
    for weight, _ in gradients:
        weight.grad = None
    try:
        with torch.random.fork_rng():
            yield
    finally:
        _put_back(tensors, copies)
        for weight, gradient in gradients:
            weight.grad = gradient
        for module, training in modes:
            module.training = training
        random.setstate(of_python)
        np.random.set_state(of_numpy)


def _put_back(tensors: list[torch.Tensor], copies: list[torch.Tensor]) -> None:
    """Copy into tensors what they held, but not where they hold it still."""
    with torch.no_grad():
        for tensor, copy in zip(tensors, copies, strict=True):
            if not _same(tensor, copy):
                tensor.copy_(copy)


@contextlib.contextmanager
def in_training(model: nn.Module) -> Iterator[None]:
    """Put a model in training mode inside; afterwards everything of it is as it was."""
    with unchanged(model):
        model.train()
        yield


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors have the same bits."""
    if not one.is_floating_point():
        return torch.equal(one, other)
    return torch.equal(one, other) and torch.equal(torch.signbit(one), torch.signbit(other))
