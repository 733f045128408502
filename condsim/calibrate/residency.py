"""What an evicted weight costs: linear layers visited in turn, so that each evicts the others.

There are layers with one row and with several, and their weights together take from 0.4 to 96 MB.
All weights are equally large; they differ in how long their rows are, along which a processor
fetches ahead.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate.shapes import FOOTPRINTS_MB
from condsim.hardware import Residency
from condsim.timing.cases import Visits, typical
from condsim.timing.yardstick import Call, Yardstick, the_clock

WEIGHTS = ((384, 128), (192, 256), (96, 512), (48, 1024), (24, 2048))
"""(n, k). In fp32: 192 KiB each, which fits a private cache, with rows of 0.5 to 8 KiB."""
ONE_ROW, MORE_ROWS = 1, 16
PAUSED = (ONE_ROW, 512, 512)
"""(rows, n, k) of the layer that is also visited after pauses: in fp32 1 MiB, which lies in the
cache that others share."""
PAUSES_S = (1e-3, 2e-3, 4e-3, 8e-3)
IN_PAUSE = (64, 256, 256)
"""(rows, n, k) of the layer that runs in a pause: products are what most of a model's time goes to.
All that it touches fits a private cache."""
PAUSED_VISITS = 15
BEYOND_MB = (128.0, 192.0, 256.0, 384.0)
"""Distances of a curve beyond the footprints: what others evict meanwhile moves it there."""
RATES = (0.0, *(float(rate) for rate in np.geomspace(1e8, 2e10, 40)))
"""Bytes a second that others may evict."""
STRETCH_BYTES = 2**20
LEAST_VISITS, LEAST_VISITED_BYTES = 12, 2**22
WARM_BYTES, MOST_WARM_ROUNDS = 96 * 2**20, 10
"""Bytes that are visited before any visit counts, in at most so many rounds. A shared cache was
seen to keep a megabyte only when it had come back five times, and near its size ten times."""
QUARTILES_OF_DEVIATION = 1.35
"""Distance of a normal distribution's quartiles, in standard deviations."""


