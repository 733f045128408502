"""capture: from a live model to a trace."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from condsim.cli.arguments import MOST_THREADS, check_at_least_one, local_profile
from condsim.cli.commands import cli_command
from condsim.cli.output import Step, progress
from condsim.cli.recorded import report
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.trace import Trace


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """What is captured, and how. The texts below are the command line's help.

    Parameters
    ----------
    batch_limit
        Capture at most so many batches.
    new_tokens
        Greedy decode steps after each batch, with the model's own cache. Default: as many as the
        spec's example says, which is none but for a decoder of the zoo.
    sequence_axis
        The axis of the inputs along which positions lie: a number, none for units of a fixed size,
        or auto to try axis 1 where tensors look like sequences.
    train
        Record training steps: forward, backward and optimizer. The loss is that of the spec: a
        third thing that its function returns, condsim.Training(...), or one that the model gives
        itself.
    accumulate
        Micro-batches of a training step (gradient accumulation): a batch is one of them. Default:
        as the spec's Training says, which is 1 where it says nothing.
    measure
        Time the captured strategy and both baselines here, in fresh processes.
    threads
        PyTorch threads while capturing (the operators that are recorded are small); measuring uses
        one.
    force
        Replace a trace that has measurements; they are lost.
    """

    batch_limit: int | None = None
    new_tokens: int | None = None
    sequence_axis: int | Literal["auto", "none"] = "auto"
    train: Annotated[bool, Parameter(negative=())] = False
    accumulate: int | None = None
    measure: Annotated[bool, Parameter(negative="--no-measure")] = True
    threads: int = 1
    force: bool = False

    def check(self) -> None:
        """Raises CondsimError for what no model could be captured with."""
        check_at_least_one("batch-limit", self.batch_limit)
        check_at_least_one("accumulate", self.accumulate)
        if self.accumulate is not None and not self.train:
            raise CondsimError("--accumulate is of training steps: pass --train, too")
        check_at_least_one("threads", self.threads, MOST_THREADS)
        if self.new_tokens is not None and self.new_tokens < 0:
            raise CondsimError(f"new-tokens must be at least 0, got {self.new_tokens}")


CAPTURE_ALL = CaptureOptions()


@cli_command("capture", "Record what a model decides and executes, and time it here.", place=20)
def capture(
    spec: str,
    /,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    options: Annotated[CaptureOptions, Parameter(name="*")] = CAPTURE_ALL,
    json: bool = False,
) -> None:
    """Run a model on its inputs; write what it decides and executes, and what it takes here.

    Parameters
    ----------
    spec
        A zoo name (branch-fashion, exit-fashion, moe-bytes, skip-fashion, sparse-bytes), or
        file.py:function that returns (model, inputs).
    output
        Folder of the trace.
    json
        Print JSON.
    """
    options.check()
    from condsim.trace.read import load
    from condsim.trace.store import add_measured, check_target

    check_target(output, options.force)
    import torch

    torch.set_num_threads(options.threads)
    with progress() as step:
        trace = _capture(spec, options, step)
        trace.save(output, options.force)
        if options.measure and not trace.sparse_weights:
            from condsim.measure import measure as time_here

            local_profile(step, dtype=trace.dtype)
            opened = load(output)
            timed = time_here(opened, progress=step)
            trace = add_measured(output, timed, opened)
    report(trace, output, "capture", json)


def _capture(spec: str, options: CaptureOptions, step: Step) -> Trace:
    """Load a model and its inputs, and capture it."""
    from condsim.api import Training
    from condsim.api import capture as capture_model
    from condsim.zoo.specs import load_spec

    example = load_spec(spec)
    inputs, training = example.inputs, example.training or Training()
    new_tokens = example.new_tokens if options.new_tokens is None else options.new_tokens
    if options.batch_limit is not None and isinstance(inputs, list):
        inputs = inputs[: options.batch_limit]
        if isinstance(training.targets, list):
            training = replace(training, targets=training.targets[: options.batch_limit])
    if options.accumulate is not None:
        training = replace(training, accumulate=options.accumulate)
    new_tokens_each = 0 if options.train else new_tokens
    axis = None if options.sequence_axis == "none" else options.sequence_axis
    train = training if options.train else None
    return capture_model(
        example.model,
        inputs,
        measure=False,
        new_tokens=new_tokens_each,
        sequence_axis=axis,
        name=example.name,
        quality=example.quality,
        quality_name=example.quality_name,
        higher_is_better=example.higher_is_better,
        spec=spec,
        command=shlex.join(["condsim", *sys.argv[1:]]),
        train=train,
        masks=example.masks,
        progress=step,
    )
