"""How loaded the memory was: a fixed job, timed before and after whatever a process measures; and which measurements count.

Yardsticks gate and never correct. A process in which the read took more than 15 % longer than in the best process is marked, and measured again once. How
disturbed the core was is read beside every pair (`condsim.timing.yardstick.Yardstick`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from condsim.hardware import UNDISTURBED
from condsim.timing.clock import CPU

if TYPE_CHECKING:
    import pandas as pd

NOISY = 1.15
CASE = ["strategy", "baseline", "phase", "batch", "protocol", "fingerprint", "where"]
Reading = Mapping[str, float]


def read() -> dict[str, float]:
    """Seconds of a read of 64 MB: the median of seven samples."""
    import torch

    from condsim.timing.cases import quiet

    big = torch.full((16_000_000,), 0.5)
    with quiet():
        samples = [_sample(lambda: torch.sum(big)) for _ in range(8)]
    return {"read_64mb": median(samples[1:])}


def _sample(call: Callable[[], Any]) -> float:
    start = CPU()
    call()
    return CPU() - start


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


def quiet_rows(measurements: pd.DataFrame, fast_s: float | None = None) -> pd.DataFrame:
    """What counts: processes that were not noisy, and in them pairs that nothing disturbed; of a case that has none of either, all.

    fast_s: the yardstick when nothing disturbs (the profile's); None: the 5 % quantile of the readings.
    """
    if measurements.empty:
        return measurements
    fast = min(float(measurements["yardstick_s"].quantile(0.05)), fast_s or float("inf"))
    return _where_any(
        _where_any(measurements, "yardstick_ratio", NOISY), "yardstick_s", UNDISTURBED * fast
    )


def _where_any(measurements: pd.DataFrame, column: str, limit: float) -> pd.DataFrame:
    """Rows up to the limit; all rows of a case that has none."""
    good = measurements[column] <= limit
    any_good = good.groupby([measurements[c] for c in CASE]).transform("any")
    return measurements[good | ~any_good]


def noisy(counting: pd.DataFrame, fast_s: float | None = None) -> bool:
    """Whether what counts in a case was disturbed all the same: there was nothing else. Arguments as in `quiet_rows`."""
    fast = min(float(counting["yardstick_s"].min()), fast_s or float("inf"))
    return bool(
        (counting["yardstick_ratio"] > NOISY).any()
        or (counting["yardstick_s"] > UNDISTURBED * fast).any()
    )
