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


def residency(
    rounds: int, footprints: tuple[float, ...] = FOOTPRINTS_MB, l2_bytes: int = 2**19, progress: Callable[[float], None] | None = None,
    yardstick: Yardstick | None = None,
) -> Residency:  # fmt: skip
    """The curves. Must run under inference mode. rounds: repeats, interleaved over footprints."""
    yardstick = yardstick or Yardstick()
    curves: dict[int, list[list[float]]] = {m: [] for m in ROWS}
    spreads = []
    cases = [(m, n, k) for n, k in WEIGHTS for m in ROWS]
    for done, (m, n, k) in enumerate(cases):
        size = 4 * n * k
        counts = [max(1, round(mb * 1e6 / size)) for mb in footprints]
        weights = [torch.randn(n, k) for _ in range(max(counts))]
        x = torch.randn(m, k)
        seen: dict[int, list[tuple[float, float]]] = {c: [] for c in (1, *counts)}
        for _ in range(2 * rounds if m == 1 else rounds):
            for c in seen:
                before = yardstick()
                t = _visit(weights[:c], x, max(c, 12, 2**22 // size))
                seen[c].append((t, max(before, yardstick())))
        if progress is not None:
            progress((done + 1) / len(cases))
        hot = typical(seen[1], yardstick)
        curves[m].append(np.maximum.accumulate([max(typical(seen[c], yardstick) - hot, 0.0) / size for c in counts]).tolist())
        spreads.append([_spread(seen[c], yardstick) / size for c in counts])
    return Residency(
        distance=[mb * 1e6 for mb in footprints],
        bytes=[4.0 * n * k for n, k in WEIGHTS],
        one_row=curves[1],
        more_rows=curves[16],
        spread=np.max(spreads, axis=0).tolist(),
        limit_bytes=float(l2_bytes),
    )


def _spread(visits: list[tuple[float, float]], yardstick: Yardstick) -> float:
    """Standard deviation by the quartiles of what was timed between fast readings."""
    limit = UNDISTURBED * yardstick.fast_s
    good = [t for t, reading in visits if reading <= limit] or [t for t, _ in visits]
    return float(np.quantile(good, 0.75) - np.quantile(good, 0.25)) / 1.35
