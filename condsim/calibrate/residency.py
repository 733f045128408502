"""What an evicted weight costs: linear layers with one row and with several, visited in turn, their weights together from 0.4 to 96 MB."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from condsim.hardware import Residency
from condsim.timing.cases import Visits, typical
from condsim.timing.yardstick import Call, Yardstick, the_clock

WEIGHTS = (
    (192, 256),
    (512, 512),
    (1024, 1024),
    (2048, 2048),
)  # n, k: of fp32 192 KiB, which fits a private cache of 512 KiB, 1, 4 and 16 MiB
ROWS = (1, 16)
PAUSED = (1, *WEIGHTS[1])  # rows, n, k
BEYOND_MB = (128.0, 192.0, 256.0, 384.0)
PAUSES_S = (1e-3, 2e-3, 4e-3, 8e-3)
RATES = (0.0, *(float(r) for r in np.geomspace(1e8, 2e10, 40)))
"""Bytes a second that others may evict."""
FOOTPRINTS_MB = (0.4, 1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96)


class EvictedWeights:
    """Rounds of visits, to be run at several times (what others do to the caches changes by the minute), and the curves that they give.

    footprints: of all weights that are visited in turn, MB. dtype: of the weights. Must be used under inference mode.
    """

    def __init__(
        self,
        footprints: tuple[float, ...] = FOOTPRINTS_MB,
        yardstick: Yardstick | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._footprints, self._yardstick, self._itemsize = (
            footprints,
            yardstick or Yardstick(),
            dtype.itemsize,
        )
        self._buffer = torch.randn(
            int(max(footprints) * 1e6 / dtype.itemsize) + WEIGHTS[-1][0] * WEIGHTS[-1][1]
        ).to(dtype)
        self._seen: dict[tuple[int, int, int], list[Visits]] = {
            (m, n, k): [[] for _ in (0, *footprints)]
            for m, (n, k) in itertools.product(ROWS, WEIGHTS)
        }
        self._paused: list[Visits] = [[] for _ in (0, *PAUSES_S)]

    def round(self) -> None:
        """Every case once, and the pauses."""
        for (m, n, k), seen in self._seen.items():
            weights, x = (
                self._buffer[: len(self._buffer) // (n * k) * n * k].view(-1, n, k).unbind(),
                torch.randn(m, k).to(self._buffer.dtype),
            )
            for count, visits in zip((1, *self._counts(n, k)), seen, strict=True):
                visits.append(
                    self._between_readings(
                        lambda: visit_in_turn(
                            [partial(F.linear, x, w) for w in weights[:count]], self._bytes(n, k)
                        )
                    )
                )
            if (m, n, k) == PAUSED:
                for pause, visits in zip((0.0, *PAUSES_S), self._paused, strict=True):
                    visits.append(
                        self._between_readings(lambda: _visit_after(pause, weights[0], x, 15))
                    )

    def _between_readings(self, visit: Call) -> tuple[float, float]:
        before = self._yardstick.begin()
        return visit(), max(before, self._yardstick())

    def _counts(self, n: int, k: int) -> list[int]:
        return [max(1, round(mb * 1e6 / self._bytes(n, k))) for mb in self._footprints]

    def _bytes(self, n: int, k: int) -> int:
        return self._itemsize * n * k

    def curves(self, l2_bytes: int = 2**19) -> Residency:
        """What the rounds so far say. l2_bytes: of the private cache."""
        times: dict[
            tuple[int, int, int], tuple[np.ndarray, np.ndarray]
        ] = {}  # → seconds of a round, extra seconds a byte
        spreads = []
        for (m, n, k), seen in self._seen.items():
            each = [typical(visits, self._yardstick) for visits in seen]
            times[m, n, k] = (
                np.array(each[1:]) * self._counts(n, k),
                extra_per_byte(each, self._bytes(n, k)),
            )
            spreads.append(
                [_spread(visits, self._yardstick) / self._bytes(n, k) for visits in seen[1:]]
            )
        distance, size = (
            np.array([*self._footprints, *BEYOND_MB]) * 1e6,
            float(self._bytes(*PAUSED[1:])),
        )
        at_once, *later = (typical(visits, self._yardstick) for visits in self._paused)
        paused = [
            (s + at_once, max(t - at_once, 0.0) / size)
            for s, t in zip(PAUSES_S, later, strict=True)
        ]
        others = min(RATES, key=lambda rate: _misfit(rate, distance, size, *times[PAUSED], paused))
        curves = {
            m: [_shifted(others, distance, *times[m, n, k]).tolist() for n, k in WEIGHTS]
            for m in ROWS
        }
        return Residency(
            distance=distance.tolist(),
            bytes=[float(self._bytes(n, k)) for n, k in WEIGHTS],
            one_row=curves[1],
            more_rows=curves[16],
            spread=[*(widest := np.max(spreads, axis=0).tolist()), *[widest[-1]] * len(BEYOND_MB)],
            limit_bytes=float(l2_bytes),
            others=others,
        )


def extra_per_byte(seconds: Sequence[float], size: float) -> np.ndarray:
    """What visits of so many bytes cost more a byte than the first of them, which was repeated alone; never less at a larger footprint. float [visits - 1]."""
    hot, *each = seconds
    extra: np.ndarray = np.maximum.accumulate(np.maximum(np.array(each) - hot, 0.0)) / size
    return extra


def visit_in_turn(calls: Sequence[Call], size: int) -> float:
    """Seconds a call, in turn, after one round to begin with: the median over stretches of about a megabyte, so that one disturbed does not count. size: bytes
    that one call visits."""
    clock, stretch = the_clock(), max(1, 2**20 // size)
    for call in calls:
        call()
    found, turn = [], itertools.cycle(calls)
    for _ in range(max(len(calls), 12, 2**22 // size) // stretch):
        now = list(itertools.islice(turn, stretch))
        start = clock()
        for call in now:
            call()
        found.append((clock() - start) / stretch)
    return float(np.median(found))


def _visit_after(pause_s: float, weight: torch.Tensor, x: torch.Tensor, visits: int) -> float:
    """Median seconds of a visit after a pause in which this thread works but touches nothing. Before it a small layer finds the operator's code again."""
    small, square = weight.new_ones(4, 64), weight.new_ones(64, 64)
    found = []
    for _ in range(visits):
        until = time.perf_counter() + pause_s
        while time.perf_counter() < until:
            pass
        for _ in range(3):
            F.linear(small, square)
        start = time.perf_counter()
        F.linear(x, weight)
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def _shifted(
    rate: float, distance: np.ndarray, round_s: np.ndarray, extra: np.ndarray
) -> np.ndarray:
    """A curve over all that was touched between two visits of a weight, by this thread and by others in the time of a round. float [distances].

    distance: of the result, bytes, the first of them the footprints. round_s, extra: seconds of a round, and seconds a byte, at each footprint.
    """
    shifted: np.ndarray = np.interp(distance, distance[: len(extra)] + rate * round_s, extra)
    return shifted


def _misfit(
    rate: float,
    distance: np.ndarray,
    size: float,
    round_s: np.ndarray,
    extra: np.ndarray,
    paused: list[tuple[float, float]],
) -> float:
    """How far a rate is from what pauses cost a weight of so many bytes: squares of seconds a byte. Arguments as in `_shifted`."""
    curve = _shifted(rate, distance, round_s, extra)
    return sum(
        (float(np.interp(size + rate * s, distance, curve)) - seconds) ** 2 for s, seconds in paused
    )


def _spread(visits: Visits, yardstick: Yardstick) -> float:
    """Standard deviation by the quartiles of what was timed between fast readings."""
    good = [t for t, reading in visits if reading <= yardstick.limit_s] or [t for t, _ in visits]
    return float(np.quantile(good, 0.75) - np.quantile(good, 0.25)) / 1.35
