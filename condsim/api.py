"""What several packages do together: `condsim.capture` records a model, then measures it;
`condsim.calibrate` measures this machine, then checks what it says."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from condsim.calibrate.cpu import calibrate as calibrate_cpu
from condsim.capture import Labels, Progress, Quality, capture_trace
from condsim.capture.on_meta import Routing, capture_routed, known_inputs
from condsim.capture.sparse_training import capture_masked
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.live.inputs import SequenceAxis, as_batches, require_arguments, with_targets
from condsim.live.loaders import without_labels
from condsim.live.masks import MaskHistory as MaskHistory
from condsim.live.masks import masked_layers
from condsim.live.model import LiveModel
from condsim.live.training import Training as Training
from condsim.live.training import in_training
from condsim.measure import measure_live
from condsim.self_check.check import check as self_check
from condsim.trace import Trace


def capture(
    model: torch.nn.Module,
    inputs: Any,
    baseline: torch.nn.Module | None = None,
    measure: bool | list[str] = True,
    new_tokens: int = 0,
    *,
    train: Training | None = None,
    name: str | None = None,
    quality: Quality | None = None,
    quality_name: str | None = None,
    higher_is_better: bool = True,
    spec: str | None = None,
    command: str | None = None,
    progress: Progress = lambda _what, _done, _of: None,
    sequence_axis: SequenceAxis = "auto",
    routing: Routing | None = None,
    masks: MaskHistory | None = None,
    seed: int = 0,
) -> Trace:
    """Capture a conditional model's routing and what it executes.

    model: run in evaluation mode, or with `train` in training mode; nothing of it is changed.
    inputs: a tensor, a tuple, a dict of forward() arguments, a list of such batches, or a
        DataLoader, whose labels are left out.
    baseline: a dense module, timed as a third kind of baseline.
    measure: whether to time the captured strategy here, or a list of strategies to time.
    new_tokens: greedy cached decode steps after each batch.
    train: record training steps of it, in training mode: forward, backward and optimizer.
    name: of the trace, the model's class by default. spec, command: how the model can be built
        again, and the command that captured it.
    quality: (output, batch number) → float [units]; with new tokens, an encoder-decoder's output
        are these, int64 [units, new_tokens + 1]. quality_name: what that is.
    higher_is_better: of the quality.
    progress: called with what is done, how much of it, of how much.
    sequence_axis: the axis of the inputs along which positions lie, so that lengths may vary; None
        for units of a fixed size. "auto" tries axis 1 where tensors look like sequences.
    routing: of a model on PyTorch's meta device, which has no numbers to decide with: a generator,
        which decides for the inputs, or a trace of recorded routing, whose steps and decisions are
        taken. Of what is no mixture of experts also a share, or site → share, from 0 to 1: of the
        rows that enter, go on, stay or take the costliest branch, or of the neurons that a row
        needs. seed: of what is drawn.
    masks: of sparse weights, what they were over a training; None for what the model has now, where
        its layers have masks.
    Returns the trace. Raises CondsimError for empty inputs, weights that are not finite, a model
    without routing, or one on the meta device without `routing`.
    """
    batches = as_batches(known_inputs(without_labels(model, inputs)), sequence_axis)
    require_arguments(model, batches)
    if train is not None:
        _refuse_with_training(new_tokens, routing)
        batches = with_targets(batches, train.targets)
    live = LiveModel.of(model, train)
    labels = Labels(
        name=name or type(live.model).__name__,
        spec=spec,
        command=command,
        quality_name=quality_name,
        higher_is_better=higher_is_better,
    )
    mode = _evaluating(live.model) if train is None else in_training(live.model)
    with mode, _eagerly(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        if masks is not None or masked_layers(live.model):
            return capture_masked(live, batches, labels, masks, progress)
        if live.on_meta or routing is not None:
            return capture_routed(live.model, batches, labels, routing, new_tokens, seed, progress)
        trace = capture_trace(
            live, batches, labels, new_tokens=new_tokens, quality=quality, progress=progress
        )
        if measure:
            strategies = measure if isinstance(measure, list) else None
            trace = measure_live(
                trace, live, batches, strategies=strategies, module=baseline, progress=progress
            )
    return trace


def _refuse_with_training(new_tokens: int, routing: Routing | None) -> None:
    """Raises CondsimError for what no training step has."""
    if new_tokens:
        raise CondsimError("train: a training step decodes nothing; leave out new_tokens")
    if routing is not None:
        raise CondsimError(
            "train: the backward of a model without weights is not recorded; leave out routing"
        )


def _eagerly() -> contextlib.AbstractContextManager[Any]:
    """Inside, what torch.compile compiled runs as it was written."""
    if "torch._dynamo" not in sys.modules:  # nothing was compiled, and importing it takes seconds
        return contextlib.nullcontext()
    eagerly: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return eagerly


@contextlib.contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode inside, and every module back into its own afterwards.

    So are small buffers, in which some forwards count.
    """
    before = [(module, module.training) for module in model.modules()]
    buffers = list(_small_buffers(model))
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
        for module, name, buffer, content in buffers:
            if not torch.equal(buffer, content):
                with torch.no_grad():
                    buffer.copy_(content)
            setattr(module, name, buffer)


MOST_COUNTED = 1 << 20
"""Elements of a buffer that is put back; larger ones hold weights and tables, no counts."""


def _small_buffers(
    model: torch.nn.Module,
) -> Iterator[tuple[torch.nn.Module, str, torch.Tensor, torch.Tensor]]:
    """(module, name, buffer, a copy of what it holds) of each small buffer."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if not buffer.is_meta and buffer.numel() <= MOST_COUNTED:
                yield module, name, buffer, buffer.detach().clone()


def calibrate(
    full: bool = False,
    threads: int = 1,
    dtype: str = "fp32",
    compiled: bool = False,
    *,
    check: bool = True,
    **options: Any,
) -> HardwareProfile:
    """Measure the operators of this machine, and how far off predictions are that rest on them.

    The machine should be idle; it takes about a minute and a half.

    full: more sizes, and more visits of each; this takes several minutes.
    threads: of PyTorch.
    dtype: of weights and activations, "fp32" or "bf16".
    compiled: also measure what torch.compile costs, which needs a C++ compiler; False keeps what
        an earlier calibration measured.
    check: predict built-in modules and time them (`condsim.self_check`).
    options: progress, save, size, beside: as in `condsim.calibrate.cpu.calibrate`.
    Raises CondsimError for another dtype.
    """
    checked_by = self_check if check else None
    return calibrate_cpu(full, threads, dtype, compiled, check=checked_by, **options)


__all__ = ["MaskHistory", "Training", "calibrate", "capture"]
