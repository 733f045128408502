"""Products that are timed at sizes drawn at random: their calls, and tables of their times.

A product of four or more sizes has no full grid that could be timed in a minute. So points are
scattered over the sizes, and `condsim.cost.cpu.tables` makes a function of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from condsim.calibrate import shapes
from condsim.calibrate.matmul_calls import attention, bmm, convolution, depthwise_convolution
from condsim.calibrate.shapes import Attention, Convolution, Depthwise, Products, Size
from condsim.cost.cpu.scattered import choose_scales
from condsim.hardware import Scatter
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Call

NOISE = 0.03
"""Of one measurement, relative."""
LEAST_UNCERTAINTY = 0.02
LEAST_POINTS = 16
"""Sizes that are drawn for a family at least."""
LEAST_SURE_POINTS = 12
"""So many points that were timed undisturbed can stand for a family alone."""


@dataclass(frozen=True)
class Family:
    """One kind of product.

    dims: names of the coordinates of its table.
    draw: number of sizes → that many sizes.
    call: (pool, size) → the call of that size.
    flops: size → FLOPs of the call.
    coordinates: size → its numbers in the order of dims.
    """

    dims: list[str]
    draw: Callable[[int], tuple[Any, ...]]
    call: Callable[[Pool, Any], Call]
    flops: Callable[[Any], float]
    coordinates: Callable[[Any], tuple[float, ...]]


def _bmm_flops(size: Products) -> float:
    return 2.0 * size.multiply_adds


def _attention_flops(size: Attention) -> float:
    return 4.0 * size.heads * size.queries * size.keys * size.depth


def _convolution_flops(size: Convolution) -> float:
    images = size.batch * (size.side / size.stride) ** 2
    return 2.0 * images * size.channels_in * size.channels_out * size.kernel**2


def _depthwise_flops(size: Depthwise) -> float:
    images = size.batch * (size.side / size.stride) ** 2
    return 2.0 * images * size.channels * size.kernel**2


def _all_sizes(size: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(size)


def _without_m(size: Products) -> tuple[float, ...]:
    return size.groups, size.n, size.k


def _without_n(size: Products) -> tuple[float, ...]:
    return size.groups, size.m, size.k


def _convolution_coordinates(size: Convolution) -> tuple[float, ...]:
    rows = size.batch * size.area
    return rows, size.area, size.channels_in, size.channels_out, size.kernel, size.stride


def _depthwise_coordinates(size: Depthwise) -> tuple[float, ...]:
    rows = size.batch * size.area
    return rows, size.area, size.channels, size.kernel, size.stride


FAMILIES: dict[str, Family] = {
    "bmm": Family(
        dims=["groups", "m", "n", "k"],
        draw=partial(shapes.bmm_sizes, "bmm"),
        call=bmm,
        flops=_bmm_flops,
        coordinates=_all_sizes,
    ),
    "bmm_small": Family(
        dims=["groups", "m", "n", "k"],
        draw=partial(shapes.bmm_sizes, "bmm_small"),
        call=bmm,
        flops=_bmm_flops,
        coordinates=_all_sizes,
    ),
    "bmm_row": Family(
        dims=["groups", "n", "k"],
        draw=partial(shapes.bmm_sizes, "bmm_row"),
        call=bmm,
        flops=_bmm_flops,
        coordinates=_without_m,
    ),
    "bmm_column": Family(
        dims=["groups", "m", "k"],
        draw=partial(shapes.bmm_sizes, "bmm_column"),
        call=bmm,
        flops=_bmm_flops,
        coordinates=_without_n,
    ),
    "attention": Family(
        dims=["groups", "m", "n", "d", "mask"],
        draw=shapes.attention_sizes,
        call=attention,
        flops=_attention_flops,
        coordinates=_all_sizes,
    ),
    "conv2d": Family(
        dims=["m", "area", "cin", "cout", "kernel", "stride"],
        draw=partial(shapes.conv_sizes, "conv2d"),
        call=convolution,
        flops=_convolution_flops,
        coordinates=_convolution_coordinates,
    ),
    "conv2d_native": Family(
        dims=["m", "area", "cin", "cout", "kernel", "stride"],
        draw=partial(shapes.conv_sizes, "conv2d_native"),
        call=convolution,
        flops=_convolution_flops,
        coordinates=_convolution_coordinates,
    ),
    "conv2d_depthwise": Family(
        dims=["m", "area", "cin", "kernel", "stride"],
        draw=shapes.depthwise_sizes,
        call=depthwise_convolution,
        flops=_depthwise_flops,
        coordinates=_depthwise_coordinates,
    ),
}


def points(name: str, size: Size) -> list[Any]:
    """The sizes at which a family is timed."""
    family = FAMILIES[name]
    count = max(LEAST_POINTS, int(shapes.POINTS[name] * size.points))
    drawn = family.draw(count)
    return [point for point in drawn if family.flops(point) <= size.flops]


def cases(pool: Pool, size: Size) -> dict[Any, Callable[[], Call]]:
    """The cases of all families, keyed by (family, *sizes)."""
    made: dict[Any, Callable[[], Call]] = {}
    for name, family in FAMILIES.items():
        for point in points(name, size):
            made[name, *point] = partial(family.call, pool, point)
    return made


def scatter(
    seconds: dict[Any, float], name: str, size: Size, doubtful: Collection[Any] = ()
) -> Scatter:
    """The table of a family, its scales chosen by leaving one point out.

    seconds: of each case, by its key. doubtful: keys of the cases whose points are left out if
    enough others remain.
    """
    family = FAMILIES[name]
    chosen = points(name, size)
    sure = [point for point in chosen if (name, *point) not in doubtful]
    if len(sure) >= max(LEAST_SURE_POINTS, len(chosen) // 2):
        chosen = sure
    coordinates = [family.coordinates(point) for point in chosen]
    point_s = [seconds[name, *point] for point in chosen]
    return scatter_of(name, family.dims, coordinates, point_s)


def scatter_of(
    name: str,
    dims: list[str],
    coordinates: Sequence[tuple[float, ...]],
    point_s: Sequence[float],
) -> Scatter:
    """The table of points that were timed, its scales chosen by leaving one point out.

    name: of the family. dims: names of the coordinates. coordinates: of each point, in the order of
    dims. point_s: seconds of each.
    """
    table = np.array(coordinates, dtype=float)
    times = np.array(point_s)
    scales, error = choose_scales(name, dims, table, times, NOISE)
    return Scatter(
        dims=dims,
        points=table.tolist(),
        seconds=times.tolist(),
        scales=scales,
        noise=NOISE,
        uncertainty=max(error, LEAST_UNCERTAINTY),
    )
