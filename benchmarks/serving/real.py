"""A small server on this CPU, measured and predicted.

    python -m benchmarks.serving.real

One process and thread takes what has arrived, up to a batch, runs the model on it, and answers. It
is a fresh process, as a server is: what was captured and calibrated before leaves holes in the
heap. The prediction knows the captured trace, the calibration of this machine, the arrivals, and
what the loop itself takes a step, which is measured with a model that does nothing. Nothing is
fitted to a run. Where arrivals exceed what the server does, a step that is off by a tenth moves the
queue by far more than a tenth, so the seconds of steps a request (busy) stand beside the latencies.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

import condsim
from condsim.hardware import HardwareProfile, this_machine
from condsim.serve.outcome import Outcome
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
Answered = tuple[np.ndarray, float]
"""(when each request was answered, float [n]; seconds of all steps)."""


@dataclass(frozen=True)
class Load:
    """What one run is asked. units: the sample of each request. arrival_s: in order."""

    units: np.ndarray
    arrival_s: list[float]


def captured(name: str) -> Trace:
    """Build a model and capture it."""
    example = load(name)
    return condsim.capture(example.model, example.inputs, measure=False, name=name)


def served_alone(name: str, loads: list[Load]) -> tuple[float, list[Answered]]:
    """Serve loads one after the other; returns (seconds that the loop takes a step beside the
    model, what came of each). Runs in a process of its own, with the model at every size before."""
    torch.set_num_threads(1)
    example = load(name)
    samples = torch.cat(list(example.inputs))
    with torch.inference_mode():
        for _ in range(3):
            for size in range(1, MAX_BATCH + 1):
                example.model(samples[:size])
    overhead_s = overhead(samples)
    answered = []
    for asked in loads:
        units = torch.from_numpy(asked.units)
        answered.append(serve_here(example.model, samples, units, asked.arrival_s))
    return overhead_s, answered


def in_a_fresh_process(name: str, loads: list[Load]) -> tuple[float, list[Answered]]:
    """What `served_alone` returns."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(served_alone, (name, loads))


def serve_here(
    run: Run, samples: torch.Tensor, units: torch.Tensor, arrival_s: list[float]
) -> Answered:
    """Serve requests as they arrive."""
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


def predicted(trace: Trace, profile: HardwareProfile, requests: Requests, overhead_s: float):
    """What condsim says of the conditional side."""
    answer = condsim.serve(
        trace, profile, requests, max_batch=MAX_BATCH, exits="wait", overhead_s=overhead_s
    )
    return answer.conditional


def measure(trace: Trace, profile: HardwareProfile, seconds: float) -> list[dict[str, object]]:
    """Serve one model at every load; returns a row a load."""
    full = predicted(trace, profile, poisson(1e6, 2000), 0.0).saturated
    pool = Pool.of(rebatch(trace, 1))
    asked, loads = [], []
    for share in LOADS:
        rate = share * full
        requests = poisson(rate, max(200, int(rate * seconds)), seed=1)
        units = pool.draw(len(requests), np.random.default_rng(0)).astype(np.int64)
        asked.append((share, rate, requests))
        loads.append(Load(units, requests.arrival_s.tolist()))
    overhead_s, answered = in_a_fresh_process(trace.name, loads)
    rows = []
    for (share, rate, requests), came in zip(asked, answered, strict=True):
        row = {"model": trace.name, "load": share, "rate": rate, "overhead_s": overhead_s}
        ours = predicted(trace, profile, requests, overhead_s)
        rows.append(row | compared(requests, came, ours))
    return rows


def compared(requests: Requests, came: Answered, ours: Outcome) -> dict[str, object]:
    """What was measured beside what was predicted."""
    answered_s, busy_s = came
    row: dict[str, object] = {
        "requests": len(requests),
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
    return row


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
    traces = [captured(name) for name in MODELS]
    rows = [
        row | {"round": number}
        for number in range(asked.rounds)
        for each in traces
        for row in measure(each, profile, asked.seconds)
    ]
    table = pd.DataFrame(rows)
    print(table.to_string(float_format=lambda value: f"{value:.4g}"))
    busy = table["predicted_busy_s"] / table["measured_busy_s"] - 1
    print(f"seconds of steps a request: {busy.min():+.1%} ... {busy.max():+.1%}")
    for q, bar in BARS.items():
        off = table[f"error_p{q}"].abs()
        print(
            f"p{q}: median |error| {off.median():.1%}, worst {off.max():.1%}, "
            f"{(off <= bar).sum()} of {len(off)} within {bar:.0%}"
        )
    if asked.csv:
        table.to_csv(asked.csv, index=False)


if __name__ == "__main__":
    main()
