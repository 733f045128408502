"""How long many devices and many requests take to simulate, and how much memory.

    python -m benchmarks.many_devices ranks [--ranks 64] [--steps 1000]
    python -m benchmarks.many_devices requests [--count 1000000] [--file]

ranks: decode steps of DeepSeek-V3 (61 layers, 256 experts in 58 of them) with its experts spread
over H200s, its routing drawn from published statistics; recording and drawing are not timed.
requests: a small model that samples leave early, in batches, under Poisson arrivals; with --file
they are read from a CSV file. Seconds are of one core's CPU; memory is the largest of the process.
"""

from __future__ import annotations

import argparse
import resource as process
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import condsim
from condsim.catalogue import CATALOGUE
from condsim.catalogue.parts.programs import all_programs_of
from condsim.program.regime import DECODE, Regime
from condsim.resources import resource
from condsim.routing.drawn import decode_steps, drawn_trace
from condsim.routing.named import routing_for
from condsim.serve.columns import blocks
from condsim.serve.requests import Requests, poisson
from condsim.trace import Trace

MODEL, DEVICE = "deepseek-v3", "nvidia-h200-sxm"
CONTEXT = 4096
SMALL, CPU, RATE = "exit-fashion", "amd-epyc-9655", 5000.0
BARS = {"ranks": 30.0, "requests": 300.0}
"""CPU seconds that are aimed at."""


def spread_trace(ranks: int, steps: int) -> Trace:
    """Return a sequence a rank, in so many decode steps."""
    model = CATALOGUE[MODEL]
    programs = all_programs_of(model, [Regime(DECODE, False)])
    generator = routing_for(programs, model.routing)
    return programs.with_routing(drawn_trace(generator, decode_steps(ranks, CONTEXT, steps)))


def ranks(asked: argparse.Namespace) -> dict[str, Any]:
    """Spread the experts over ranks; returns what came out."""
    trace = spread_trace(asked.ranks, asked.steps)
    numbers = list(range(asked.steps))

    def simulated() -> dict[str, Any]:
        parallel = condsim.Parallel(expert=asked.ranks)
        predicted = condsim.simulate(
            trace, DEVICE, batch=asked.ranks, runtime="served", parallel=parallel, steps=numbers
        )
        return {"speedup": predicted.speedup, "latency_s": predicted.latency_s}

    return timed(simulated)


def requests(asked: argparse.Namespace) -> dict[str, Any]:
    """Serve requests; returns what came out."""
    trace = condsim.load(resource("traces") / SMALL)

    def served() -> dict[str, Any]:
        arriving: Any = poisson(RATE, asked.count)
        if asked.file:
            with tempfile.TemporaryDirectory() as folder:
                arriving = written(arriving, Path(folder) / "requests.csv")
                answer = condsim.serve(trace, CPU, arriving)
        else:
            answer = condsim.serve(trace, CPU, arriving)
        steps = sum(side.steps for side in answer.sides.values())
        return {"speedup": answer.speedup, "steps": steps}

    return timed(served)


def written(asked: Requests, file: Path) -> Path:
    """Write when requests arrive into a file."""
    with file.open("w") as opened:
        opened.write("arrival_s\n")
        for (arrival_s,) in blocks(asked.arrival_s):
            np.savetxt(opened, arrival_s, fmt="%.9f")
    return file


def timed(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run once; returns what came out, CPU seconds, and MiB of the process at most."""
    began = time.process_time()
    found = run()
    took_s = time.process_time() - began
    most = process.getrusage(process.RUSAGE_SELF).ru_maxrss / 1024
    return {**found, "cpu_s": took_s, "peak_mib": most}


def main() -> None:
    """Print what one part takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    of_ranks = parts.add_parser("ranks")
    of_ranks.add_argument("--ranks", type=int, default=64)
    of_ranks.add_argument("--steps", type=int, default=1000)
    of_requests = parts.add_parser("requests")
    of_requests.add_argument("--count", type=int, default=1_000_000)
    of_requests.add_argument("--file", action="store_true")
    asked = parser.parse_args()
    found = {"ranks": ranks, "requests": requests}[asked.part](asked)
    for name, value in found.items():
        print(f"{name}: {value:.4g}")
    bar = BARS[asked.part]
    print(f"bar {bar:g} s:", "met" if found["cpu_s"] <= bar else "missed")


if __name__ == "__main__":
    main()
