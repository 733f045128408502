"""What a product costs at sizes that were never run: a first call, and one of the same sizes on other tensors.

oneDNN writes a kernel for each and keeps the last thousand, so that whatever ran before has to be forgotten first.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F

from condsim.calibrate.matmul import bmm, conv, plain
from condsim.timing.cases import Pool, quiet
from condsim.timing.yardstick import Call, the_clock, timed

SIZES = range(73, 33, -2)  # of no table; the largest first, so that no later one needs new memory
LEAST_S = 1e-4  # less is what the clock and the caches leave

FAMILIES: dict[str, Callable[[Pool, int], Call]] = {
    "linear": lambda pool, m: plain(pool, m, 256, 128),
    "bmm": lambda pool, m: bmm(pool, 8, m, m, 64),
    "conv2d": lambda pool, b: conv(pool, b, 32, 32, 7, 3, 1),
}


KEPT = 1024
"""Source: oneDNN, developer guide, "Primitive cache": ONEDNN_PRIMITIVE_CACHE_CAPACITY, the least recently used goes first."""
SIDES = 33


def forget_kernels() -> None:
    """Run as many other sizes as it keeps kernels, so that none is left of what ran before. About half a second; must be used under inference mode.

    Two images: a convolution of one small image is not oneDNN's.
    """
    image, weight = torch.ones(2, 4, SIDES, SIDES), torch.ones(4, 4, 3, 3)
    for height, width in itertools.islice(itertools.product(range(1, SIDES + 1), repeat=2), KEPT):
        F.conv2d(image[..., :height, :width].contiguous(), weight, padding=1)


def new_shape_costs(pool: Pool) -> dict[str, float]:
    """Family → seconds of a call at new sizes beyond the next one, the median over sizes; 0 where that is little. Must be used under inference mode."""
    forget_kernels()
    return {
        family: cost if (cost := statistics.median(beyond(make, pool, SIZES))) > LEAST_S else 0.0
        for family, make in FAMILIES.items()
    }


def beyond(make: Callable[[Pool, int], Call], pool: Pool, sizes: range) -> list[float]:
    """Seconds of the first call at each size beyond that of the next one, whose tensors are in no cache either."""
    clock = the_clock()
    calls = [[make(pool, size) for _ in range(2)] for size in sizes]
    with quiet():
        return [
            first - second
            for first, second in ([timed(call, 1, clock) for call in pair] for pair in calls)
        ]