class EvictedWeights:
    """Rounds of visits to weights, and the curves that they give.

    The rounds are to be run at several times: what others do to the caches changes by the minute.
    Must be used under inference mode.

    footprints: of all weights that are visited in turn, MB. dtype: of the weights.
    """

    def __init__(
        self,
        footprints: Sequence[float] = FOOTPRINTS_MB,
        yardstick: Yardstick | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._footprints = footprints
        self._yardstick = yardstick or Yardstick()
        self._itemsize = dtype.itemsize
        _, n, k = PAUSED
        most_bytes = max(footprints) * 1e6
        elements = int(most_bytes / dtype.itemsize) + n * k
        self._buffer = torch.randn(elements).to(dtype)
        self._visits: dict[tuple[int, int, int], list[Visits]] = {}
        curves = itertools.product((ONE_ROW, MORE_ROWS), WEIGHTS)
        for layer in (*[(m, n, k) for m, (n, k) in curves], PAUSED):
            self._visits[layer] = [[] for _ in (0, *footprints)]
        self._paused: list[Visits] = [[] for _ in (0.0, *PAUSES_S)]

    def round(self) -> None:
        """Visit every layer at every footprint once, and one after the pauses."""
        for (m, n, k), visits_of in self._visits.items():
            count = len(self._buffer) // (n * k)
            whole_weights = self._buffer[: count * n * k]
            weights = whole_weights.view(-1, n, k).unbind()
            x = torch.randn(m, k).to(self._buffer.dtype)
            layers = [partial(F.linear, x, weight) for weight in weights]
            weight_bytes = self._bytes(n, k)
            counts = (1, *self._counts(n, k))
            for in_turn, visits in zip(counts, visits_of, strict=True):
                visit = partial(visit_in_turn, layers[:in_turn], weight_bytes)
                visits.append(self._yardstick.around(visit))
            if (m, n, k) == PAUSED:
                self._visit_after_pauses(weights[0], x)

    def _visit_after_pauses(self, weight: torch.Tensor, x: torch.Tensor) -> None:
        for pause_s, visits in zip((0.0, *PAUSES_S), self._paused, strict=True):
            visit = partial(_visit_after, pause_s, weight, x, PAUSED_VISITS)
            visits.append(self._yardstick.around(visit))

    def _counts(self, n: int, k: int) -> list[int]:
        """How many weights take each footprint."""
        weight_bytes = self._bytes(n, k)
        counts = []
        for megabytes in self._footprints:
            weights = round(megabytes * 1e6 / weight_bytes)
            counts.append(max(1, weights))
        return counts

    def _bytes(self, n: int, k: int) -> int:
        return self._itemsize * n * k

    def curves(self, l2_bytes: int = 2**19) -> Residency:
        """What the rounds so far say. l2_bytes: of the private cache."""
        distance = np.array([*self._footprints, *BEYOND_MB]) * 1e6
        timed = {layer: self._timed(*layer) for layer in self._visits}
        others = self._rate_of_others(distance, *timed[PAUSED])
        one_row, more_rows = [], []
        for n, k in WEIGHTS:
            one_row_curve = _shifted(others, distance, *timed[ONE_ROW, n, k])
            more_rows_curve = _shifted(others, distance, *timed[MORE_ROWS, n, k])
            one_row.append(one_row_curve.tolist())
            more_rows.append(more_rows_curve.tolist())
        spread = self._spread()
        spread_beyond = [spread[-1]] * len(BEYOND_MB)
        weight_bytes = [float(self._bytes(n, k)) for n, k in WEIGHTS]
        return Residency(
            distance=distance.tolist(),
            bytes=weight_bytes,
            row_bytes=[float(self._itemsize * k) for _, k in WEIGHTS],
            one_row=one_row,
            more_rows=more_rows,
            spread=[*spread, *spread_beyond],
            limit_bytes=float(l2_bytes),
            others=others,
        )

    def _timed(self, m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of a round and extra seconds a byte, at each footprint, float [footprints]."""
        visits_of = self._visits[m, n, k]
        seconds = [typical(visits, self._yardstick) for visits in visits_of]
        visit_s = np.array(seconds[1:])
        round_s = visit_s * self._counts(n, k)
        return round_s, extra_per_byte(seconds, self._bytes(n, k))

    def _rate_of_others(
        self, distance: np.ndarray, round_s: np.ndarray, extra: np.ndarray
    ) -> float:
        """Bytes a second that others evict: the rate that explains best what pauses cost.

        distance: bytes. round_s, extra: of the layer that was paused, as `_timed` returns them.
        """
        _, n, k = PAUSED
        weight_bytes = float(self._bytes(n, k))
        seconds = [typical(visits, self._yardstick) for visits in self._paused]
        at_once_s, *after_pauses_s = seconds
        paused = []
        for pause_s, after_pause_s in zip(PAUSES_S, after_pauses_s, strict=True):
            extra_s = max(after_pause_s - at_once_s, 0.0)
            paused.append((pause_s + at_once_s, extra_s / weight_bytes))

        def misfit(rate: float) -> float:
            curve = _shifted(rate, distance, round_s, extra)
            return _misfit(rate, distance, curve, weight_bytes, paused)

        return min(RATES, key=misfit)

    def _spread(self) -> list[float]:
        """Standard deviation in seconds a byte, of the layer where it is largest, [footprints]."""
        spreads = []
        for (_, n, k), (_, *visits_of) in self._visits.items():
            weight_bytes = self._bytes(n, k)
            spread = [_deviation(visits, self._yardstick) / weight_bytes for visits in visits_of]
            spreads.append(spread)
        widest: list[float] = np.max(spreads, axis=0).tolist()
        return widest


def extra_per_byte(seconds: Sequence[float], size_bytes: float) -> np.ndarray:
    """What visits cost more a byte than the first of them, float [visits - 1].

    seconds: first of a visit that was repeated alone, then of one at each larger footprint.
    size_bytes: of what one visit reads. It never costs less at a larger footprint.
    """
    hot_s, *evicted_s = seconds
    extra_s = np.maximum(np.array(evicted_s) - hot_s, 0.0)
    rising: np.ndarray = np.maximum.accumulate(extra_s) / size_bytes
    return rising


def visit_in_turn(calls: Sequence[Call], size_bytes: int) -> float:
    """Seconds a call when calls take turns, once the caches have settled.

    It is the median over stretches of about a megabyte, so that one disturbed does not count.
    size_bytes: that one call visits.
    """
    clock = the_clock()
    for _ in range(_warm_rounds(len(calls) * size_bytes)):
        for call in calls:
            call()
    stretch = max(1, STRETCH_BYTES // size_bytes)
    visits = max(len(calls), LEAST_VISITS, LEAST_VISITED_BYTES // size_bytes)
    turns = itertools.cycle(calls)
    seconds = []
    for _ in range(visits // stretch):
        batch = list(itertools.islice(turns, stretch))
        start = clock()
        for call in batch:
            call()
        seconds.append((clock() - start) / stretch)
    return float(np.median(seconds))


def _warm_rounds(round_bytes: int) -> int:
    """How many rounds of visits do not count. round_bytes: that one of them visits."""
    return min(max(WARM_BYTES // round_bytes, 1), MOST_WARM_ROUNDS)


def _visit_after(pause_s: float, weight: torch.Tensor, x: torch.Tensor, visits: int) -> float:
    """Median seconds of a visit after a pause in which this thread works but touches little.

    Before each visit a small layer brings the operator's code back into the caches.
    """
    rows, n, k = IN_PAUSE
    other_x, other_weight = weight.new_ones(rows, k), weight.new_ones(n, k)
    small = weight.new_ones(4, 64)
    square = weight.new_ones(64, 64)
    seconds = []
    for _ in range(visits):
        until = time.perf_counter() + pause_s
        while time.perf_counter() < until:
            F.linear(other_x, other_weight)
        for _ in range(3):
            F.linear(small, square)
        start = time.perf_counter()
        F.linear(x, weight)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _shifted(
    rate: float, distance: np.ndarray, round_s: np.ndarray, extra: np.ndarray
) -> np.ndarray:
    """A curve over all bytes that were touched between two visits of a weight, float [distances].

    They are those that this thread touched, and those that others did in the time of a round.

    rate: bytes a second that others touch. distance: of the result, bytes; it begins with the
    footprints. round_s, extra: seconds of a round, and seconds a byte, at each footprint.
    """
    footprints = distance[: len(extra)]
    touched = footprints + rate * round_s
    shifted: np.ndarray = np.interp(distance, touched, extra)
    return shifted


def _misfit(
    rate: float,
    distance: np.ndarray,
    curve: np.ndarray,
    weight_bytes: float,
    paused: Sequence[tuple[float, float]],
) -> float:
    """How far a rate is from what pauses cost a weight: the sum of squares of seconds a byte.

    curve: `_shifted` by the rate. paused: (seconds between two visits, extra seconds a byte).
    """
    total = 0.0
    for between_s, extra in paused:
        touched = weight_bytes + rate * between_s
        predicted = float(np.interp(touched, distance, curve))
        total += (predicted - extra) ** 2
    return total


def _deviation(visits: Visits, yardstick: Yardstick) -> float:
    """Standard deviation by the quartiles of undisturbed visits, of all if there is none."""
    seconds = [seconds for seconds, reading in visits if reading <= yardstick.limit_s]
    if not seconds:
        seconds = [seconds for seconds, _ in visits]
    low = float(np.quantile(seconds, 0.25))
    high = float(np.quantile(seconds, 0.75))
    return (high - low) / QUARTILES_OF_DEVIATION
