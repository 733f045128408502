"""What a product costs more at sizes that were never run than the next time.

oneDNN writes a kernel for each size and keeps the last thousand, so what ran before has to be
forgotten first.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F

from condsim.calibrate.matmul_calls import bmm, convolution, linear
from condsim.calibrate.shapes import Convolution, Products
from condsim.timing.cases import Pool, quiet
from condsim.timing.yardstick import Call, the_clock, timed

SIZES = range(73, 33, -2)
"""Of no table; the largest first, so that no later one needs new memory."""
LEAST_S = 1e-4
"""A smaller difference is what the clock and the caches leave."""
KEPT = 1024
"""Kernels that oneDNN keeps, the least recently used goes first.

Source: oneDNN, developer guide, "Primitive cache": ONEDNN_PRIMITIVE_CACHE_CAPACITY."""
SIDES = 33

Make = Callable[[Pool, int], Call]
"""(pool, size) → call of a product, one of whose sizes it is."""


def _linear(pool: Pool, rows: int) -> Call:
    return linear(pool, rows, 256, 128)


def _bmm(pool: Pool, side: int) -> Call:
    return bmm(pool, Products(8, side, side, 64))


def _convolution(pool: Pool, batch: int) -> Call:
    return convolution(pool, Convolution(batch, 32, 32, side=7, kernel=3, stride=1))


FAMILIES: dict[str, Make] = {"linear": _linear, "bmm": _bmm, "conv2d": _convolution}


def forget_kernels() -> None:
    """Run as many other sizes as oneDNN keeps kernels, so that none is left of what ran before.

    It takes about half a second, and must be used under inference mode. There are two images, since
    a convolution of one small image is not oneDNN's.
    """
    images = torch.ones(2, 4, SIDES, SIDES)
    weight = torch.ones(4, 4, 3, 3)
    sizes = itertools.product(range(1, SIDES + 1), repeat=2)
    for height, width in itertools.islice(sizes, KEPT):
        smaller = images[..., :height, :width].contiguous()
        F.conv2d(smaller, weight, padding=1)


def new_shape_costs(pool: Pool) -> dict[str, float]:
    """Family → seconds of a call at new sizes beyond the next call; 0 where that is little.

    It is the median over sizes. Must be used under inference mode.
    """
    forget_kernels()
    costs = {}
    for family, make in FAMILIES.items():
        cost_s = statistics.median(first_call_extra_s(make, pool, SIZES))
        costs[family] = cost_s if cost_s > LEAST_S else 0.0
    return costs


def first_call_extra_s(make: Make, pool: Pool, sizes: Iterable[int]) -> list[float]:
    """Seconds of the first call at each size beyond those of the second.

    The tensors of the second call are others, so that those of neither are in a cache.
    """
    clock = the_clock()
    pairs = [(make(pool, size), make(pool, size)) for size in sizes]
    extra_s = []
    with quiet():
        for first, second in pairs:
            first_s = timed(first, 1, clock)
            second_s = timed(second, 1, clock)
            extra_s.append(first_s - second_s)
    return extra_s
