"""What an evicted weight costs: linear layers with one row, visited in turn, their weights together from 1 to 96 MB."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from condsim.hardware import Residency

SMALL = (192, 256)  # n, k: 192 KiB, fits a private cache of 512 KiB
LARGE = (1024, 1024)  # 4 MiB: it never does
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


def residency(rounds: int, footprints: tuple[float, ...] = FOOTPRINTS_MB, l2_bytes: int = 2**19, progress: Callable[[float], None] | None = None) -> Residency:
    """The curves. Must run under inference mode. rounds: repeats, interleaved over footprints."""
    penalties: dict[str, list[list[float]]] = {}
    for label, (n, k) in (("small", SMALL), ("large", LARGE)):
        size = 4 * n * k
        counts = [max(1, round(mb * 1e6 / size)) for mb in footprints]
        weights = [torch.randn(n, k) for _ in range(max(counts))]
        x = torch.randn(1, k)
        found = []
        for _ in range(2 * rounds):
            hot = min(_visit(weights[:1], x, max(8, 2**21 // size)) for _ in range(3))
            found.append([max(_visit(weights[:c], x, max(c, 12, 2**22 // size)) - hot, 0.0) / size for c in counts])
            if progress is not None:
                progress(len(found) / (2 * rounds))
        penalties[label] = found
    curves = {label: np.maximum.accumulate(np.quantile(v, 0.25, axis=0)) for label, v in penalties.items()}
    spread = np.maximum(*((np.quantile(v, 0.75, axis=0) - np.quantile(v, 0.25, axis=0)) / 1.35 for v in penalties.values()))
    return Residency(
        distance=[mb * 1e6 for mb in footprints],
        small=curves["small"].tolist(),
        large=curves["large"].tolist(),
        spread=spread.tolist(),
        limit_bytes=float(l2_bytes),
    )
