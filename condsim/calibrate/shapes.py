"""The sizes that a calibration visits, and nothing else: `overlap` says how many of a model's kernels are among them.

Grids are powers of two (and all row counts up to 16), the scattered points are drawn with a fixed seed; no size was taken from a model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)
COLUMNS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
DEPTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
MM_ROWS = (1, 2, 3, 4, 6, 8, 12, 13, 14, 15, 16, 24, 32, 64, 128, 256, 512)
MM_COLUMNS = (1, 8, 16, 32, 64, 128, 256, 512, 1024)
MM_DEPTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
MATMUL_FLOPS = 3e8  # no single matmul larger than this
BIAS_SIZES = ((1, 8), (1, 128), (16, 128), (64, 256), (256, 512), (1024, 1024))

ELEMENTS = (16, 1024, 8192, 65536, 524288, 2097152)
FEW_ELEMENTS = (16, 1024, 8192, 65536, 524288)
LENGTHS = (2, 4, 8, 16, 64, 256, 1024)

POINTS = {"bmm_row": 70, "bmm_column": 70, "conv2d": 260, "conv2d_depthwise": 50, "attention": 130}
SEED = 20250


@dataclass(frozen=True)
class Size:
    """What a calibration may leave out: a reduced one is for tests."""

    rows: tuple[int, ...] = ROWS
    columns: tuple[int, ...] = COLUMNS
    depths: tuple[int, ...] = DEPTHS
    mm_rows: tuple[int, ...] = MM_ROWS
    mm_columns: tuple[int, ...] = MM_COLUMNS
    mm_depths: tuple[int, ...] = MM_DEPTHS
    elements: tuple[int, ...] = ELEMENTS
    lengths: tuple[int, ...] = LENGTHS
    points: float = 1.0
    rounds: int = 5
    flops: float = MATMUL_FLOPS


NORMAL = Size()
FULL = Size(points=2.0, rounds=9, flops=1e9)
TINY = Size(
    rows=(1, 2, 4, 8, 16, 64), columns=(8, 64), depths=(8, 64), mm_rows=(1, 16), mm_columns=(8, 64), mm_depths=(8, 64),
    elements=(16, 4096), lengths=(4, 64), points=0.08, rounds=2, flops=1e7,
)  # fmt: skip


def _power(rng: np.random.Generator, low: int, high: int) -> int:
    """Log-uniform between low and high; a multiple of 8 above 16."""
    x = float(np.exp(rng.uniform(np.log(low), np.log(high + 1))))
    return max(low, round(x / 8) * 8) if x > 16 else max(low, int(x))


@cache
def vector_sizes(count: int) -> tuple[tuple[int, int, int], ...]:
    """(groups, n, k) of [groups] vectors of k times matrices k x n: single rows times copied weights, decode steps."""
    rng = np.random.default_rng(SEED)
    found: list[tuple[int, int, int]] = []
    while len(found) < count:
        g, n, k = _power(rng, 1, 512), _power(rng, 4, 1024), _power(rng, 8, 1024)
        if g * n * k <= 1.2e7:
            found.append((g, n, k))
    return tuple(found)


@cache
def attention_sizes(count: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """(heads of all sequences, m queries, n keys, d, 1 for a mask); a third are decode steps (one query)."""
    rng = np.random.default_rng(SEED + 1)
    found: list[tuple[int, int, int, int, int]] = []
    while len(found) < count:
        h, n, d = _power(rng, 1, 256), _power(rng, 4, 1024), int(rng.choice([8, 16, 24, 32, 48, 64, 96, 128]))
        m = (1, n, n)[len(found) % 3]
        if 4 * h * m * n * d <= MATMUL_FLOPS and h * n * d <= 8e6:
            found.append((h, m, n, d, int(rng.random() < 0.35)))
    return tuple(found)


@cache
def conv_sizes(count: int) -> tuple[tuple[int, int, int, int, int, int], ...]:
    """(batch, channels in, channels out, height = width of the input, kernel, stride)."""
    rng = np.random.default_rng(SEED + 2)
    found: list[tuple[int, int, int, int, int, int]] = []
    while len(found) < count:
        batch, cin, cout = _power(rng, 1, 128), _power(rng, 4, 256), _power(rng, 8, 256)
        if len(found) % 8 == 0:
            cin = (1, 3)[len(found) // 8 % 2]
        side = int(rng.choice([4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32]))
        kernel, stride = (1, 3, 3, 3, 5)[int(rng.integers(5))], (1, 1, 2)[int(rng.integers(3))]
        out = -(-side // stride)
        if 2 * batch * out * out * cin * cout * kernel**2 <= MATMUL_FLOPS and batch * side * side * max(cin, cout) <= 4e6:
            found.append((batch, cin, cout, side, kernel, stride))
    return tuple(found)


@cache
def depthwise_sizes(count: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """(batch, channels, height = width of the input, kernel, stride)."""
    rng = np.random.default_rng(SEED + 3)
    found: list[tuple[int, int, int, int, int]] = []
    while len(found) < count:
        batch, c, side = _power(rng, 1, 64), _power(rng, 8, 256), int(rng.choice([4, 7, 8, 14, 16, 28]))
        if batch * side * side * c <= 4e6:
            found.append((batch, c, side, (3, 3, 5)[int(rng.integers(3))], (1, 1, 2)[int(rng.integers(3))]))
    return tuple(found)


@cache
def visited(family: str) -> frozenset[tuple[int, ...]]:
    """Matmul sizes (m, n, k, groups) that a normal calibration times, in the form of `condsim.operators.Work`."""
    if family in ("linear", "grouped_mm"):
        return frozenset((m, n, k, 1) for m, n, k in itertools.product(ROWS, COLUMNS, DEPTHS) if 2 * m * n * k <= MATMUL_FLOPS)
    if family == "bmm":
        rows = frozenset((1, n, k, g) for g, n, k in vector_sizes(POINTS["bmm_row"]))
        return rows | frozenset((m, 1, k, g) for g, m, k in vector_sizes(POINTS["bmm_column"]))
    if family == "attention":
        return frozenset((m, n, d, h) for h, m, n, d, _ in attention_sizes(POINTS["attention"]))
    if family == "conv2d":
        return frozenset((b * (-(-s // st)) ** 2, co, ci * ks * ks, 1) for b, ci, co, s, ks, st in conv_sizes(POINTS["conv2d"]))
    return frozenset()


def overlap(kernels: Iterable[tuple[str, tuple[int, ...]]]) -> float:
    """Share of kernels (family, (m, n, k, groups)) that a calibration visited exactly; 0 for none."""
    hits = [size in visited(family) for family, size in kernels]
    return float(np.mean(hits)) if hits else 0.0
