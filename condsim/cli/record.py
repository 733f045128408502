"""capture and measure: from a live model to a trace with measurements."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from condsim.cli.arguments import (
    MOST_THREADS,
    check_at_least_one,
    check_known,
    local_profile,
    open_trace,
)
from condsim.cli.commands import cli_command
from condsim.cli.output import Step, out, print_json, progress, suggest
from condsim.cli.output import command as again
from condsim.errors import CondsimError, unknown
from condsim.protocols import PROTOCOLS

if TYPE_CHECKING:
    import pandas as pd

    from condsim.trace import Trace

RUNTIMES = ("eager", "compiled")
CASE = ["strategy", "baseline", "phase", "batch", "protocol", "runtime", "threads"]
"""What tells one measured case from another in a summary."""


# capture


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


# measure


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What is timed, and how. The texts below are the command line's help.

    Parameters
    ----------
    strategy
        One strategy, or all that run here (default: the captured one).
    batch
        Batch sizes (default: the captured one).
    processes
        Fresh processes a case. Default: 3; by segment 1.
    pairs
        Interleaved pairs of conditional and baseline a process. Default: 30; by segment 36.
    protocol
        What runs between two runs of a step. repeat: its baseline; loop: nothing; stream: the
        other steps of the trace. Default: loop where one step was captured, else repeat.
    by
        segment: time every operator with PyTorch's profiler instead, for condsim compare --by
        segment.
    threads
        PyTorch threads; several are compared with `condsim compare --device` on a profile of
        `condsim calibrate --threads`.
    runtime
        compiled: under torch.compile, a graph between two sites. Compared with a profile of
        `condsim calibrate --compiled`.
    device
        cuda: on the GPU. Tested on CPUs only so far.
    """

    strategy: str | None = None
    batch: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None
    processes: int | None = None
    pairs: int | None = None
    protocol: str | None = None
    by: str | None = None
    threads: int = 1
    runtime: str = RUNTIMES[0]
    device: str = "cpu"

    def check(self) -> None:
        """Raises CondsimError for what no trace could be measured with."""
        check_at_least_one("processes", self.processes)
        check_at_least_one("pairs", self.pairs)
        check_at_least_one("threads", self.threads, MOST_THREADS)
        for batch in self.batch or ():
            check_at_least_one("batch", batch)
        check_known("protocol", self.protocol, tuple(PROTOCOLS))
        check_known("by", self.by, ("segment",))
        check_known("runtime", self.runtime, RUNTIMES)
        if self.by is not None:
            self._check_by_segment()

    def _check_by_segment(self) -> None:
        """Raises CondsimError for what PyTorch's profiler is not used for."""
        if self.protocol is not None:
            raise CondsimError(
                f"--by segment times a step in turn with its baseline; leave out --protocol "
                f"{self.protocol}"
            )
        if self.runtime != RUNTIMES[0]:
            raise CondsimError(
                f"--by segment times operators of eager PyTorch; leave out --runtime {self.runtime}"
            )
        if self.device != "cpu":
            raise CondsimError(
                f"--by segment times operators on a CPU; leave out --device {self.device}"
            )
        if self.threads > 1:
            raise CondsimError(
                f"--by segment times operators of one thread; leave out --threads {self.threads}"
            )

    def strategies(self, trace: Trace) -> list[str] | None:
        """The strategies to time; None: the captured one. Raises CondsimError for unknown ones."""
        from condsim.predict.choose import probed_strategies

        if self.strategy is None:
            return None
        able = probed_strategies(trace)
        if self.strategy == "all":
            return able
        if self.strategy not in able:
            raise unknown("strategy", self.strategy, able, f"what {trace.name} was captured with")
        return [self.strategy]

    def timer(self) -> Callable[..., Trace]:
        """The library's function that times a trace, with how often."""
        from condsim.measure import measure as time_pairs
        from condsim.measure import measure_segments

        if self.by is not None:
            return partial(measure_segments, processes=self.processes or 1, pairs=self.pairs or 36)
        return partial(
            time_pairs,
            processes=self.processes or 3,
            pairs=self.pairs or 30,
            protocol=self.protocol,
            device=self.device,
            threads=self.threads,
            runtime=self.runtime,
        )


