"""What an evicted weight costs: linear layers with one row and with several, visited in turn, their weights together from 0.4 to 96 MB."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate.timing import Yardstick, typical
from condsim.hardware import UNDISTURBED, Residency

WEIGHTS = ((192, 256), (512, 512), (1024, 1024))  # n, k: 192 KiB, which fits a private cache of 512 KiB, 1 and 4 MiB
ROWS = (1, 16)
BEYOND_MB = (128.0, 192.0, 256.0, 384.0)
PAUSES_S = (1e-3, 2e-3, 4e-3, 8e-3)
RATES = (0.0, *(float(r) for r in np.geomspace(1e8, 2e10, 40)))
"""Bytes a second that others may evict."""
FOOTPRINTS_MB = (0.4, 1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96)


def _visit(weights: list[torch.Tensor], x: torch.Tensor, visits: int) -> float:
    """Seconds a visit, weights in turn, after one round to begin with."""
    linear, n = F.linear, len(weights)
    for w in weights:
        linear(x, w)
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    for i in range(visits):
        linear(x, weights[i % n])
    return (clock() - start) / visits


def _visit_after(pause_s: float, weight: torch.Tensor, x: torch.Tensor, visits: int) -> float:
    """Median seconds of a visit after a pause in which this thread works but touches nothing. Before it a small layer finds the operator's code again."""
    small, square = torch.ones(4, 64), torch.ones(64, 64)
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


def residency(
    rounds: int, footprints: tuple[float, ...] = FOOTPRINTS_MB, l2_bytes: int = 2**19, progress: Callable[[float], None] | None = None,
    yardstick: Yardstick | None = None,
) -> Residency:  # fmt: skip
    """The curves. Must run under inference mode. rounds: repeats, interleaved over footprints."""
    yardstick = yardstick or Yardstick()
    found: dict[tuple[int, float], tuple[np.ndarray, np.ndarray]] = {}  # (rows, bytes of a weight) → seconds of a round, extra seconds a byte
    paused: list[tuple[float, float]] = []  # seconds between visits, extra seconds a byte
    spreads = []
    cases = [(m, n, k) for n, k in WEIGHTS for m in ROWS]
    for done, (m, n, k) in enumerate(cases):
        size = 4.0 * n * k
        counts = [max(1, round(mb * 1e6 / size)) for mb in footprints]
        weights = [torch.randn(n, k) for _ in range(max(counts))]
        x = torch.randn(m, k)
        seen: dict[int, list[tuple[float, float]]] = {c: [] for c in (1, *counts)}
        pauses: dict[float, list[tuple[float, float]]] = {s: [] for s in (0.0, *PAUSES_S)}
        for _ in range(2 * rounds if m == 1 else rounds):
            for c in seen:
                before = yardstick()
                t = _visit(weights[:c], x, max(c, 12, int(2**22 / size)))
                seen[c].append((t, max(before, yardstick())))
            for s in pauses if (m, n, k) == (1, *WEIGHTS[1]) else ():
                before = yardstick()
                pauses[s].append((_visit_after(s, weights[0], x, 15), max(before, yardstick())))
        if progress is not None:
            progress((done + 1) / len(cases))
        hot = typical(seen[1], yardstick)
        each = np.array([typical(seen[c], yardstick) for c in counts])
        found[m, size] = each * counts, np.maximum.accumulate(np.maximum(each - hot, 0.0) / size)
        spreads.append([_spread(seen[c], yardstick) / size for c in counts])
        if pauses[0.0]:
            at_once = typical(pauses[0.0], yardstick)
            paused += [(s + at_once, max(typical(pauses[s], yardstick) - at_once, 0.0) / size) for s in PAUSES_S]
    distance = np.array([*footprints, *BEYOND_MB]) * 1e6
    middle = 4.0 * WEIGHTS[1][0] * WEIGHTS[1][1]
    others = min(RATES, key=lambda rate: _misfit(rate, distance, middle, *found[1, middle], paused))
    curves = {m: [_shifted(others, distance, *found[m, 4.0 * n * k]).tolist() for n, k in WEIGHTS] for m in ROWS}
    return Residency(
        distance=distance.tolist(),
        bytes=[4.0 * n * k for n, k in WEIGHTS],
        one_row=curves[1],
        more_rows=curves[16],
        spread=[*(widest := np.max(spreads, axis=0).tolist()), *[widest[-1]] * len(BEYOND_MB)],
        limit_bytes=float(l2_bytes),
        others=others,
    )


def _shifted(rate: float, distance: np.ndarray, round_s: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """A curve over all that was touched between two visits of a weight, by this thread and by others in the time of a round. float [distances].

    distance: of the result, bytes, the first of them the footprints. round_s, extra: seconds of a round, and seconds a byte, at each footprint.
    """
    shifted: np.ndarray = np.interp(distance, distance[: len(extra)] + rate * round_s, extra)
    return shifted


def _misfit(rate: float, distance: np.ndarray, size: float, round_s: np.ndarray, extra: np.ndarray, paused: list[tuple[float, float]]) -> float:
    """How far a rate is from what pauses cost a weight of so many bytes: squares of seconds a byte. Arguments as in `_shifted`."""
    curve = _shifted(rate, distance, round_s, extra)
    return sum((float(np.interp(size + rate * s, distance, curve)) - seconds) ** 2 for s, seconds in paused)


def _spread(visits: list[tuple[float, float]], yardstick: Yardstick) -> float:
    """Standard deviation by the quartiles of what was timed between fast readings."""
    limit = UNDISTURBED * yardstick.fast_s
    good = [t for t, reading in visits if reading <= limit] or [t for t, _ in visits]
    return float(np.quantile(good, 0.75) - np.quantile(good, 0.25)) / 1.35
