from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import condsim
from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.live.train_step import record_step
from condsim.live.training import Training, loss_of_output, unchanged
from condsim.record.recorder import Recorder
from condsim.record.step_events import forward_operators


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_all_is_put_back() -> None:
    model = two_layers().eval()
    weight = model[0].weight
    gradient = torch.ones_like(weight)
    weight.grad = gradient
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    with unchanged(model):
        assert weight.grad is None
        model.train()
        model(torch.randn(5, 3)).sum().backward()
        random.random()
        np.random.random()
        with torch.no_grad():
            weight.add_(1)
    assert weight.grad is gradient
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(after[0], states[0])
    assert after[1:] == states[1:]


def test_a_weight_that_is_minus_zero_stays_it() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, -0.0)
    with unchanged(model), torch.no_grad():
        model.weight.add_(0.0)
    assert bool(torch.signbit(model.weight))


def test_the_users_optimizer_is_left_alone() -> None:
    model = two_layers()
    weights = list(model.parameters())
    groups = [{"params": weights[:2], "weight_decay": 0.1}, {"params": weights[2:]}]
    user = torch.optim.AdamW(groups, lr=0.3, foreach=False)
    other = Training(optimizer=user).optimizer_of(list(model.named_parameters()))
    assert user.state == {}
    assert [group["lr"] for group in user.param_groups] == [0.3, 0.3]
    assert [group["lr"] for group in other.param_groups] == [0.0, 0.0]
    assert other.param_groups[0]["weight_decay"] == 0.1
    assert len(other.state) == len(weights)
    assert all(weight.grad is None for weight in weights)


def test_a_learning_rate_of_zero_keeps_the_weights() -> None:
    model = two_layers()
    before = [weight.clone() for weight in model.parameters()]
    optimizer = Training().optimizer_of(list(model.named_parameters()))
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (Training(), r"output \(list\) has no loss; pass labels"),
        (Training(lambda _: torch.ones(3)), r"one number, got \(3,\); take its mean"),
        (Training(lambda _: 2.0), "one number, got float"),
        (Training(lambda _: torch.ones(())), "depends on no weight"),
    ],
)
def test_what_is_no_loss_gets_one_line(training: Training, message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        training.loss_value([], None)


def test_what_makes_no_optimizer_gets_one_line() -> None:
    with pytest.raises(CondsimError, match=r"must be a torch\.optim\.Optimizer or make one"):
        Training(optimizer=list).optimizer_of([])


def test_an_output_that_is_one_number_is_its_loss() -> None:
    loss = torch.ones((), requires_grad=True)
    assert Training(loss_of_output).loss_value(loss, None) is loss


class WritesOnLeaf(nn.Module):
    """Changes a weight in its forward, which autograd refuses in training."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(3, 1)
        self.body = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.body.weight.mul_(1.0)
        ids = (self.gate(x).squeeze(-1) > 0).long()
        condsim.route("gate", "skip", ids)
        with condsim.branch("gate", 1) as rows:
            if rows:
                x = rows.put(x, self.body(rows.take(x)))
        return x


def test_a_forward_that_cannot_be_trained_gets_one_line() -> None:
    training = Training(lambda output: output.mean())
    with pytest.raises(
        CondsimError, match=r"a training step of 8 units fails .*in-place"
    ) as caught:
        condsim.capture(WritesOnLeaf(), torch.randn(8, 3), measure=False, train=training)
    assert "\n" not in str(caught.value)


def test_targets_must_fit() -> None:
    training = Training(nn.functional.mse_loss, targets=torch.zeros(3, 3))
    with pytest.raises(CondsimError, match=r"batch 0 has 8 units.*\(3, 3\)"):
        condsim.capture(WritesOnLeaf(), torch.randn(8, 3), measure=False, train=training)


def test_nothing_is_decoded_in_training() -> None:
    with pytest.raises(CondsimError, match="leave out new_tokens"):
        condsim.capture(WritesOnLeaf(), torch.randn(8, 3), new_tokens=2, train=Training())


class Squared(torch.autograd.Function):
    """A function with a backward of its own."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return 2 * gradient * x


class WithoutBackward(torch.autograd.Function):
    """A function that nothing can be trained through."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * x


class Skips(nn.Module):
    """A layer that every other row skips, and a function behind it."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        condsim.route("gate", "skip", torch.arange(len(x)) % 2)
        with condsim.branch("gate", 1) as rows:
            if rows:
                x = rows.put(x, self.function(self.body(rows.take(x))))
        return x


def in_training(function: Callable[[torch.Tensor], torch.Tensor]) -> Recorder:
    """A recorded step of a model with that function."""
    live = LiveModel.of(Skips(function).train(), Training(lambda output: output.mean()))
    return record_step(live, as_batches(torch.randn(8, 3))[0], Execution())


def test_a_function_with_a_backward_of_its_own_is_recorded() -> None:
    recorder = in_training(Squared.apply)
    assert [op.name for op in forward_operators(recorder)].count("mul") == 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda y: checkpoint(torch.relu, y, use_reentrant=False),
            "runs its forward again in the backward, as activation checkpointing does",
        ),
        (WithoutBackward.apply, "a training step of 8 units fails .*must implement .*backward"),
    ],
)
def test_a_backward_that_cannot_be_recorded_gets_one_line(
    function: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    with pytest.raises(CondsimError, match=message) as caught:
        in_training(function)
    assert "\n" not in str(caught.value)
