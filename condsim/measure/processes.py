"""Measuring in fresh processes, one after the other: each rebuilds the model from its spec.

This module needs no torch; `condsim.measure.worker` is what runs in the processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd

from condsim.errors import CondsimError
from condsim.files import temporary_folder
from condsim.measure.plan import Plan, Progress
from condsim.trace import Trace

BAD_INPUT = 2
"""The exit code of a worker whose last line on standard error is for the user."""
FOLDER = "condsim-measure-"
"""How the name of the folder around a temporary one begins."""


@dataclass(frozen=True)
class Result:
    """What came back from one process.

    table: rows of `Trace.measurements` or `Trace.segments`. readings: what the yardsticks said
    before and after.
    """

    table: pd.DataFrame
    readings: list[dict[str, float]]


class Processes:
    """Runs measuring processes on one trace.

    folder: for what goes to the processes and comes back; the trace lies in it. by_segment: time
    operators by segment instead of whole steps.
    """

    def __init__(self, folder: Path, progress: Progress | None, by_segment: bool = False) -> None:
        self.folder = folder
        self.progress = progress
        self.by_segment = by_segment

    @property
    def trace_folder(self) -> Path:
        """Where the trace is."""
        return self.folder / "trace"

    def run(self, plan: Plan, number: int, of: int) -> Result:
        """One fresh process that measures a plan. number: which of several it is, from 0.

        Raises CondsimError for what the process says that a user can put right, and where it ends
        by an error.
        """
        job = self.folder / f"job-{number}.json"
        result = self.folder / f"result-{number}.parquet"
        folder = str(self.trace_folder)
        fields = dataclasses.asdict(plan)
        told = {"trace": folder, "by_segment": self.by_segment, "plan": fields}
        job.write_text(json.dumps(told))
        label = f"process {number + 1} of {of}"
        self._run_worker([str(job), str(result)], plan.threads, label)
        table = pd.read_parquet(result)
        readings_file = result.with_suffix(".json")
        readings = json.loads(readings_file.read_text())
        return Result(table, readings)

    def _run_worker(self, arguments: list[str], threads: int, label: str) -> None:
        command = [sys.executable, "-m", "condsim.measure.worker", *arguments]
        count = str(threads)
        environment = os.environ | {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
        with tempfile.TemporaryFile("w+") as errors:
            with subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # it ends with this process, and the worker with it
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            ) as worker:
                try:
                    assert worker.stdout is not None
                    self._pass_on_progress(worker.stdout, label)
                    code = worker.wait()
                except BaseException:
                    worker.kill()
                    raise
            errors.seek(0)
            _require_success(code, errors.read())

    def _pass_on_progress(self, said: IO[str], label: str) -> None:
        """Call `progress` for each line of a worker that reports it."""
        for line in said:
            if self.progress is not None and line.startswith('["'):
                what, done, of = json.loads(line)
                self.progress(f"{what} ({label})", done, of)


@contextlib.contextmanager
def processes_for(
    trace: Trace, progress: Progress | None, by_segment: bool = False
) -> Iterator[Processes]:
    """Processes with a temporary folder, and in it the trace without what was measured before."""
    no_measurements = trace.measurements[:0]
    no_segments = trace.segments[:0]
    bare = dataclasses.replace(
        trace, measurements=no_measurements, segments=no_segments, profile=None
    )
    with temporary_folder(FOLDER) as folder:
        processes = Processes(folder, progress, by_segment)
        bare.save(processes.trace_folder)
        yield processes


def _require_success(code: int, errors: str) -> None:
    """Raises CondsimError unless a worker ended well. errors: its standard error."""
    lines = [line for line in errors.splitlines() if line.strip()]
    if code == BAD_INPUT and lines:
        raise CondsimError(lines[-1])
    if code:
        last = lines[-1] if lines else "it said nothing"
        raise CondsimError(f"the measuring process ended with code {code}: {last}")
