"""Times partitions beside the plain network, step by step, in captured order."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch

from benchmarks.partitions.calibrate import undisturbed
from benchmarks.partitions.graphs import Run, exits, skips
from condsim.timing.cases import quiet, threads
from condsim.timing.clock import CPU
from condsim.zoo import load
from condsim.zoo.skip_fashion import SkipFashion

MODELS: dict[str, tuple[float, ...]] = {
    "exit-fashion": (0.5, 0.73, 0.9),
    "skip-fashion": (-1.0, 0.0, 1.0),
}
"""Model → thresholds: confidence at which an image leaves, score above which it enters a block."""
STEPS = {1: 48, 2: 32, 4: 24, 16: 10}
"""Batch → steps that are timed."""
WARM, PAIRS = 2, 30
BUILD: dict[str, Callable[..., tuple[Run, Run]]] = {"exit-fashion": exits, "skip-fashion": skips}


@dataclass(frozen=True)
class Case:
    """What is timed: a model of the zoo at a threshold and a batch."""

    model: str
    threshold: float
    batch: int


def cases() -> Iterator[Case]:
    """Yield all cases."""
    for model, thresholds in MODELS.items():
        for threshold in thresholds:
            for batch in STEPS:
                yield Case(model, threshold, batch)


def with_threshold(model: SkipFashion, threshold: float) -> SkipFashion:
    """Return a copy whose gates open above 0 where the model's open above the threshold."""
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for gate in moved.gates:
            gate[-1].bias -= threshold
    return moved


def measure(case: Case) -> pd.DataFrame:
    """Return a row a step: the seconds of both when no neighbour slows the core down.

    They are the 10 % quantile of `PAIRS` timings, taken in pairs of random order.
    """
    example = load(case.model, batch=case.batch, batches=STEPS[case.batch])
    images = [x.numpy() for x in example.inputs]
    with threads(1):
        switched, plain = BUILD[case.model](example.model, case.batch, case.threshold)
        with quiet():
            seen = _timed({"switched_s": switched, "plain_s": plain}, images)
    rows = []
    for step in range(len(images)):
        row = {**asdict(case), "step": step}
        for name in ("switched_s", "plain_s"):
            fastest_s = undisturbed(seen[step, name])
            row[name] = float(f"{fastest_s:.5g}")
        rows.append(row)
    return pd.DataFrame(rows)


def _timed(runs: dict[str, Run], images: list[np.ndarray]) -> dict[tuple[int, str], list[float]]:
    """Return (step, name of a run) → its seconds, without those of the first rounds."""
    seen: dict[tuple[int, str], list[float]] = {}
    order = random.Random(0)
    for number in range(WARM + PAIRS):
        for step, x in enumerate(images):
            for name, run in order.sample(list(runs.items()), 2):
                start = CPU()
                run(x)
                seconds = CPU() - start
                if number >= WARM:
                    seen.setdefault((step, name), []).append(seconds)
    return seen
