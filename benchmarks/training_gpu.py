"""Measure peak memory and seconds of a training step on a GPU, beside what is predicted.

    python -m benchmarks.training_gpu [--device cuda] [--profile nvidia-h200-sxm]
                                      [--write FILE.json]

The models are a looped and a grouped Mixtral, trained by AdamW with `foreach`, as PyTorch has it on
a GPU. They are captured on the CPU and predicted on the profile.

The peak is `torch.cuda.max_memory_allocated` over a step, above what lives all the time. The
seconds are those of the device, the median of steps that are waited for. PyTorch's allocator rounds
each tensor up to 512 bytes, which is not predicted. With --device cpu the peak is what the
allocator reports to the profiler, so that the command can be tested anywhere.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import condsim
from benchmarks.training_memory import LIBRARY, Config, Step, allocated_peak, step_of
from condsim.files import write_whole

LARGE = Config(1024, 2048, 2, 8, 2, 32000, 8, 512)
SMALL = Config(64, 128, 1, 8, 2, 256, 2, 32)
"""For the CPU, where the command is only tested."""
WARM, STEPS = 3, 10


def optimizer_of(weights: Any) -> torch.optim.Optimizer:
    """AdamW that moves nothing."""
    return torch.optim.AdamW(weights, lr=0.0, foreach=True)


def peak_of(step: Step, device: torch.device) -> int:
    """Bytes at the peak of a step, above what lives all the time."""
    if device.type == "cpu":
        return allocated_peak(step)
    for _ in range(WARM):
        step()
    torch.cuda.synchronize(device)
    resident = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - resident


def seconds_of(step: Step, device: torch.device) -> float:
    """Of a step, the median."""
    taken = []
    for number in range(WARM + STEPS):
        began = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number >= WARM:
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def rows_of(config: Config, device: torch.device, profile: str) -> Iterator[dict[str, Any]]:
    """A row a strategy: measured and predicted."""
    model, ids = config.model(), config.tokens()
    model.set_experts_implementation("grouped_mm")  # type: ignore[operator]
    inputs = {"input_ids": ids, "labels": ids}
    training = condsim.Training(optimizer=optimizer_of)
    trace = condsim.capture(model, inputs, train=training, measure=False)
    model.to(device).train()
    for strategy in ("looped", "grouped"):
        model.set_experts_implementation(LIBRARY[strategy])  # type: ignore[operator]
        step = step_of(model, optimizer_of(model.parameters()), ids.to(device))
        p = condsim.simulate(trace, profile, strategy, dtype="fp32", protocol="loop")
        peak = p.memory.training
        assert peak is not None
        yield {
            "strategy": strategy,
            "measured_bytes": peak_of(step, device),
            "predicted_bytes": peak.alive_bytes,
            "measured_s": seconds_of(step, device),
            "predicted_s": p.latency_s,
        }


def provenance(device: torch.device, profile: str) -> dict[str, Any]:
    """Where the figures come from."""
    on_gpu = device.type == "cuda"
    return {
        "command": " ".join(["python -m benchmarks.training_gpu", *sys.argv[1:]]),
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "cuda": torch.version.cuda if on_gpu else None,
        "torch": str(torch.__version__),
        "profile": profile,
        "taken": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--profile", default="nvidia-h200-sxm")
    parser.add_argument("--write", type=Path, help="a JSON file for figures and provenance")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --device cpu tests the command")
    config = LARGE if device.type == "cuda" else SMALL
    found = {**provenance(device, options.profile), "rows": []}
    for row in rows_of(config, device, options.profile):
        found["rows"].append(row)
        print(json.dumps(row), flush=True)
    if options.write is not None:
        write_whole(options.write, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
