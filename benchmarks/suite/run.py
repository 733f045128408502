"""Calibrate this machine and measure all cases of the suite on it.

    python -m benchmarks.suite.run RUN

It needs a quiet machine for about 35 minutes. RUN is a folder. What was measured into it is not
measured again, so that a run that was cut short goes on. In the end it holds profile.yaml and
measurements.parquet, which is all that a judgement needs beside the captured traces. Models that
were never captured are captured first.

Each process is fresh. A round of the calibration comes before, between and after the processes,
since what neighbours do to the caches changes by the minute and both should see the same.

`--threads 2`, `--dtype bf16` and `--runtime compiled` make the runs beside the usual one; the last
two measure one model a family. `--device cuda` measures on a GPU (tested on CPUs only so far), and
`--cases outside` measures the second list.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, astuple, replace
from functools import partial
from pathlib import Path

import pandas as pd

import condsim
from benchmarks.suite.captured import captured
from benchmarks.suite.cases import LISTS, Under, by_model, listed
from condsim.calibrate.accelerator import calibrate_accelerator
from condsim.calibrate.cpu import Beside
from condsim.calibrate.shapes import NORMAL
from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.protocols import LOOP
from condsim.trace import MEASUREMENTS, Trace

PROCESSES = 3
USUAL = Under()


def run(
    folder: Path, processes: int = PROCESSES, under: Under = USUAL, like: str | None = None
) -> None:
    """Measure everything that the folder lacks.

    like: name of the shipped profile that is like the GPU; None takes the one that the GPU's name
    says. A CPU needs none. Raises CondsimError where the folder was begun under other conditions.
    """
    if (folder / "measurements.parquet").exists():
        return
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    kept = folder / "under.json"
    if kept.exists() and json.loads(kept.read_text()) != asdict(under):
        raise CondsimError(
            f"{folder} was begun under {kept.read_text()}; "
            "go on with these options, or choose another folder"
        )
    write_whole(kept, json.dumps(asdict(under)))
    models = list(by_model(listed(under)))
    for model in models:
        captured(model)
    between = partial(measure, folder, under)
    if under.device == "cpu":
        calibrated(folder, processes, under, between)
    else:
        calibrate_accelerator(under.device, like, Told(), save=False).save(folder / "profile.yaml")
        for process in range(processes):
            between(process, 0.0)
    written = []
    for process in range(processes):
        written += [parts / f"{process}-{model}.parquet" for model in models]
    collect(folder, written)


def calibrated(
    folder: Path, processes: int, under: Under, between: Callable[[int, float], None]
) -> None:
    """Calibrate this CPU around the processes, and write the profile."""
    size = replace(NORMAL, rounds=processes + 1)
    way = {"threads": under.threads, "dtype": under.dtype, "compiled": under.compiled}
    beside = Beside(between=between)
    profile = condsim.calibrate(size=size, **way, beside=beside, progress=Told(), save=False)
    profile.save(folder / "profile.yaml")


def collect(folder: Path, parts: list[Path]) -> None:
    """Join the parts into one table and delete them."""
    found = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    found["yardstick_ratio"] = found["read_64mb"] / found["read_64mb"].min()
    table = found[["model", *MEASUREMENTS]]
    write_whole(folder / "measurements.parquet", table.to_parquet(index=False, compression="zstd"))
    for part in parts:
        part.unlink()
    (folder / "parts").rmdir()


def measure(folder: Path, under: Under, process: int, fast_s: float) -> None:
    """Measure all models in one fresh process.

    fast_s: seconds of the yardstick when nothing disturbs it, or 0 where nobody knows.
    """
    worker = [sys.executable, "-m", "benchmarks.suite.worker"]
    arguments = [folder, process, fast_s, *astuple(under)]
    subprocess.run([*worker, *map(str, arguments)], check=True)


class Told:
    """Prints the progress of the calibration, a line a stage."""

    last = ""

    def __call__(self, what: str, _share: float) -> None:
        if what != self.last:
            print(f"calibrating: {what}", file=sys.stderr, flush=True)
            self.last = what


def traces(folder: Path, loops: bool = False) -> list[Trace]:
    """Return the suite's traces with what a run measured, and the profile it was measured under.

    loops: True returns only what was measured in loops (older runs have none), False all the rest.
    A loop answers a question of its own, so it is judged apart.
    """
    measured = pd.read_parquet(folder / "measurements.parquet")
    measured = measured[(measured["protocol"] == LOOP.name) == loops]
    profile = condsim.hardware(str(folder / "profile.yaml"))
    found = []
    for model, group in measured.groupby("model", sort=False):
        rows = group.drop(columns="model").reset_index(drop=True)
        found.append(captured(str(model)).with_measurements(rows, profile))
    return found


def main() -> None:
    """Read the options and make the run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--threads", type=int, default=USUAL.threads)
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default=USUAL.dtype)
    parser.add_argument("--runtime", choices=("eager", "compiled"), default=USUAL.runtime)
    on_gpu = "cuda: on the GPU, with constants calibrated there; tested on CPUs only so far"
    parser.add_argument("--device", default=USUAL.device, help=on_gpu)
    parser.add_argument("--cases", choices=tuple(LISTS), default=USUAL.cases)
    parser.add_argument("--like", help="of a GPU: the shipped profile of its kind")
    asked = parser.parse_args()
    under = Under(asked.threads, asked.dtype, asked.runtime, asked.device, asked.cases)
    run(asked.run, asked.processes, under, asked.like)


if __name__ == "__main__":
    main()
