"""How fast sweeps are: points a second against workers, on one machine and on a Dask cluster of
processes here.

    python -m benchmarks.sweep [--workers 1 2] [--no-dask] [--write]

Grids of shipped traces. Starting processes counts, since a user waits for it. Whoever prices a grid
writes the same bytes: that is checked. --write: put the table into docs/sweep.md.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import condsim
from benchmarks.tables import markdown, replace_between
from condsim.decide.sweep.run import sweep
from condsim.resources import resource

DOCS = Path(__file__).parents[1] / "docs" / "sweep.md"
PORT = 28786
BATCHES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
GRIDS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "exit-fashion, the measured CPU: batch x strategy x baseline x protocol": (
        "exit-fashion",
        None,
        {
            "batch": BATCHES,
            "baseline": "all",
            "protocol": ["stream", "repeat", "loop"],
            "strategy": "all",
        },
    ),
    "exit-fashion, 19 devices: batch x strategy x baseline": (
        "exit-fashion",
        None,
        {"device": "all", "batch": BATCHES, "baseline": "all", "strategy": "all"},
    ),
    "moe-bytes, H100: batch x strategy x baseline": (
        "moe-bytes",
        "nvidia-h100-sxm",
        {"batch": BATCHES, "baseline": "all", "strategy": "all"},
    ),
}


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    """A Dask scheduler and workers of one thread each, as processes."""
    import distributed

    address = f"tcp://127.0.0.1:{PORT}"
    dask = [sys.executable, "-m", "dask"]
    commands = [[*dask, "scheduler", "--port", str(PORT), "--no-dashboard"]]
    commands += [[*dask, "worker", address, "--nthreads", "1", "--no-dashboard"]] * workers
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(command, **quiet) for command in commands]
    try:
        with distributed.Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def timed(name: str, who: dict[str, Any], folder: Path) -> tuple[int, float, bytes]:
    """Points, seconds, and what was written."""
    trace, device, over = GRIDS[name]
    opened = condsim.load(resource("traces") / trace)
    out = folder / "points.parquet"
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    table = sweep(opened, over, device, out=out, **who)
    return len(table), time.perf_counter() - began, out.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--no-dask", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        who: dict[str, dict[str, Any]] = {
            f"{n} worker{'s' * (n > 1)}": {"workers": n} for n in options.workers
        }
        if not options.no_dask:
            who["Dask, 2 workers"] = {"workers": None, "dask": stack.enter_context(cluster(2))}
        for name in GRIDS:
            written = set()
            row: dict[str, Any] = {"grid": name, "points": 0}
            for label, how in who.items():
                points, seconds, content = timed(name, how, folder)
                written.add(content)
                row["points"] = points
                row[f"points/s, {label}"] = round(points / seconds)
            if len(written) > 1:
                raise AssertionError(f"{name}: not the same bytes")
            rows.append(row)
            print(row, flush=True)
    table = markdown(pd.DataFrame(rows))
    print(table)
    if options.write:
        replace_between(DOCS, "sweep", table)


if __name__ == "__main__":
    main()
