"""Measure: time a captured model on this machine, beside its baselines.

`measure` does so in fresh processes, for a trace whose spec can rebuild the model; `measure_live` in the calling process; `measure_segments` in a fresh
process, operator by operator. Neither this module nor `measure` needs torch; the processes do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condsim.errors import CondsimError

if TYPE_CHECKING:
    import pandas as pd

    from condsim.hardware import HardwareProfile
    from condsim.measure.protocol import measure_live as measure_live
    from condsim.trace import Trace

__all__ = ["measure", "measure_live", "measure_segments"]
Progress = Callable[[str, int, int], None]


def __getattr__(name: str) -> Any:
    if name != "measure_live":
        raise AttributeError(
            f"module 'condsim.measure' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return importlib.import_module("condsim.measure.protocol").measure_live


def measure(
    trace: Trace | str | Path,
    strategies: str | Sequence[str] | None = None,
    batches: Sequence[int] | None = None,
    baselines: Sequence[str] | None = None,
    phase: str | None = None,
    protocol: str = "repeat",
    processes: int = 3,
    pairs: int = 30,
    progress: Progress | None = None,
    *,
    steps: int = 6,
    seed: int = 0,
    decisions: str = "natural",
    device: str = "cpu",
    threads: int = 1,
    runtime: str = "eager",
) -> Trace:
    """The trace with timings from fresh processes on this machine; each process measures every case, so that cases can be compared.

    trace: a trace or its folder (which is not written to). strategies: names, None for the captured one. batches: units a step, None for the captured
    one. baselines: None for same-params and same-flops. phase: None for all there are. processes: how many; one that turns out noisy is run once
    more, and both are kept. pairs: at least so many a case and process. protocol, decisions: see `condsim.measure.protocol`. device: of torch, "cuda" for
    a GPU (tested on CPUs only so far). threads: of torch. runtime: "compiled" for torch.compile, where a graph ends at each site.
    Raises CondsimError for a trace without a spec, a model that does not decide as the trace says, and bad arguments.
    """
    import pandas as pd

    from condsim.cost.cpu.compiled_graphs import check
    from condsim.measure import yardsticks

    opened, own, job = _job(
        trace, strategies, batches, baselines, phase, processes, pairs, steps, threads
    )
    if runtime == "compiled" and own is not None:
        check(own)
    job |= {"protocol": protocol, "decisions": decisions, "device": device, "runtime": runtime}
    first = int(opened.measurements["process"].max()) + 1 if len(opened.measurements) else 0
    with _place(opened) as place:
        runs = [
            _process(place, {**job, "seed": seed + i}, i, processes, progress)
            for i in range(processes)
        ]
        lowest = yardsticks.best(r for _, readings in runs for r in readings)
        again = [
            i
            for i, (_, readings) in enumerate(runs)
            if yardsticks.ratio(readings, lowest) > yardsticks.NOISY
        ]
        for extra, i in enumerate(again):
            runs.append(
                _process(
                    place,
                    {**job, "seed": seed + processes + i},
                    processes + extra,
                    processes + len(again),
                    progress,
                )
            )
    lowest = yardsticks.best(r for _, readings in runs for r in readings)
    tables = [
        t.assign(process=first + i, yardstick_ratio=yardsticks.ratio(readings, lowest))
        for i, (t, readings) in enumerate(runs)
    ]
    kept = own if runtime == "compiled" else opened.profile  # an older one may know no graphs
    return opened.with_measurements(
        pd.concat(tables, ignore_index=True), kept or opened.profile or own
    )


def measure_segments(
    trace: Trace | str | Path,
    strategies: str | Sequence[str] | None = None,
    batches: Sequence[int] | None = None,
    baselines: Sequence[str] | None = ("same-params",),
    phase: str | None = None,
    processes: int = 1,
    pairs: int = 36,
    progress: Progress | None = None,
    *,
    steps: int = 3,
    seed: int = 0,
) -> Trace:
    """The trace with times by segment and operator (`condsim.measure.segments`) from fresh processes on this machine; arguments as in `measure`.

    Those of the same case on the same machine are replaced. pairs: with the profiler, and as many without. Raises CondsimError as `measure` does.
    """
    import pandas as pd

    opened, own, job = _job(trace, strategies, batches, baselines, phase, processes, pairs, steps)
    with _place(opened) as place:
        tables = [
            _process(place, {**job, "by": "segment", "seed": seed + i}, i, processes, progress)[
                0
            ].assign(process=i)
            for i in range(processes)
        ]
    return opened.with_segments(pd.concat(tables, ignore_index=True), opened.profile or own)


def _job(
    trace: Trace | str | Path,
    strategies: str | Sequence[str] | None,
    batches: Sequence[int] | None,
    baselines: Sequence[str] | None,
    phase: str | None,
    processes: int,
    pairs: int,
    steps: int,
    threads: int = 1,
) -> tuple[Trace, HardwareProfile | None, dict[str, Any]]:
    """(the trace, the profile of this machine, what a process is told). Raises CondsimError for what could not be done."""
    from condsim.hardware import this_machine
    from condsim.trace import Trace
    from condsim.trace.store import load

    opened = trace if isinstance(trace, Trace) else load(trace)
    if opened.header.provenance.spec is None:
        raise CondsimError(
            f"trace {opened.name!r} has no spec that rebuilds its model, so no fresh process can time it; only "
            "condsim.capture(model, inputs, measure=True) can, in the process that has the model"
        )
    for what, value in (
        ("processes", processes),
        ("pairs", pairs),
        ("threads", threads),
        *(("batch", b) for b in batches or ()),
    ):
        if value < 1:
            raise CondsimError(f"{what} must be at least 1, got {value}")
    own = this_machine(threads, opened.dtype)
    job: dict[str, Any] = {
        "sizes": list(batches) if batches else [None],
        "strategies": [strategies]
        if isinstance(strategies, str)
        else strategies and list(strategies),
        "phase": phase,
        "pairs": pairs,
        "steps": steps,
        "where": "fresh process",
        "yardstick_s": own.yardstick_s if own else None,
        "threads": threads,
    }
    return opened, own, job | ({} if baselines is None else {"baselines": list(baselines)})


@contextlib.contextmanager
def _place(trace: Trace) -> Iterator[Path]:
    """A folder for what goes to processes and comes back, with the trace in it."""
    with tempfile.TemporaryDirectory(prefix="condsim-measure-") as folder:
        dataclasses.replace(
            trace, measurements=trace.measurements[:0], segments=trace.segments[:0], profile=None
        ).save(Path(folder) / "trace")
        yield Path(folder)


def _process(
    place: Path, job: dict[str, Any], number: int, of: int, progress: Progress | None
) -> tuple[pd.DataFrame, list[dict[str, float]]]:
    """One fresh process: its rows, and what its yardsticks said before and after."""
    import pandas as pd

    told, result = place / f"job-{number}.json", place / f"result-{number}.parquet"
    told.write_text(json.dumps({**job, "trace": str(place / "trace")}))
    command = [sys.executable, "-m", "condsim.measure.worker", str(told), str(result)]
    few = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(job["threads"]))
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **few}
        ) as child,
    ):
        try:
            assert child.stdout is not None
            for line in child.stdout:
                if progress is not None and line.startswith('["'):
                    what, done, total = json.loads(line)
                    progress(f"{what} (process {number + 1} of {of})", done, total)
            code = child.wait()
        except BaseException:
            child.kill()
            raise
        errors.seek(0)
        said = [line for line in errors.read().splitlines() if line.strip()]
    if code == 2 and said:
        raise CondsimError(said[-1])
    if code:
        raise CondsimError(
            f"the measuring process ended with code {code}: {said[-1] if said else 'it said nothing'}"
        )
    return pd.read_parquet(result), json.loads(result.with_suffix(".json").read_text())
