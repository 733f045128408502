"""What an operator costs more when its code was evicted by data: all operators in turn, tiny, with a buffer read before each.

Twice: straight after the read, and after a few other operators that find again what PyTorch shares between operators. The second is what an operator's own
code costs, the rest is shared.
"""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import torch

from condsim.calibrate.among import calls, middle, visits
from condsim.calibrate.timing import Call, Pool, Yardstick
from condsim.hardware import Cold

DISTANCES_MB = (2.0, 6.0, 16.0)
WARM = ("mul", "relu", "softmax", "linear")  # run in between, so their own code cannot be told


def cold(pool: Pool, rounds: int, distances_mb: tuple[float, ...] = DISTANCES_MB, yardstick: Yardstick | None = None) -> Cold:
    """The table. Must run under inference mode."""
    yardstick = yardstick or Yardstick()
    every = calls(pool)
    names = list(every)
    between: tuple[list[Call], list[Call]] = ([], [every[n] for n in WARM])
    reads = [partial(torch.sum, pool(max(16, int(megabytes * 250_000)))) for megabytes in (0.0, *distances_mb)]
    extra = np.zeros((2, len(distances_mb), len(names)))
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    for r in range(rounds):
        order = random.Random(r).sample(names, len(names))
        for warm in between:
            cycles = [visits({n: every[n] for n in order}, yardstick, 3, [read, *warm]) for read in reads]
            times = np.array([t[1:].mean(0) for t, _ in cycles])[:, [order.index(n) for n in names]]
            seen.append((times[1:] - times[0], np.array([readings[1:].max() for _, readings in cycles])))
    for w in range(2):
        more, readings = (np.array(column) for column in zip(*seen[w::2], strict=True))  # [rounds, distances, operators], [rounds, 1 + distances]
        for d in range(len(distances_mb)):
            extra[w, d] = middle(more[:, d], np.maximum(readings[:, 0], readings[:, 1 + d]), yardstick)
    told = np.array([n not in (*WARM, "linear.bias") for n in names])
    shared = np.maximum.accumulate(np.maximum(np.median((extra[0] - extra[1])[:, told], axis=1), 0.0))
    own = np.where(told, extra[1], extra[0] - shared[:, None])
    most = np.maximum(own[-1], 0.0)
    share = np.maximum.accumulate(np.clip(own[:, told].sum(1) / max(own[-1, told].sum(), 1e-9), 0.0, 1.0))
    return Cold(
        distance=[mb * 1e6 for mb in distances_mb], shared_s=shared.tolist(), share=share.tolist(),
        own_s=dict(zip(names, most.tolist(), strict=True)), other_s=float(np.median(most)),
    )  # fmt: skip
