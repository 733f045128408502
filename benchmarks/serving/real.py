"""A small server on this CPU, measured and predicted.

    python -m benchmarks.serving.real

One process and thread takes what has arrived, up to a batch, runs the model on it, and answers. The
prediction knows the captured trace, the calibration of this machine, the arrivals, and what the loop
itself takes a step, which is measured with a model that does nothing. Nothing is fitted to a run.
Where arrivals exceed what the server does, a step that is off by a tenth moves the queue by far more
than a tenth, so the seconds of steps a request (busy) stand beside the latencies.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

import condsim
from condsim.hardware import HardwareProfile, this_machine
from condsim.serve.prices.composition import Pool
from condsim.serve.requests import Requests, poisson
from condsim.steps.rebatch import rebatch
from condsim.trace import Trace
from condsim.zoo.loading import load

MODELS = ("exit-fashion", "moe-bytes")
LOADS = (0.5, 0.8, 1.3)
"""Arrivals, as a share of what the server is predicted to serve at most."""
MAX_BATCH = 16
BARS = {50: 0.15, 99: 0.25}
"""Percentile of the latency → relative error that is aimed at."""

Run = Callable[[torch.Tensor], object]


@dataclass(frozen=True)
class Served:
    """A model with its samples, in the order of the trace's units."""

    name: str
    run: Run
    samples: torch.Tensor
    trace: Trace


def prepared(name: str) -> Served:
    """Build a model, capture it, and run it at every size."""
    example = load(name)
    trace = condsim.capture(example.model, example.inputs, measure=False, name=name)
    samples = torch.cat(list(example.inputs))
    with torch.inference_mode():
        for _ in range(3):
            for size in range(1, MAX_BATCH + 1):
                example.model(samples[:size])
    return Served(name, example.model, samples, trace)


def serve_here(
    run: Run, samples: torch.Tensor, units: torch.Tensor, arrival_s: list[float]
) -> tuple[np.ndarray, float]:
    """Serve requests as they arrive; returns (when each was answered, float [n]; seconds of all
    steps)."""
    count = len(arrival_s)
    answered_s = np.empty(count)
    arrived = begun = 0
    busy_s = 0.0
    with torch.inference_mode():
        start = time.perf_counter()
        while begun < count:
            now = time.perf_counter() - start
            while arrived < count and arrival_s[arrived] <= now:
                arrived += 1
            if arrived == begun:
                continue
            end = min(arrived, begun + MAX_BATCH)
            run(samples[units[begun:end]])
            ended = time.perf_counter() - start
            answered_s[begun:end] = ended
            busy_s += ended - now
            begun = end
    return answered_s, busy_s


def overhead(samples: torch.Tensor) -> float:
    """Seconds that the loop takes a step beside the model: the median over 500 steps."""
    arrival_s = [0.0] * (500 * MAX_BATCH)
    units = torch.arange(len(arrival_s)) % len(samples)
    answered_s, _ = serve_here(lambda batch: batch, samples, units, arrival_s)
    return float(np.median(np.diff(np.unique(answered_s))))


def predicted(served: Served, profile: HardwareProfile, requests: Requests, overhead_s: float):
    """What condsim says of the conditional side."""
    answer = condsim.serve(
        served.trace, profile, requests, max_batch=MAX_BATCH, exits="wait", overhead_s=overhead_s
    )
    return answer.conditional


def measure(served: Served, profile: HardwareProfile, seconds: float) -> list[dict[str, object]]:
    """Serve one model at every load; returns a row a load."""
    overhead_s = overhead(served.samples)
    full = predicted(served, profile, poisson(1e6, 2000), overhead_s).saturated
    rows = []
    for load_share in LOADS:
        rate = load_share * full
        requests = poisson(rate, max(200, int(rate * seconds)), seed=1)
        pool = Pool.of(rebatch(served.trace, 1))
        units = torch.from_numpy(pool.draw(len(requests), np.random.default_rng(0)).copy())
        arrival_s = requests.arrival_s.tolist()
        answered_s, busy_s = serve_here(served.run, served.samples, units, arrival_s)
        ours = predicted(served, profile, requests, overhead_s)
        row: dict[str, object] = {
            "model": served.name,
            "load": load_share,
            "rate": rate,
            "requests": len(requests),
            "overhead_s": overhead_s,
            "measured_busy_s": busy_s / len(requests),
            "predicted_busy_s": ours.utilisation * ours.duration_s / len(requests),
        }
        for q in BARS:
            measured_s = float(np.percentile(answered_s - requests.arrival_s, q))
            predicted_s = float(np.percentile(ours.latency_s, q))
            row |= {
                f"measured_p{q}_s": measured_s,
                f"predicted_p{q}_s": predicted_s,
                f"error_p{q}": predicted_s / measured_s - 1,
            }
        rows.append(row)
    return rows


def main() -> None:
    """Calibrate, serve, predict, and print a row a model and load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of arrivals, a row")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--as-calibrated", action="store_true", help="use the profile that is there"
    )
    parser.add_argument("--csv", help="also write the table here")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    profile = this_machine() if asked.as_calibrated else condsim.calibrate()
    assert profile is not None, "this machine is not calibrated"
    served = [prepared(name) for name in MODELS]
    rows = [
        row | {"round": number}
        for number in range(asked.rounds)
        for each in served
        for row in measure(each, profile, asked.seconds)
    ]
    table = pd.DataFrame(rows)
    print(table.to_string(float_format=lambda value: f"{value:.4g}"))
    busy = table["predicted_busy_s"] / table["measured_busy_s"] - 1
    print(f"seconds of steps a request: {busy.min():+.1%} ... {busy.max():+.1%}")
    for q, bar in BARS.items():
        off = table[f"error_p{q}"].abs()
        print(
            f"p{q}: median |error| {off.median():.1%}, worst {off.max():.1%}, {(off <= bar).sum()} of {len(off)} within {bar:.0%}"
        )
    if asked.csv:
        table.to_csv(asked.csv, index=False)


if __name__ == "__main__":
    main()
