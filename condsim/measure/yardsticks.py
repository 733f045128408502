"""How loaded the memory was, and which measurements count.

The memory's yardstick is a fixed job, timed before and after whatever a process measures. A process
in which it took more than 15 % longer than in the best process is marked, and measured again once.
How disturbed the core was is read beside every pair (`condsim.timing.yardstick.Yardstick`).
Yardsticks gate and never correct.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

import pandas as pd

from condsim.hardware import UNDISTURBED
from condsim.timing.clock import CPU

NOISY = 1.15
"""The ratio of `ratio` above which a process is marked."""
CASE = ["strategy", "baseline", "phase", "batch", "protocol", "fingerprint", "where"]
ELEMENTS = 16_000_000
SAMPLES = 7
Reading = Mapping[str, float]
"""Yardstick → seconds."""


def read() -> dict[str, float]:
    """Seconds of a read of 64 MB: the median of seven samples, after one that does not count."""
    import torch

    from condsim.timing.cases import quiet

    big = torch.full((ELEMENTS,), 0.5)
    samples: list[float] = []
    with quiet():
        for _ in range(1 + SAMPLES):
            start = CPU()
            torch.sum(big)
            samples.append(CPU() - start)
    return {"read_64mb": median(samples[1:])}


def best(readings: Iterable[Reading]) -> dict[str, float]:
    """The shortest time of each yardstick."""
    lowest: dict[str, float] = {}
    for reading in readings:
        for name, seconds in reading.items():
            lowest[name] = min(seconds, lowest.get(name, seconds))
    return lowest


def ratio(readings: Iterable[Reading], lowest: Reading) -> float:
    """The longest time of any yardstick over the shortest that was seen, at least 1."""
    ratios: list[float] = []
    for reading in readings:
        for name, seconds in reading.items():
            ratios.append(seconds / lowest[name])
    return max(ratios)


def quiet_rows(measurements: pd.DataFrame, fast_s: float | None = None) -> pd.DataFrame:
    """What counts: pairs that nothing disturbed, in processes that were not noisy.

    Of a case that has no such process, or no such pair in those processes, all count.
    measurements: rows of `Trace.measurements`. fast_s: the yardstick when nothing disturbs (the
    profile's); None: the 5 % quantile of the readings.
    """
    if measurements.empty:
        return measurements
    low_s = float(measurements["yardstick_s"].quantile(0.05))
    fastest_s = _fastest(low_s, fast_s)
    of_quiet_processes = _up_to(measurements, "yardstick_ratio", NOISY)
    return _up_to(of_quiet_processes, "yardstick_s", UNDISTURBED * fastest_s)


def noisy(counting: pd.DataFrame, fast_s: float | None = None) -> bool:
    """Whether what counts in a case was disturbed all the same, since there was nothing else.

    counting: rows of one case from `quiet_rows`. fast_s: as in `quiet_rows`; None: the fastest
    reading.
    """
    lowest_s = float(counting["yardstick_s"].min())
    fastest_s = _fastest(lowest_s, fast_s)
    noisy_process = counting["yardstick_ratio"] > NOISY
    disturbed_pair = counting["yardstick_s"] > UNDISTURBED * fastest_s
    return bool((noisy_process | disturbed_pair).any())


def _fastest(seen_s: float, calibrated_s: float | None) -> float:
    return min(seen_s, calibrated_s) if calibrated_s else seen_s


def _up_to(measurements: pd.DataFrame, column: str, limit: float) -> pd.DataFrame:
    """Rows up to a limit; all rows of a case that has none."""
    good = measurements[column] <= limit
    case = [measurements[name] for name in CASE]
    any_good = good.groupby(case).transform("any")
    return measurements[good | ~any_good]
