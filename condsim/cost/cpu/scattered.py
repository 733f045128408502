"""Reading a table of measured times whose points lie anywhere.

Time is a sum of features of the sizes, each at a non-negative rate, times a correction that is
correlated over nearby sizes (a Gaussian process of the logarithm). Outside of what was measured the
correction is that of the nearest measured sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import nnls

from condsim.cost.cpu.kernel_families import ROW_TILE
from condsim.hardware import Floats, Scatter
from condsim.registry import Registry

Columns = Mapping[str, Any]
"""Dimension ("m", "n", "groups", ...) → its size, float or float array [n]."""
Features = Callable[[Columns], list[Any]]

SIGNAL = 0.2
"""Standard deviation of log(measured / rates) that the correction may explain. Estimated."""
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Length scales of the correction that are tried, natural logarithms of sizes."""
FIRST_SCALE = 4.0
ROUNDS = 2
"""How often each dimension's scale is chosen anew."""
SIZES_AT_ONCE = 128
"""Sizes whose distances to all points are in memory at once: they fit a core's cache."""

# Elements beyond which a kernel slows down, since it no longer finds them in a cache. Estimated; in
# fp32 these are 256 KiB, 512 KiB and 16 MiB.
CONVOLUTION_CACHE_ELEMENTS = 2**16
CORE_CACHE_ELEMENTS = 2**17
SHARED_CACHE_ELEMENTS = 2**22
ATTENTION_ROW_TILE = 32
"""Queries that attention takes at a time. Estimated."""
VECTORS = (8, 16)
"""Channels of one vector register, of 32 bits each: with AVX2 and with AVX-512."""

FEATURES: Registry[Features] = Registry("matmul family")
"""What the time of a family is made of: set-up, multiply-adds, elements read, written, ..."""


@FEATURES.register("bmm", "bmm_small")
def batched(c: Columns) -> list[Any]:
    """Of a batch of matrix products."""
    groups = c["groups"]
    m, n, k = c["m"], c["n"], c["k"]
    multiply_adds = groups * m * n * k
    set_up = 1 + 0 * multiply_adds
    left = groups * m * k
    right = groups * n * k
    results = groups * m * n
    passes = groups * np.ceil(m / ROW_TILE) * n
    traffic = groups * (m * k + n * k + m * n)
    evicted = np.maximum(traffic - CORE_CACHE_ELEMENTS, 0)
    return [set_up, groups, multiply_adds, left, right, results, passes, evicted]


@FEATURES.register("bmm_row")
def batched_row(c: Columns) -> list[Any]:
    """Of a batch of products of one row with a matrix."""
    return _vector_features(c["groups"], c["n"], c["k"])


@FEATURES.register("bmm_column")
def batched_column(c: Columns) -> list[Any]:
    """Of a batch of products of a matrix with one column."""
    return _vector_features(c["groups"], c["m"], c["k"])


def _vector_features(groups: Any, length: Any, depth: Any) -> list[Any]:
    """Of a batch of products whose result is a vector."""
    set_up = 1 + 0 * groups
    matrices = groups * length * depth
    beyond_core = np.maximum(matrices - CORE_CACHE_ELEMENTS, 0)
    beyond_shared = np.maximum(matrices - SHARED_CACHE_ELEMENTS, 0)
    results = groups * length
    vectors = groups * depth
    return [set_up, groups, matrices, beyond_core, beyond_shared, results, vectors]


@FEATURES.register("attention")
def attention(c: Columns) -> list[Any]:
    """Of heads of m queries and n keys, d wide."""
    heads, mask = c["groups"], c["mask"]
    m, n, d = c["m"], c["n"], c["d"]
    set_up = 1 + 0 * heads * m
    passes = heads * np.ceil(m / ATTENTION_ROW_TILE)
    multiply_adds = heads * m * n * d
    scores = heads * m * n
    queries = heads * m * d
    keys = heads * n * d
    evicted = np.maximum(2 * keys - CORE_CACHE_ELEMENTS, 0)
    masked = mask * heads * m * n
    return [
        set_up,
        heads,
        passes,
        multiply_adds,
        scores,
        queries,
        keys,
        evicted,
        masked,
        mask,
    ]


