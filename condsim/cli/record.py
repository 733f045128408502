"""capture and measure: from a live model to a trace with measurements."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.output import (
    at_least_one,
    one_of,
    open_trace,
    out,
    own_profile,
    print_json,
    progress,
    suggest,
)
from condsim.errors import CondsimError, unknown

if TYPE_CHECKING:
    from condsim.trace import Trace


def capture(
    spec: str,
    /,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    batch_limit: int | None = None,
    new_tokens: int = 0,
    measure: Annotated[bool, Parameter(negative="--no-measure")] = True,
    threads: int = 1,
    force: bool = False,
    json: bool = False,
) -> None:
    """Run a model on its inputs and write what it decides, what it executes and (unless told not to) what it takes here.

    Parameters
    ----------
    spec
        A zoo name (branch-fashion, exit-fashion, moe-bytes, skip-fashion, sparse-bytes), or file.py:function that returns (model, inputs).
    output
        Folder of the trace.
    batch_limit
        Capture at most so many batches.
    new_tokens
        Greedy decode steps after each batch, with the model's own cache.
    measure
        Time the captured strategy and both baselines here, in fresh processes.
    threads
        PyTorch threads while capturing (the operators that are recorded are small); measuring uses one.
    force
        Replace a trace that has measurements; they are lost.
    json
        Print JSON.
    """
    at_least_one("batch-limit", batch_limit)
    at_least_one("threads", threads)
    if new_tokens < 0:
        raise CondsimError(f"new-tokens must be at least 0, got {new_tokens}")
    from condsim.trace.store import add_measured, check_target, load

    check_target(output, force)
    import torch

    from condsim.zoo.specs import load_spec

    torch.set_num_threads(threads)
    example = load_spec(spec)
    inputs = (
        example.inputs
        if batch_limit is None or not isinstance(example.inputs, list)
        else example.inputs[:batch_limit]
    )
    from condsim.api import capture as run

    with progress() as step:
        trace = run(
            example.model,
            inputs,
            measure=False,
            new_tokens=new_tokens,
            name=example.name,
            quality=example.quality,
            quality_name=example.quality_name,
            higher_is_better=example.higher_is_better,
            spec=spec,
            command=shlex.join(["condsim", *sys.argv[1:]]),
            progress=step,
        )
        trace.save(output, force)
        if measure:
            from condsim.measure import measure as time_it

            own_profile(step, dtype=trace.dtype)
            opened = load(output)
            trace = add_measured(output, time_it(opened, progress=step), opened)
    report(trace, output, "capture", json)


def measure(
    trace: str,
    /,
    *,
    strategy: str | None = None,
    batch: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None,
    processes: int | None = None,
    pairs: int | None = None,
    by: str | None = None,
    threads: int = 1,
    runtime: str = "eager",
    device: str = "cpu",
    json: bool = False,
) -> None:
    """Time a captured model on this machine, in pairs with its baselines and in fresh processes; the times are added to the trace.

    Parameters
    ----------
    trace
        Folder of a trace whose model a spec can rebuild.
    strategy
        One strategy, or all that run here (default: the captured one).
    batch
        Batch sizes (default: the captured one).
    processes
        Fresh processes a case. Default: 3; by segment 1.
    pairs
        Interleaved pairs of conditional and baseline a process. Default: 30; by segment 36.
    by
        segment: time every operator with PyTorch's profiler instead, for condsim compare --by segment.
    threads
        PyTorch threads; several are compared with `condsim compare --device` on a profile of `condsim calibrate --threads`.
    runtime
        compiled: under torch.compile, a graph between two sites. Compared with a profile of `condsim calibrate --compiled`.
    device
        cuda: on the GPU. Tested on CPUs only so far.
    json
        Print JSON.
    """
    for what, value in (
        ("processes", processes),
        ("pairs", pairs),
        ("threads", threads),
        *(("batch", b) for b in batch or ()),
    ):
        at_least_one(what, value)
    one_of("by", by, ("segment",))
    one_of("runtime", runtime, ("eager", "compiled"))
    if by is not None and runtime != "eager":
        raise CondsimError(
            f"--by segment times operators of eager PyTorch; leave out --runtime {runtime}"
        )
    if by is not None and device != "cpu":
        raise CondsimError(f"--by segment times operators on a CPU; leave out --device {device}")
    if by is not None and threads > 1:
        raise CondsimError(
            f"--by segment times operators of one thread; leave out --threads {threads}"
        )
    opened = open_trace(trace)
    folder = Path(trace) if Path(trace).exists() else Path(opened.name)
    if folder.exists() and not Path(trace).exists():
        raise CondsimError(
            f"{trace} comes with condsim and would be measured into {folder}, which exists; run this in another folder"
        )
    from condsim.trace.store import add_measured, check_target

    check_target(folder, force=True)
    from condsim.measure import measure as whole
    from condsim.measure import measure_segments
    from condsim.strategies.choose import strategies_of

    time_it, usual = (
        (partial(whole, device=device, threads=threads, runtime=runtime), (3, 30))
        if by is None
        else (measure_segments, (1, 36))
    )
    known = strategies_of(opened)
    if strategy is not None and strategy != "all" and strategy not in known:
        raise unknown("strategy", strategy, known, f"what {opened.name} was captured with")
    chosen = known if strategy == "all" else None if strategy is None else [strategy]
    with progress() as step:
        if device == "cpu":
            own_profile(step, threads, opened.dtype)
        timed = time_it(
            opened,
            strategies=chosen,
            batches=batch,
            processes=processes or usual[0],
            pairs=pairs or usual[1],
            progress=step,
        )
    timed = add_measured(folder, timed, opened)
    report(timed, folder, "measure", json, by)


def report(trace: Trace, folder: Path, command: str, json: bool, by: str | None = None) -> None:
    """What is in the trace now. by: what was measured last."""
    about = summary(trace)
    if json:
        print_json({"command": command, "trace": str(folder), **about})
        return
    from condsim.show.text import trace_lines

    out().print(*trace_lines(about, str(folder)), sep="\n")
    compare = f"condsim compare {folder}" + (f" --by {by}" if by else "")
    suggest(
        f"condsim simulate {folder}",
        *([compare] if by or about["measurements"] else [f"condsim measure {folder}"]),
    )


def summary(trace: Trace) -> dict[str, Any]:
    """What a trace holds, and its measurements case by case."""
    sites = [
        {"name": s.name, "mechanism": s.mechanism, "branches": s.branches, "top_k": s.top_k}
        for s in trace.sites
    ]
    measured: list[dict[str, Any]] = []
    if not trace.measurements.empty:
        case = ["strategy", "baseline", "phase", "batch", "runtime", "threads"]
        for key, rows in trace.measurements.groupby(case, sort=False):
            total, dense = float(rows["conditional_s"].sum()), float(rows["baseline_s"].sum())
            measured.append(
                dict(zip(case, key, strict=True))
                | {
                    "speedup": dense / total,
                    "latency_s": float(rows["conditional_s"].mean()),
                    "pairs": len(rows),
                    "basis": "measured",
                }
            )
    return {
        "name": trace.name,
        "model": trace.header.provenance.model,
        "mechanisms": list(trace.mechanisms),
        "sites": sites,
        "steps": len(trace.steps),
        "units": trace.units,
        "parameters": trace.header.provenance.parameters,
        "captured": dict(trace.header.captured),
        "quality_name": trace.header.provenance.quality_name,
        "quality": {
            c: float(trace.quality[c].mean())
            for c in ("conditional", "dense")
            if c in trace.quality
        },
        "measurements": measured,
        "by_segment": sorted(
            {
                f"{s}, batch {b}"
                for s, b in zip(trace.segments["strategy"], trace.segments["batch"], strict=True)
            }
        ),
        "notes": list(trace.header.notes),
    }