MEASURE_AS_CAPTURED = MeasureOptions()


@cli_command("measure", "Time a captured model here, against its baselines.", place=50)
def measure(
    trace: str,
    /,
    *,
    options: Annotated[MeasureOptions, Parameter(name="*")] = MEASURE_AS_CAPTURED,
    json: bool = False,
) -> None:
    """Time a captured model here, in pairs with its baselines; the times are added to the trace.

    Parameters
    ----------
    trace
        Folder of a trace whose model a spec can rebuild.
    json
        Print JSON.
    """
    options.check()
    opened = open_trace(trace)
    opened.require_rows()
    folder = _folder_of_measured(trace, opened.name)
    from condsim.trace.store import add_measured, check_target

    check_target(folder, force=True)
    timer = options.timer()
    strategies = options.strategies(opened)
    with progress() as step:
        if options.device == "cpu":
            local_profile(step, options.threads, opened.dtype)
        timed = timer(opened, strategies=strategies, batches=options.batch, progress=step)
    timed = add_measured(folder, timed, opened)
    report(timed, folder, "measure", json, options.by)


def _folder_of_measured(where: str, name: str) -> Path:
    """The folder that a measured trace is saved in.

    where: the folder that was given, or the name of a trace that comes with condsim. name: of the
    trace; one that comes with condsim is saved in a new folder of that name.
    """
    if Path(where).exists():
        return Path(where)
    folder = Path(name)
    if folder.exists():
        raise CondsimError(
            f"{where} comes with condsim and would be measured into {folder}, which exists; "
            "run this in another folder"
        )
    return folder


# What both print


def report(trace: Trace, folder: Path, command: str, json: bool, by: str | None = None) -> None:
    """Print what is in the trace now. by: "segment" where segments were measured last."""
    about = summary(trace)
    if json:
        print_json({"command": command, "trace": str(folder), **about})
        return
    from condsim.show.catalogue import trace_lines

    out().print(*trace_lines(about, str(folder)), sep="\n")
    if by is not None:
        more = again("compare", folder, "--by", by)
    elif about["measurements"]:
        more = again("compare", folder)
    else:
        more = again("measure", folder)
    suggest(again("simulate", folder), more)


def summary(trace: Trace) -> dict[str, Any]:
    """What a trace holds, and its measurements case by case, for JSON."""
    provenance = trace.header.provenance
    return {
        "name": trace.name,
        "model": provenance.model,
        "mechanisms": list(trace.mechanisms),
        "sites": _sites(trace),
        "steps": len(trace.steps),
        "units": trace.units,
        "parameters": provenance.parameters,
        "captured": dict(trace.header.captured),
        "quality_name": provenance.quality_name,
        "quality": _mean_quality(trace),
        "measurements": _measured_cases(trace.measurements),
        "by_segment": _cases_by_segment(trace.segments),
        "notes": list(trace.header.notes),
    }


def _sites(trace: Trace) -> list[dict[str, Any]]:
    rows = []
    for site in trace.sites:
        row = {
            "name": site.name,
            "mechanism": site.mechanism,
            "branches": site.branches,
            "top_k": site.top_k,
        }
        rows.append(row)
    return rows


def _mean_quality(trace: Trace) -> dict[str, float]:
    sides = [side for side in ("conditional", "dense") if side in trace.quality]
    return {side: float(trace.quality[side].mean()) for side in sides}


def _measured_cases(measurements: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a measured case."""
    if measurements.empty:
        return []
    cases = []
    for values, pairs in measurements.groupby(CASE, sort=False):
        case = dict(zip(CASE, values, strict=True))
        conditional_s = float(pairs["conditional_s"].sum())
        baseline_s = float(pairs["baseline_s"].sum())
        times = {
            "speedup": baseline_s / conditional_s,
            "latency_s": float(pairs["conditional_s"].mean()),
            "pairs": len(pairs),
            "basis": "measured",
        }
        cases.append(case | times)
    return cases


def _cases_by_segment(segments: pd.DataFrame) -> list[str]:
    cases = zip(segments["strategy"], segments["batch"], strict=True)
    return sorted({f"{strategy}, batch {batch}" for strategy, batch in cases})
