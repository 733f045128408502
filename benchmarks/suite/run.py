"""`python -m benchmarks.suite.run RUN`: calibrate this machine, capture what was never captured, measure all cases in fresh processes.

A round of the calibration comes before, between and after the processes: what neighbours do to the caches changes by the minute, and both should see the same.
RUN is a folder; what was measured into it is not measured again, so that a run that was cut short goes on. In the end it holds profile.yaml and
measurements.parquet, which is all that a judgement needs beside the captured traces. The machine should be quiet: about 35 minutes.
`--threads 2`, `--dtype bf16` and `--runtime compiled` make the runs beside the usual one, the last two of one model a family; `--device cuda` the same on a
GPU (tested on CPUs only so far); `--cases outside` the second list.
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
    """Fill the folder. like: of a GPU, the shipped profile of its kind; None: the one that its name says."""
    if (folder / "measurements.parquet").exists():
        return
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    kept = folder / "under.json"
    if kept.exists() and json.loads(kept.read_text()) != asdict(under):
        raise CondsimError(
            f"{folder} was begun under {kept.read_text()}; go on with these options, or choose another folder"
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
    collect(folder, [parts / f"{p}-{m}.parquet" for p in range(processes) for m in models])


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
    """Put what was measured into one table, in place of its parts."""
    found = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    found["yardstick_ratio"] = found["read_64mb"] / found["read_64mb"].min()
    table = found[["model", *MEASUREMENTS]]
    write_whole(folder / "measurements.parquet", table.to_parquet(index=False, compression="zstd"))
    for part in parts:
        part.unlink()
    (folder / "parts").rmdir()


def measure(folder: Path, under: Under, process: int, fast_s: float) -> None:
    """One process. fast_s: the yardstick when nothing disturbs it, 0 where nobody knows."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.suite.worker",
            str(folder),
            str(process),
            str(fast_s),
            *map(str, astuple(under)),
        ],
        check=True,
    )


class Told:
    """Progress of the calibration, a line a stage."""

    last = ""

    def __call__(self, what: str, _share: float) -> None:
        if what != self.last:
            print(f"calibrating: {what}", file=sys.stderr, flush=True)
            self.last = what


def traces(folder: Path, loops: bool = False) -> list[Trace]:
    """The suite's traces with what a run measured and the profile that it was measured under.

    loops: what was measured in loops, none in runs from before; else all that was not: a loop answers a question of its own, and is judged apart.
    """
    found = pd.read_parquet(folder / "measurements.parquet")
    found = found[(found["protocol"] == LOOP.name) == loops]
    profile = condsim.hardware(str(folder / "profile.yaml"))
    return [
        captured(m).with_measurements(group.drop(columns="model").reset_index(drop=True), profile)
        for m, group in found.groupby("model", sort=False)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--threads", type=int, default=USUAL.threads)
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default=USUAL.dtype)
    parser.add_argument("--runtime", choices=("eager", "compiled"), default=USUAL.runtime)
    parser.add_argument(
        "--device",
        default=USUAL.device,
        help="cuda: on the GPU, with constants that are calibrated there; tested on CPUs only so far",
    )
    parser.add_argument("--cases", choices=tuple(LISTS), default=USUAL.cases)
    parser.add_argument("--like", help="of a GPU: the shipped profile of its kind")
    options = parser.parse_args()
    run(
        options.run,
        options.processes,
        Under(options.threads, options.dtype, options.runtime, options.device, options.cases),
        options.like,
    )
