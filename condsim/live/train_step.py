"""One training step of a live model under an execution, and the recording of one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from condsim.errors import CondsimError
from condsim.live.execution import Execution, current
from condsim.live.failures import one_line
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.live.training import Training, Weights, named_state, names_in_order
from condsim.program.accumulation import RECORDED
from condsim.record.recorder import BACKWARD, FORWARD, OPTIMIZER, Recorder, storage_key

SAME_FLOPS = "same-flops"
"""The baseline in which rows that would leave early have no result."""


def _nobody_asks(_stage: str) -> None:
    """Tell nobody which stage begins."""


def record_step(live: LiveModel, batch: Batch, execution: Execution) -> Recorder:
    """Run one batch under the recorder. Raises CondsimError for what does not train.

    Of a step of several micro-batches two are recorded, both of this batch: those after the second
    run what the second does (`condsim.program.accumulation`).
    """
    training = live.training
    assert training is not None
    if training.accumulate > RECORDED:
        training = replace(training, accumulate=RECORDED)
    size = f"{batch.units} units" + (f" of {batch.seq} positions" if batch.seq else "")
    way_out = (
        "what PyTorch says of autograd holds for the model itself: check that loss.backward() and "
        "optimizer.step() run with it in training mode"
    )
    with one_line(live.model, f"a training step of {size}", way_out):
        with torch.no_grad():
            for site in live.sites:
                site.prepare(execution)
        with trained_weights(live) as weights:
            recorder = Recorder(live.model, live.float_dtype(), follows_autograd=True)
            optimizer = training.optimizer_of(weights)
            for name, tensor in (*weights, *named_state(optimizer, weights)):
                recorder.name_weights({name: tensor})
            for site in live.sites:
                recorder.name_weights(site.read_tensors())
            recorder.updated = names_in_order(optimizer, weights)
            execution.recorder = recorder
            with live.installed(execution), torch.enable_grad(), recorder:
                train_once(training, live.model, optimizer, batch, recorder.begins)
    execution.recorder = None
    if recorder.recomputed:
        raise CondsimError(
            f"train: {recorder.recomputed!r} runs its forward again in the backward, as activation "
            "checkpointing does, and no program holds that; switch checkpointing off to capture"
        )
    return recorder


def train_once(
    training: Training,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    begins: Callable[[str], None] = _nobody_asks,
) -> None:
    """Forward, loss, backward and optimizer of one batch. begins: told each stage that follows.

    Where a step has several micro-batches, each of them is this batch. It ends with the gradients
    dropped, so that nothing of the step lives on.
    """
    if training.accumulate > 1:
        _accumulate(training, model, batch, begins)
        begins(OPTIMIZER)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return
    loss = _loss_of(training, model, batch)
    begins(BACKWARD)
    loss.backward()
    begins(OPTIMIZER)
    optimizer.step()
    del loss
    optimizer.zero_grad(set_to_none=True)


def _accumulate(
    training: Training, model: torch.nn.Module, batch: Batch, begins: Callable[[str], None]
) -> None:
    """Run forward and backward of every micro-batch of a step that has several."""
    for number in range(training.accumulate):
        if number:
            begins(FORWARD)
        _micro_batch(training, model, batch, begins)


def _loss_of(training: Training, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """The loss of a batch; under same-flops of the first rows alone, which have a result."""
    output, targets = batch.call(model), batch.targets
    loses_rows = SAME_FLOPS in current().strategies.values()
    has_rows = isinstance(output, torch.Tensor) and output.ndim > 0
    if loses_rows and has_rows and targets is not None:
        targets = targets[: len(output)]
    return training.loss_value(output, targets)


def _micro_batch(
    training: Training, model: torch.nn.Module, batch: Batch, begins: Callable[[str], None]
) -> None:
    """Forward, loss and backward of a micro-batch, whose loss ends with it."""
    loss = _loss_of(training, model, batch)
    begins(BACKWARD)
    loss.backward()


@contextlib.contextmanager
def trained_weights(live: LiveModel) -> Iterator[Weights]:
    """All weights that are trained, by name; inside, what strategies made of them is trained."""
    with _follow_made(live):
        yield _weights(live)


def _weights(live: LiveModel) -> Weights:
    """All weights that are trained, by name: the model's, and what strategies made of them.

    What shares the memory of a weight of the model has its name.
    """
    own = list(live.model.named_parameters())
    names = {storage_key(weight): name for name, weight in own}
    weights: Weights = [(name, weight) for name, weight in own if weight.requires_grad]
    for site in live.sites:
        for name, tensor in site.made_tensors().items():
            weights.append((names.get(storage_key(tensor), name), tensor))
    return weights


@contextlib.contextmanager
def _follow_made(live: LiveModel) -> Iterator[None]:
    """While it lasts, what strategies made of weights is trained as these are."""
    made = [tensor for site in live.sites for tensor in site.made_tensors().values()]
    for tensor in made:
        tensor.requires_grad_(True)
    try:
        yield
    finally:
        for tensor in made:
            tensor.grad = None
            tensor.requires_grad_(False)