@FEATURES.register("conv2d", "conv2d_native")
def convolution(c: Columns) -> list[Any]:
    """Of a convolution with m output positions and kernels of kernel x kernel.

    Which vectors the library computes in follows from the times: the rates of the others are 0.
    """
    m, cin, cout = c["m"], c["cin"], c["cout"]
    area = c["kernel"] ** 2
    set_up = 1 + 0 * m
    multiply_adds, padded_results = [], []
    for vector in VECTORS:
        results_channels = np.ceil(cout / vector) * vector
        whole_vectors = np.ceil(cin / vector) * vector
        image_channels = np.where(cin > vector, whole_vectors, cin)
        multiply_adds.append(m * image_channels * results_channels * area)
        padded_results.append(m * results_channels)
    read = m * c["stride"] ** 2 * cin
    written = m * cout
    weights = cin * cout * area
    evicted = np.maximum(read + written - CONVOLUTION_CACHE_ELEMENTS, 0)
    unfolded = m * cin * area
    return [
        set_up,
        *multiply_adds,
        read,
        written,
        weights,
        *padded_results,
        evicted,
        unfolded,
    ]


@FEATURES.register("conv2d_depthwise")
def depthwise_convolution(c: Columns) -> list[Any]:
    """Of a convolution of each channel by itself."""
    m, channels = c["m"], c["cin"]
    area = c["kernel"] ** 2
    set_up = 1 + 0 * m
    multiply_adds = m * channels * area
    read = m * c["stride"] ** 2 * channels
    written = m * channels
    weights = channels * area
    return [set_up, multiply_adds, read, written, weights]


@dataclass(frozen=True)
class Fit:
    """The function that a table of points stands for.

    rates: seconds a feature [f]. points: logarithms of the measured sizes in length scales [p, d].
    weights: of each point in the correction [p]. low, high: the least and the largest size [d].
    """

    rates: Floats
    points: Floats
    weights: Floats
    low: Floats
    high: Floats


def scatter_seconds(family: str, table: Scatter, columns: Columns) -> tuple[Any, Any]:
    """Seconds, and whether the sizes lie outside of what was measured.

    columns: a size for each dimension of the table, int or int array [n]; they broadcast. Each
    answer is the same to the last bit whatever sizes are asked for along with it, as sums over
    the table's points are taken row by row and not by a matrix product.
    """
    fit: Fit = table.once("fit", partial(_fit, family, table))
    sizes = [np.asarray(columns[name], dtype=float) for name in table.dims]
    sizes = list(np.broadcast_arrays(*sizes))
    points = np.stack([size.ravel() for size in sizes], axis=1)
    inside = np.clip(points, fit.low, fit.high)
    uncorrected = _at_rates(family, table.dims, points, fit.rates)
    scaled = np.log1p(inside) / np.array(table.scales)
    seconds = uncorrected * np.exp(_corrections(scaled, fit))
    outside = (points != inside).any(1)
    shape = sizes[0].shape
    return seconds.reshape(shape), outside.reshape(shape)


def _corrections(scaled: Floats, fit: Fit) -> Floats:
    """Logarithm of what rates are off by at some sizes [n]. scaled: [n, d], in length scales."""
    found = np.empty(len(scaled))
    for first in range(0, len(scaled), SIZES_AT_ONCE):
        some = slice(first, first + SIZES_AT_ONCE)
        near = _correlation(scaled[some], fit.points)
        found[some] = (near * fit.weights).sum(1)
    return found


