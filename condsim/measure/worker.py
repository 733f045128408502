"""`python -m condsim.measure.worker JOB RESULT`: rebuild a model from its spec and time it.

JOB: a JSON file: `trace`, a folder; `by_segment`, whether operators are timed by segment; `plan`,
the fields of `condsim.measure.plan.Plan`. RESULT: a Parquet file for the table; beside it, ending
in .json, what the yardsticks said.
Progress goes to standard output, a JSON list [what, done, of] a line. Exit code 2 and one line on
standard error for what a user can put right.
It ends when its standard input does: the process that waits holds that open while it lives. This
is watched before torch is imported, which takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from condsim.errors import CondsimError
from condsim.measure.processes import BAD_INPUT, FOLDER


def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 and one line for bad input."""
    job_file = Path(arguments[0])
    result = Path(arguments[1])
    try:
        job = json.loads(job_file.read_text())
        work(job, result)
    except CondsimError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    return 0


def work(job: dict[str, Any], result: Path) -> None:
    """Measure what a job says and write it. Raises CondsimError as measuring does."""
    from condsim.live.inputs import as_batches, with_targets
    from condsim.live.model import LiveModel
    from condsim.live.training import Training
    from condsim.measure.plan import Plan, trains
    from condsim.measure.protocol import measure_cases
    from condsim.measure.segments import time_segments
    from condsim.trace.read import load
    from condsim.zoo.specs import load_spec

    trace = load(job["trace"])
    plan = Plan(**job.get("plan", {}))
    spec = trace.header.provenance.spec
    if spec is None:
        raise CondsimError(f"trace {trace.name!r} names no spec")
    example = load_spec(spec)
    training = None
    if trains(trace):
        training = replace(example.training or Training(), accumulate=trace.header.accumulate)
    live = LiveModel.of(example.model, training)
    inputs = as_batches(example.inputs)
    if training is not None:
        inputs = with_targets(inputs, training.targets)
    readings: list[dict[str, float]] = []
    if job.get("by_segment", False):
        table = time_segments(trace, live, inputs, plan, say)
    else:
        measured = measure_cases(trace, live, inputs, plan, progress=say)
        table = measured.table(process=0, yardstick_ratio=1.0)
        readings = measured.readings
    table.to_parquet(result, index=False)
    readings_file = result.with_suffix(".json")
    readings_file.write_text(json.dumps(readings))


def say(what: str, done: int, of: int) -> None:
    """Tell the process that waits how far this one is."""
    line = json.dumps([what, done, of])
    print(line, flush=True)


def end_with_standard_input(job_file: Path) -> None:
    """End this process when nobody waits for it any more, and remove a temporary folder."""
    folder = job_file.parent.parent
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    if folder.name.startswith(FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    job_file = Path(sys.argv[1])
    threading.Thread(target=end_with_standard_input, args=(job_file,), daemon=True).start()
    sys.exit(main(sys.argv[1:]))
