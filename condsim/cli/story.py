"""report: one self-contained file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from condsim.cli.output import (
    at_least_one,
    one_of,
    open_trace,
    print_json,
    profile_for,
    progress,
    suggest,
    writable,
    write_text,
)
from condsim.cli.predict import BASELINES, all_devices


def report(
    trace: str,
    /,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    device: str | None = None,
    strategy: str | None = None,
    batch: int | None = None,
    baseline: str = BASELINES[0],
    dtype: str | None = None,
    runtime: str | None = None,
    threshold: float | None = None,
    phase: str | None = None,
    json: bool = False,
) -> None:
    """Write the verdict, the waterfall, the measurements and the routing of a trace as one HTML file that needs nothing else.

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim.
    output
        The file to write, .html.
    device
        A profile (condsim profiles lists them), a YAML file, or this-machine. Default: where the trace was measured, else this machine.
    strategy
        How sites execute (looped, compacted, ...).
    batch
        Units a step. Default: as captured.
    baseline
        What the speedup is over: same-params or same-flops.
    dtype
        Default: what the profile names.
    runtime
        How operators become kernels. Default: what the profile names.
    threshold
        Decide anew at early exits that kept their scores.
    phase
        prefill or decode, where a trace has both.
    json
        Print what the report says as JSON too.
    """
    at_least_one("batch", batch)
    one_of("baseline", baseline, BASELINES)
    writable(output, (".html", ".htm"))
    opened = open_trace(trace)
    from condsim.show.report import report as made
    from condsim.study.answer import answer
    from condsim.study.ranking import every

    profile = profile_for(device, opened)
    found = answer(
        opened,
        profile,
        strategy,
        baseline,
        batch=batch,
        dtype=dtype,
        runtime=runtime,
        threshold=threshold,
        phase=phase,
    )
    others = [p for p in all_devices(opened) if p.name != profile.name]
    rows = [found.prediction.to_dict()]
    with progress() as step:
        for row in every(
            opened, others, [strategy], baseline, batch=batch, threshold=threshold, phase=phase
        ):
            rows.append(row)
            step("other devices", len(rows) - 1, len(others))
    write_text(output, made(opened, found, rows, shlex.join(["condsim", *sys.argv[1:]])))
    if json:
        print_json(
            {"command": "report", "trace": opened.name, "file": str(output), **found.to_dict()}
        )
        return
    suggest(f"open {output} in a browser", f"condsim app {trace}")