def choose_scales(
    family: str, dims: list[str], points: Floats, seconds: Floats, noise: float
) -> tuple[list[float], float]:
    """Length scales [d] with the smallest leave-one-out error, and that error.

    points: sizes [p, d]. seconds: of each [p]. noise: relative, of one measurement. The error is
    the root mean square of log ratios.
    """
    fitted = rates(family, points, seconds, dims)
    uncorrected = _at_rates(family, dims, points, fitted)
    log_ratios = np.log(seconds / uncorrected)
    best = [FIRST_SCALE] * len(dims)
    error = _leave_one_out_error(points, log_ratios, best, noise)
    for _ in range(ROUNDS):
        for dimension in range(len(dims)):
            for scale in SCALES:
                tried = list(best)
                tried[dimension] = scale
                tried_error = _leave_one_out_error(points, log_ratios, tried, noise)
                if tried_error < error:
                    best, error = tried, tried_error
    return best, error


def rates(family: str, points: Floats, seconds: Floats, dims: list[str]) -> Floats:
    """Non-negative rates [f] that minimise the relative error of features @ rates.

    points: sizes [p, d]. seconds: of each [p].
    """
    columns = []
    for feature in FEATURES[family](_by_name(dims, points)):
        column = np.asarray(feature, dtype=float)
        columns.append(np.broadcast_to(column, seconds.shape))
    features = np.stack(columns, axis=1)
    relative = features / seconds[:, None]
    norm = np.maximum(np.abs(relative).max(0), 1e-30)
    ones = np.ones(len(seconds))
    normed, _ = nnls(relative / norm, ones)
    fitted = normed / norm
    log_ratios = np.log(seconds / (features @ fitted))
    too_low = np.median(log_ratios)  # least squares of a ratio fits low
    return np.asarray(fitted * np.exp(too_low))


def _fit(family: str, table: Scatter) -> Fit:
    points = np.array(table.points)
    seconds = np.array(table.seconds)
    fitted = rates(family, points, seconds, table.dims)
    uncorrected = _at_rates(family, table.dims, points, fitted)
    log_ratios = np.log(seconds / uncorrected)
    scaled = np.log1p(points) / np.array(table.scales)
    covariance = _covariance(scaled, table.noise)
    weights = cho_solve(cho_factor(covariance), log_ratios)
    low = points.min(0)
    high = points.max(0)
    return Fit(fitted, scaled, weights, low, high)


def _at_rates(family: str, dims: list[str], points: Floats, fitted: Floats) -> Any:
    """Seconds without the correction [p]. points: sizes [p, d]."""
    features = FEATURES[family](_by_name(dims, points))
    seconds: Any = 0
    for rate, feature in zip(fitted, features, strict=True):
        seconds = seconds + rate * feature
    return seconds


def _by_name(dims: list[str], points: Floats) -> dict[str, Floats]:
    return {name: points[:, i] for i, name in enumerate(dims)}


def _leave_one_out_error(
    points: Floats, log_ratios: Floats, scales: list[float], noise: float
) -> float:
    """How far off each point is when the others predict it, root mean square of log ratios."""
    scaled = np.log1p(points) / np.array(scales)
    inverse = np.linalg.inv(_covariance(scaled, noise))
    left_out = (inverse @ log_ratios) / np.diag(inverse)
    return float(np.sqrt(np.mean(left_out**2)))


def _covariance(scaled: Floats, noise: float) -> Floats:
    """Of the measured points, noise included [p, p]. scaled: [p, d], in length scales."""
    noise_variance = (noise / SIGNAL) ** 2
    return _correlation(scaled, scaled) + noise_variance * np.eye(len(scaled))


def _correlation(a: Floats, b: Floats) -> Floats:
    """Matérn 3/2 of the distances between rows of a [p, d] and b [q, d] → [p, q]."""
    squares = np.zeros((len(a), len(b)))
    for of_a, of_b in zip(a.T, b.T, strict=True):
        difference = of_a[:, None] - of_b
        squares += difference * difference
    distance = np.sqrt(3.0 * squares)
    return np.asarray((1 + distance) * np.exp(-distance))
