"""Cases and tables of the matmul families."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import nnls

from condsim.calibrate import shapes
from condsim.cost.cpu.tables import choose_scales, grid_seconds
from condsim.hardware import Curve, Grid, Scatter
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Call

Cases = dict[Any, Callable[[], Call]]
NOISE = 0.03


def plain(pool: Pool, m: int, n: int, k: int) -> Call:
    """m rows times weights [n, k]."""
    return partial(F.linear, pool(m, k), pool(n, k))


def _mm(pool: Pool, m: int, n: int, k: int) -> Call:
    return partial(torch.mm, pool(m, k), pool(k, n))


def _bias(pool: Pool, m: int, n: int) -> Call:
    return partial(F.linear, pool(m, 64), pool(n, 64), pool(n))


def bmm(pool: Pool, g: int, m: int, n: int, k: int) -> Call:
    """[g, m, k] times [g, k, n]."""
    return partial(torch.bmm, pool(g, m, k), pool(g, k, n))


def attention(pool: Pool, h: int, m: int, n: int, d: int, mask: int) -> Call:
    """h heads, m queries, n keys; causal where the numbers agree and there is no mask."""
    q, k, v = pool(1, h, m, d), pool(1, h, n, d), pool(1, h, n, d)
    if mask:
        return partial(
            F.scaled_dot_product_attention,
            q,
            k,
            v,
            attn_mask=torch.ones(1, 1, m, n, dtype=torch.bool),
        )
    return partial(F.scaled_dot_product_attention, q, k, v, is_causal=m == n)


def conv(
    pool: Pool, b: int, cin: int, cout: int, side: int, kernel: int, stride: int, groups: int = 1
) -> Call:
    """Same padding, with a bias."""
    return partial(
        F.conv2d,
        pool(b, cin, side, side),
        pool(cout, cin // groups, kernel, kernel),
        pool(cout),
        stride,
        kernel // 2,
        1,
        groups,
    )


def grouped(pool: Pool, rows: list[int], n: int, k: int) -> Call:
    """Rows in ragged groups times weights [groups, n, k] transposed."""
    offs = torch.tensor(rows).cumsum(0).to(torch.int32)
    return partial(
        F.grouped_mm, pool(max(sum(rows), 1), k), pool(len(rows), n, k).transpose(-2, -1), offs=offs
    )


GROUPED = [
    *(
        ([r] * g, n, k)
        for g in (4, 16, 32)
        for r, n, k in ((0, 64, 64), (1, 32, 32), (1, 64, 64), (8, 64, 64), (3, 128, 48))
    ),
    *(
        ([r] * g, n, k)
        for g in (4, 8)
        for r, n, k in (
            (1, 512, 256),
            (4, 256, 128),
            (32, 128, 256),
            (64, 64, 64),
            (32, 256, 512),
            (64, 512, 256),
        )
    ),
]


def cases(pool: Pool, size: shapes.Size) -> Cases:
    """All matmul cases, keyed by (family, *sizes)."""
    found: Cases = {}
    for m in size.rows:
        for n in size.columns:
            for k in size.depths:
                if shapes.timed(m, n, k, size.flops):
                    found["linear", m, n, k] = partial(plain, pool, m, n, k)
    for m in size.mm_rows:
        for n in size.mm_columns:
            for k in size.mm_depths:
                if 2 * m * n * k <= size.flops:
                    found["mm", m, n, k] = partial(_mm, pool, m, n, k)
    for m, n in shapes.BIAS_SIZES:
        if 128 * m * n <= size.flops:
            found["bias", m, n] = partial(_bias, pool, m, n)
            found["unbiased", m, n] = partial(plain, pool, m, n, 64)
    for name in DIMS:
        for at in points(name, size):
            found[name, *at] = partial(maker(name), pool, *at)
    for i, (rows, n, k) in enumerate(GROUPED):
        found["grouped_mm", i] = partial(grouped, pool, rows, n, k)
    flat, deep, weight = (8, 64), (2, 4, 64), (64, 64)
    found["flat",] = lambda: partial(F.linear, pool(*flat), pool(*weight))
    found["deep",] = lambda: partial(F.linear, pool(*deep), pool(*weight))
    found["bmm_tiny",] = lambda: partial(torch.bmm, pool(4, 8, 8), pool(4, 8, 8))
    found["matmul_tiny",] = lambda: partial(torch.matmul, pool(2, 2, 8, 8), pool(2, 2, 8, 8))
    return found


def points(family: str, size: shapes.Size) -> list[tuple[int, ...]]:
    """Points of a scattered family."""
    count = max(16, int(shapes.POINTS[family] * size.points))
    draw: dict[str, Callable[[int], Any]] = {
        **{f: partial(shapes.bmm_sizes, f) for f in DIMS if f.startswith("bmm")},
        "attention": shapes.attention_sizes,
        "conv2d": partial(shapes.conv_sizes, "conv2d"),
        "conv2d_native": partial(shapes.conv_sizes, "conv2d_native"),
        "conv2d_depthwise": shapes.depthwise_sizes,
    }
    return [p for p in draw[family](count) if flops(family, p) <= size.flops]


def flops(family: str, p: tuple[int, ...]) -> float:
    """FLOPs at a point of a scattered family."""
    if family.startswith("bmm"):
        return 2.0 * p[0] * p[1] * p[2] * p[3]
    if family == "attention":
        return 4.0 * p[0] * p[1] * p[2] * p[3]
    if family in ("conv2d", "conv2d_native"):
        return 2.0 * p[0] * (p[3] / p[5]) ** 2 * p[1] * p[2] * p[4] ** 2
    return 2.0 * p[0] * (p[2] / p[4]) ** 2 * p[1] * p[3] ** 2


def maker(family: str) -> Callable[..., Call]:
    """Function (pool, *point) → call."""
    if family == "conv2d_depthwise":
        return lambda pool, b, c, side, kernel, stride: conv(pool, b, c, c, side, kernel, stride, c)
    if family.startswith("bmm"):
        return bmm
    makers: dict[str, Callable[..., Call]] = {
        "attention": attention,
        "conv2d": conv,
        "conv2d_native": conv,
    }
    return makers[family]


DIMS = {
    "bmm": ["groups", "m", "n", "k"],
    "bmm_small": ["groups", "m", "n", "k"],
    "bmm_row": ["groups", "n", "k"],
    "bmm_column": ["groups", "m", "k"],
    "attention": ["groups", "m", "n", "d", "mask"],
    "conv2d": ["m", "area", "cin", "cout", "kernel", "stride"],
    "conv2d_native": ["m", "area", "cin", "cout", "kernel", "stride"],
    "conv2d_depthwise": ["m", "area", "cin", "kernel", "stride"],
}


def coordinates(family: str, p: tuple[int, ...]) -> list[float]:
    """A point as the coordinates of the family's table (`DIMS`)."""
    if family in ("conv2d", "conv2d_native"):
        b, cin, cout, side, kernel, stride = p
        area = (-(-side // stride)) ** 2
        return [float(x) for x in (b * area, area, cin, cout, kernel, stride)]
    if family == "conv2d_depthwise":
        b, c, side, kernel, stride = p
        area = (-(-side // stride)) ** 2
        return [float(x) for x in (b * area, area, c, kernel, stride)]
    if family == "bmm_row":
        return [float(p[0]), float(p[2]), float(p[3])]
    if family == "bmm_column":
        return [float(p[0]), float(p[1]), float(p[3])]
    return [float(x) for x in p]


def grid(
    seconds: dict[Any, float], family: str, rows: Any, columns: Any, depths: Any, limit: float
) -> Grid:
    """The full grid; a cell that was too large to time gets the rate of the largest one with fewer columns, and at least the time of fewer rows."""
    table = np.full((len(rows), len(columns), len(depths)), np.nan)
    for a, m in enumerate(rows):
        for b, n in enumerate(columns):
            for c, k in enumerate(depths):
                if (family, m, n, k) in seconds:
                    table[a, b, c] = seconds[family, m, n, k]
                elif b:
                    table[a, b, c] = max(
                        table[a, b - 1, c] * n / columns[b - 1], table[a - 1, b, c] if a else 0.0
                    )
                elif a:
                    table[a, b, c] = table[a - 1, b, c] * m / rows[a - 1]
                else:
                    table[a, b, c] = table[a, b, c - 1] * k / depths[c - 1]
    return Grid(
        m=list(rows),
        n=list(columns),
        k=list(depths),
        seconds=[float(x) for x in table.ravel()],
        reached=limit,
    )


def scatter(
    seconds: dict[Any, float], family: str, size: shapes.Size, doubtful: Container[Any] = ()
) -> Scatter:
    """The table of a scattered family, its scales chosen by leaving one out. doubtful: points to do without, if enough others are there."""
    at = points(family, size)
    sure = [p for p in at if (family, *p) not in doubtful]
    if len(sure) >= max(12, len(at) // 2):
        at = sure
    where = np.array([coordinates(family, p) for p in at])
    times = np.array([seconds[(family, *p)] for p in at])
    scales, error = choose_scales(family, DIMS[family], where, times, NOISE)
    return Scatter(
        dims=DIMS[family],
        points=where.tolist(),
        seconds=times.tolist(),
        scales=scales,
        noise=NOISE,
        uncertainty=max(error, 0.02),
    )


def bias_curve(seconds: dict[Any, float]) -> Curve:
    """What a bias adds to a linear layer, by elements of its result."""
    sizes = sorted(
        (m * n, max(seconds["bias", m, n] - seconds["unbiased", m, n], 1e-8))
        for f, *rest in seconds
        if f == "bias"
        for m, n in [rest]
    )
    values = np.maximum.accumulate([s for _, s in sizes])
    return Curve(
        sizes=[float(e) for e, _ in sizes], seconds=[[float(v) for v in values]], uncertainty=0.3
    )


def grouped_costs(
    seconds: dict[Any, float],
    linear: Grid,
    evicted: Callable[[float, float, float], float],
    itemsize: int = 4,
) -> dict[str, float]:
    """Set-up, overhead a group and overhead of one with rows: what ragged grouped matmuls take beyond the linear layers of their groups, least squares.

    Large ones take 1.0 to 1.1 times their layers: a factor fitted to that would come out of the noise.
    evicted(weight bytes, distance bytes, rows): extra seconds of a weight, the distance being all weights of the groups.
    itemsize: of the weights, bytes an element.
    """
    dispatch = min(linear.seconds)
    rows, values, beyond = [], [], []
    for i, (groups, n, k) in enumerate(GROUPED):
        busy = [r for r in groups if r]
        once = [max(float(grid_seconds(linear, r, n, k)[0]) - dispatch, 0.0) for r in busy]
        rows.append([1.0, len(groups), len(busy)])
        values.append(seconds["grouped_mm", i])
        beyond.append(
            max(
                values[-1]
                - sum(once)
                - sum(evicted(float(size := itemsize * n * k), size * len(busy), r) for r in busy),
                0.0,
            )
        )
    return dict(
        zip(
            ("grouped_mm.setup", "grouped_mm.group", "grouped_mm.busy"),
            _fit(rows, values, beyond),
            strict=True,
        )
    )


def _fit(rows: list[list[float]], values: list[float], beyond: list[float]) -> list[float]:
    """Non-negative least squares of what is beyond, relative to the values."""
    a, t = np.array(rows), np.array(values)
    found, _ = nnls(a / t[:, None], np.array(beyond) / t)
    return [float(x) for x in found]
