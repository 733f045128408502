"""How loaded the machine was: two fixed jobs, timed before and after whatever is measured.

They gate and never correct. A process in which one of them took more than 15 % longer than in the best process is marked, and measured again once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Any

from condsim.measure.clock import CPU

if TYPE_CHECKING:
    import pandas as pd

NOISY = 1.15
Reading = Mapping[str, float]


def read() -> dict[str, float]:
    """Seconds of a matmul that fits the second-level cache and of a read of 64 MB: the median of seven samples each."""
    from condsim.calibrate.timing import quiet

    with quiet():
        samples = {name: [_sample(call, repeats) for _ in range(8)] for name, (call, repeats) in _jobs().items()}
    return {name: median(seconds[1:]) for name, seconds in samples.items()}


def _sample(call: Callable[[], Any], repeats: int) -> float:
    start = CPU()
    for _ in range(repeats):
        call()
    return (CPU() - start) / repeats


@cache
def _jobs() -> dict[str, tuple[Callable[[], Any], int]]:
    """Name → (job, how often it runs in a sample)."""
    import torch

    square, big = torch.full((128, 128), 0.5), torch.full((16_000_000,), 0.5)
    return {"matmul_l2": (lambda: torch.mm(square, square), 20), "read_64mb": (lambda: torch.sum(big), 1)}


def best(readings: Iterable[Reading]) -> dict[str, float]:
    """The shortest time of each yardstick."""
    lowest: dict[str, float] = {}
    for reading in readings:
        for name, seconds in reading.items():
            lowest[name] = min(seconds, lowest.get(name, seconds))
    return lowest


def ratio(readings: Iterable[Reading], lowest: Reading) -> float:
    """The longest time of any yardstick over the shortest that was seen, at least 1."""
    return max(seconds / lowest[name] for reading in readings for name, seconds in reading.items())


def quiet_rows(measurements: pd.DataFrame) -> pd.DataFrame:
    """Rows of processes that were not noisy; all rows of a case that has none."""
    if measurements.empty or "yardstick_ratio" not in measurements:
        return measurements
    case = ["strategy", "baseline", "phase", "batch", "protocol", "fingerprint", "where"]
    good = measurements["yardstick_ratio"] <= NOISY
    any_good = good.groupby([measurements[c] for c in case]).transform("any")
    return measurements[good | ~any_good]
