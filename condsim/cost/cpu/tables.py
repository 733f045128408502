"""Reading the measured tables of a profile at any size.

Every function takes ints, floats or arrays that broadcast, and returns float64 of that shape together with whether the point lies outside of what was
measured. Between two measured sizes time is linear in each size: exact for `a + b m + c n + d m n + ...`, which is what a kernel's loops, loads and
set-up are. Outside, efficiency (work a second) is that of the nearest measured size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import nnls

from condsim.hardware import Curve, Floats, Grid, Scatter

ROW_TILE = (
    4  # rows that one pass of an fp32 kernel computes; remainders 1 ... 3 cost a pass of their own
)
COLUMN_TILE = 8  # columns of one vector register; a remainder costs masked passes
EXACT = 16  # up to here remainders of rows and columns are measured themselves


def _locate(axis: Floats, x: Any) -> tuple[Any, Any, Any]:
    """Cell and place in it, clipped to the axis. Returns index int array, fraction, clipped x."""
    x = np.minimum(np.maximum(x, axis[0]), axis[-1])
    i = np.minimum(np.maximum(np.searchsorted(axis, x, side="right") - 1, 0), max(len(axis) - 2, 0))
    if len(axis) == 1:
        return i, np.zeros_like(x, dtype=float), x
    low = axis[i]
    return i, (x - low) / (axis[i + 1] - low), x


def curve_seconds(curve: Curve, elements: Any, length: Any = 1) -> tuple[Any, Any]:
    """Seconds of an operator on so many elements in rows of so many.

    elements, length: int or int array [n]. Linear in elements between sizes and, at as many elements, in rows between lengths; beyond the largest
    size the last slope goes on.
    """
    sizes, lengths, seconds = curve.arrays
    if len(lengths) > 1 and np.ndim(length) == 0:
        i, f, _ = _locate(-1 / lengths, -1 / max(float(length), 1.0))
        row = seconds[i] * (1 - f) + seconds[i + 1] * f
        return _along(sizes, row, elements)
    if len(lengths) > 1:
        elements, length = np.broadcast_arrays(elements, length)
        i, f, _ = _locate(-1 / lengths, -1 / np.maximum(length, 1.0))
        rows = [_along(sizes, row, elements) for row in seconds]
        table = np.stack([r[0] for r in rows])
        j = np.arange(elements.size)
        t = (
            table.reshape(len(rows), -1)[i.ravel(), j] * (1 - f.ravel())
            + table.reshape(len(rows), -1)[i.ravel() + 1, j] * f.ravel()
        ).reshape(elements.shape)
        return t, rows[0][1]
    return _along(sizes, seconds[0], elements)


def _along(sizes: Floats, row: Floats, elements: Any) -> tuple[Any, Any]:
    t = np.interp(elements, sizes, row)
    over = np.maximum(np.asarray(elements, dtype=float) - sizes[-1], 0.0)
    if np.any(over):
        t = t + over * (row[-1] / sizes[-1])
    return t, over > 0


def grid_seconds(grid: Grid, m: Any, n: Any, k: Any) -> tuple[Any, Any]:
    """Seconds of one matmul from a full grid.

    m, n, k: int or int arrays that broadcast. Above EXACT sizes, time is linear between multiples of a tile, and a remainder costs what it costs just
    below.
    """
    if np.ndim(n) == 0 and np.ndim(k) == 0:
        return _at(grid, np.asarray(m, dtype=float), float(n), float(k))
    m, n, k = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (m, n, k)))
    seconds, outside = np.empty(m.shape), np.empty(m.shape, dtype=bool)
    for pair in {(float(a), float(b)) for a, b in zip(n.ravel(), k.ravel(), strict=True)}:
        here = (n == pair[0]) & (k == pair[1])
        seconds[here], outside[here] = _at(grid, m[here], *pair)
    return seconds, outside


def _at(grid: Grid, m: Floats, n: float, k: float) -> tuple[Any, Any]:
    """m: float array of any shape; one n and k."""
    am, an, ak, t = grid.arrays
    if (n, k) not in grid.columns:
        grid.columns[n, k] = _column(an, ak, t, n, k)
    seconds = grid.columns[n, k]
    value = _rows(am, m, lambda x: np.interp(x, am, seconds))
    beyond = max(n / an[-1], 1.0) * max(k / ak[-1], 1.0)
    scale = np.maximum(m / am[-1], 1.0) * beyond
    outside = (scale > 1) | (2 * m * min(n, an[-1]) * min(k, ak[-1]) > grid.reached * 1.001)
    return value * scale, outside


def _column(an: Floats, ak: Floats, t: Floats, n: float, k: float) -> Floats:
    """Seconds by rows at one n and k, with the cost of a remainder of columns: whole tiles + what the same remainder adds to the first tile."""
    j, fk, _ = _locate(ak, k)
    plane = t[:, :, j] * (1 - fk) + t[:, :, j + 1] * fk  # [m, n]

    def at(x: float) -> Floats:
        i, f, _ = _locate(an, x)
        return np.asarray(plane[:, i] * (1 - f) + plane[:, i + 1] * f)

    rest = n % COLUMN_TILE
    if EXACT < n < an[-1] and rest and {COLUMN_TILE, 12, EXACT} <= set(an):
        return np.asarray(at(n - rest) + np.maximum(at(COLUMN_TILE + rest) - at(COLUMN_TILE), 0.0))
    return at(n)


def _rows(axis: Floats, m: Any, at: Callable[[Any], Any]) -> Any:
    """Seconds at m rows, with the cost of a remainder: at(whole tiles) + what the same remainder adds just below EXACT."""
    base = EXACT - ROW_TILE
    rest = m % ROW_TILE
    large = (m > EXACT) & (rest > 0) & (m < axis[-1])
    if not large.any() or not set(range(base, EXACT + 1)) <= set(axis):
        return at(m)
    extra = np.maximum(at(np.where(large, base + rest, base)) - at(np.full_like(m, base)), 0.0)
    whole = at(np.where(large, m - rest, m))
    next_tile = np.maximum(at(np.where(large, m - rest + ROW_TILE, m)) * 1.1, whole)
    return np.where(large, np.minimum(whole + extra, next_tile), whole)


# --- tables with points anywhere -----------------------------------------------------------------------------------------------------------

Columns = Mapping[str, Any]


def bmm_family(groups: int, m: int, n: int, k: int) -> str:
    """Which kernel a batch of two or more products runs.

    Below 400 multiply-adds a product a plain loop, else the BLAS, whose vector forms differ. Source: PyTorch, aten/src/ATen/native/LinearAlgebra.cpp,
    bmm_out_or_baddbmm_.
    """
    if groups < 2:
        return "mm"
    if m * n * k < 400:
        return "bmm_small"
    return "bmm_row" if m == 1 else "bmm_column" if n == 1 else "bmm"


def conv_family(
    batch: Any, image: Any, kernel: float, stride: int, groups: int, threads: int = 1
) -> Any:
    """Which kernel a convolution runs: oneDNN ("conv2d") or im2col and BLAS ("conv2d_native"); a str, or str array [n].

    batch, image: images, and elements of one, int or int array [n]. Source: PyTorch, aten/src/ATen/native/Convolution.cpp, ConvParams::use_mkldnn.
    """
    batch, image = np.asarray(batch), np.asarray(image)
    first = (stride > 1) | (batch >= 16) | (kernel != 1) | (threads > 1)
    second = (groups > 1) | (kernel > 3) | (batch > 1) | (batch * image > 20480)
    found = np.where(first & second, "conv2d", "conv2d_native")
    return found if found.ndim else str(found)


def _bmm(c: Columns) -> list[Any]:
    g, m, n, k = c["groups"], c["m"], c["n"], c["k"]
    work, traffic = g * m * n * k, g * (m * k + n * k + m * n)
    return [
        1 + 0 * work,
        g,
        work,
        g * m * k,
        g * n * k,
        g * m * n,
        g * np.ceil(m / ROW_TILE) * n,
        np.maximum(traffic - 2**17, 0),
    ]


def _row(c: Columns) -> list[Any]:
    g, n, k = c["groups"], c["n"], c["k"]
    return [
        1 + 0 * g,
        g,
        g * n * k,
        np.maximum(g * n * k - 2**17, 0),
        np.maximum(g * n * k - 2**22, 0),
        g * n,
        g * k,
    ]


def _columns(c: Columns) -> list[Any]:
    return _row({**c, "n": c["m"]})


def _attention(c: Columns) -> list[Any]:
    h, m, n, d = c["groups"], c["m"], c["n"], c["d"]
    keys = h * n * d
    return [
        1 + 0 * h * m,
        h,
        h * np.ceil(m / 32),
        h * m * n * d,
        h * m * n,
        h * m * d,
        keys,
        np.maximum(2 * keys - 2**17, 0),
        c["mask"] * h * m * n,
        c["mask"],
    ]


def _conv2d(c: Columns) -> list[Any]:
    m, cin, cout, area, stride = c["m"], c["cin"], c["cout"], c["kernel"] ** 2, c["stride"]
    read, wide = m * stride**2 * cin, np.ceil(cout / 8) * 8
    large = np.maximum(read + m * cout - 2**16, 0)
    return [
        1 + 0 * m,
        m * cin * wide * area,
        read,
        m * cout,
        cin * cout * area,
        m * wide,
        large,
        m * cin * area,
    ]


def _conv2d_depthwise(c: Columns) -> list[Any]:
    m, cin, area = c["m"], c["cin"], c["kernel"] ** 2
    return [1 + 0 * m, m * cin * area, m * c["stride"] ** 2 * cin, m * cin, cin * area]


FEATURES: dict[str, Callable[[Columns], list[Any]]] = {
    "bmm": _bmm,
    "bmm_small": _bmm,
    "bmm_row": _row,
    "bmm_column": _columns,
    "attention": _attention,
    "conv2d": _conv2d,
    "conv2d_native": _conv2d,
    "conv2d_depthwise": _conv2d_depthwise,
}
"""Family → what its time is made of (set-up, multiply-adds, elements read, written, ...), each a non-negative rate that is fitted."""


def _correlation(a: Floats, b: Floats) -> Floats:
    """Matérn 3/2 of the distances between rows of a [p, d] and b [q, d] → [p, q]."""
    r = np.sqrt(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T), 0.0) * 3.0)
    return np.asarray((1 + r) * np.exp(-r))


SIGNAL = (
    0.2  # standard deviation of log(measured / rates), what the correlated correction may explain
)


def rates(family: str, points: Floats, seconds: Floats, dims: list[str]) -> Floats:
    """Non-negative rates [f] that minimise the relative error of features @ rates. points [p, d]; seconds [p]."""
    columns = {name: points[:, i] for i, name in enumerate(dims)}
    features = np.stack(
        [
            np.broadcast_to(np.asarray(f, dtype=float), seconds.shape)
            for f in FEATURES[family](columns)
        ],
        axis=1,
    )
    norm = np.maximum(np.abs(features / seconds[:, None]).max(0), 1e-30)
    found, _ = nnls(features / seconds[:, None] / norm, np.ones(len(seconds)))
    found = found / norm
    return np.asarray(
        found * np.exp(np.median(np.log(seconds / (features @ found))))
    )  # least squares of a ratio fits low


def scattered(family: str, table: Scatter) -> dict[str, Any]:
    """The function a scatter stands for: rates, and a correction of their logarithm that is correlated over nearby sizes (a Gaussian process)."""
    if "rates" not in table.fitted:
        points, seconds = np.array(table.points), np.array(table.seconds)
        fitted = rates(family, points, seconds, table.dims)
        columns = {name: points[:, i] for i, name in enumerate(table.dims)}
        base = sum(r * f for r, f in zip(fitted, FEATURES[family](columns), strict=True))
        x = np.log1p(points) / np.array(table.scales)
        covariance = _correlation(x, x) + (table.noise / SIGNAL) ** 2 * np.eye(len(x))
        weights = cho_solve(cho_factor(covariance), np.log(seconds / base))
        table.fitted.update(
            rates=fitted, x=x, weights=weights, low=points.min(0), high=points.max(0)
        )
    return table.fitted


def scatter_seconds(family: str, table: Scatter, columns: Columns) -> tuple[Any, Any]:
    """Seconds at so many ..., one column a dimension of the table (int or int array [n]; they broadcast)."""
    fit = scattered(family, table)
    given = np.broadcast_arrays(*(np.asarray(columns[d], dtype=float) for d in table.dims))
    shape = given[0].shape
    points = np.stack([g.ravel() for g in given], axis=1)
    inside = np.clip(points, fit["low"], fit["high"])
    base = sum(
        r * f
        for r, f in zip(
            fit["rates"],
            FEATURES[family](dict(zip(table.dims, points.T, strict=True))),
            strict=True,
        )
    )
    correction = _correlation(np.log1p(inside) / np.array(table.scales), fit["x"]) @ fit["weights"]
    outside = (points != inside).any(1)
    return (base * np.exp(correction)).reshape(shape), outside.reshape(shape)


def choose_scales(
    family: str, dims: list[str], points: Floats, seconds: Floats, noise: float
) -> tuple[list[float], float]:
    """Scales [d] with the smallest leave-one-out error, and that error (root mean square of log ratios). points [p, d]; seconds [p]."""
    fitted = rates(family, points, seconds, dims)
    base = sum(
        r * f
        for r, f in zip(
            fitted, FEATURES[family]({n: points[:, i] for i, n in enumerate(dims)}), strict=True
        )
    )
    y, logs = np.log(seconds / base), np.log1p(points)

    def left_out(scales: list[float]) -> float:
        x = logs / np.array(scales)
        inverse = np.linalg.inv(_correlation(x, x) + (noise / SIGNAL) ** 2 * np.eye(len(x)))
        return float(np.sqrt(np.mean(((inverse @ y) / np.diag(inverse)) ** 2)))

    choices = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    best = [4.0] * len(dims)
    error = left_out(best)
    for _ in range(2):
        for i in range(len(dims)):
            for s in choices:
                tried = [*best[:i], s, *best[i + 1 :]]
                if (e := left_out(tried)) < error:
                    best, error = tried, e
    return best, error
