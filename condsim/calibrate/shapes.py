"""The sizes that a calibration visits, and nothing else: `overlap` says how many of a model's kernels are among them.

Grids are powers of two (and most row counts up to 16); sizes that those beside them foretell within 3 % are left out. The
scattered points are drawn with a fixed seed; no size was taken from a model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from condsim.cost.cpu.tables import bmm_family, conv_family

ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 24, 32, 64, 128, 256, 512, 1024)
COLUMNS = (1, 2, 3, 4, 6, 8, 9, 10, 12, 14, 15, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 16384)
DEPTHS = (8, 32, 128, 512, 1024, 2048, 8192)
MM_ROWS = (1, 2, 3, 4, 6, 8, 12, 13, 14, 15, 16, 24, 32, 64, 128, 256, 512)
MM_COLUMNS = (1, 2, 4, 8, 12, 16, 32, 64, 128, 256, 512, 1024)
MM_DEPTHS = (8, 32, 128, 512, 1024)
MATMUL_FLOPS = 3e8  # no single matmul larger than this
WEIGHT_ELEMENTS = 2**23  # no weight of a linear layer larger than this
BIAS_SIZES = ((2, 8), (4, 16), (4, 128), (16, 128), (64, 256), (256, 512), (1024, 1024))

ELEMENTS = (16, 1024, 8192, 32768, 131072, 524288, 2097152)
FEW_ELEMENTS = (16, 1024, 8192, 32768, 131072, 524288)
LENGTHS = (2, 4, 8, 16, 64, 256, 1024)

POINTS = {
    "bmm": 130,
    "bmm_small": 40,
    "bmm_row": 70,
    "bmm_column": 60,
    "conv2d": 260,
    "conv2d_native": 90,
    "conv2d_depthwise": 50,
    "attention": 190,
}
SEED = 20250


@dataclass(frozen=True)
class Size:
    """What a calibration may leave out: a reduced one is for tests. visits: of each operator and matmul; rounds: of everything else;
    patience_s: for a machine that is disturbed."""

    rows: tuple[int, ...] = ROWS
    columns: tuple[int, ...] = COLUMNS
    depths: tuple[int, ...] = DEPTHS
    mm_rows: tuple[int, ...] = MM_ROWS
    mm_columns: tuple[int, ...] = MM_COLUMNS
    mm_depths: tuple[int, ...] = MM_DEPTHS
    elements: tuple[int, ...] = ELEMENTS
    lengths: tuple[int, ...] = LENGTHS
    points: float = 1.0
    rounds: int = 3
    visits: int = 2
    flops: float = MATMUL_FLOPS
    patience_s: float = 75.0


NORMAL = Size()
FULL = Size(points=2.0, rounds=9, visits=9, flops=1e9, patience_s=300.0)
TINY = Size(
    rows=(1, 2, 4, 8, 16, 64),
    columns=(8, 64),
    depths=(8, 64),
    mm_rows=(1, 16),
    mm_columns=(8, 64),
    mm_depths=(8, 64),
    elements=(16, 4096),
    lengths=(4, 64),
    points=0.08,
    rounds=2,
    flops=1e7,
    patience_s=0.0,
)


def _power(rng: np.random.Generator, low: int, high: int) -> int:
    """Log-uniform between low and high; a multiple of 8 above 16."""
    x = float(np.exp(rng.uniform(np.log(low), np.log(high + 1))))
    return max(low, round(x / 8) * 8) if x > 16 else max(low, int(x))


def timed(m: int, n: int, k: int, flops: float) -> bool:
    """Whether a linear layer of the grid is small enough to be timed."""
    return 2 * m * n * k <= flops and n * k <= WEIGHT_ELEMENTS


@cache
def bmm_sizes(family: str, count: int) -> tuple[tuple[int, int, int, int], ...]:
    """(groups, m, n, k), two groups or more. bmm_row has m = 1 and bmm_column n = 1, as single rows times copied weights have."""
    rng = np.random.default_rng(SEED)
    found: list[tuple[int, int, int, int]] = []
    while len(found) < count:
        g, m, n, k = (
            _power(rng, 2, 512),
            _power(rng, 1, 512),
            _power(rng, 1, 1024),
            _power(rng, 1, 1024),
        )
        m, n = (1, n) if family == "bmm_row" else (m, 1) if family == "bmm_column" else (m, n)
        if (
            bmm_family(g, m, n, k) == family
            and g * m * n * k <= MATMUL_FLOPS / 2
            and g * (m * k + n * k + m * n) <= 1.2e7
        ):
            found.append((g, m, n, k))
    return tuple(found)


@cache
def attention_sizes(count: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """(heads of all sequences, m queries, n keys, d, 1 for a mask); a third are decode steps (one query)."""
    rng = np.random.default_rng(SEED + 1)
    found: list[tuple[int, int, int, int, int]] = []
    while len(found) < count:
        h, n, d = (
            _power(rng, 1, 256),
            _power(rng, 4, 1024),
            int(rng.choice([8, 16, 24, 32, 48, 64, 96, 128])),
        )
        m = (1, n, n)[len(found) % 3]
        if 4 * h * m * n * d <= MATMUL_FLOPS and h * n * d <= 8e6:
            found.append((h, m, n, d, int(rng.random() < 0.35)))
    return tuple(found)


@cache
def conv_sizes(family: str, count: int) -> tuple[tuple[int, int, int, int, int, int], ...]:
    """(batch, channels in, channels out, height = width of the input, kernel, stride)."""
    rng = np.random.default_rng(SEED + 2)
    found: list[tuple[int, int, int, int, int, int]] = []
    while len(found) < count:
        batch, cin, cout = _power(rng, 1, 128), _power(rng, 4, 256), _power(rng, 8, 256)
        cout = max(8, cout // 8 * 8)
        cin = int(rng.choice([1, 3])) if rng.random() < 0.12 else max(8, cin // 8 * 8)
        side = int(rng.choice([4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32]))
        kernel, stride = (1, 3, 3, 3, 5)[int(rng.integers(5))], (1, 1, 2)[int(rng.integers(3))]
        if family == "conv2d_native" and rng.random() < 0.7:
            batch = 1
        out = -(-side // stride)
        if conv_family(batch, cin * side * side, kernel, stride, 1) != family:
            continue
        if (
            2 * batch * out * out * cin * cout * kernel**2 <= MATMUL_FLOPS
            and batch * side * side * max(cin, cout) <= 4e6
        ):
            found.append((batch, cin, cout, side, kernel, stride))
    return tuple(found)


@cache
def depthwise_sizes(count: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """(batch, channels, height = width of the input, kernel, stride)."""
    rng = np.random.default_rng(SEED + 3)
    found: list[tuple[int, int, int, int, int]] = []
    while len(found) < count:
        batch, c, side = (
            _power(rng, 1, 64),
            _power(rng, 8, 256),
            int(rng.choice([4, 7, 8, 14, 16, 28])),
        )
        if batch * side * side * c <= 4e6:
            found.append(
                (batch, c, side, (3, 3, 5)[int(rng.integers(3))], (1, 1, 2)[int(rng.integers(3))])
            )
    return tuple(found)


@cache
def visited(family: str) -> frozenset[tuple[int, ...]]:
    """Matmul sizes (m, n, k, groups) that a normal calibration times, in the form of `condsim.program.operators.Work`."""
    if family in ("linear", "grouped_mm"):
        return frozenset(
            (m, n, k, 1)
            for m, n, k in itertools.product(ROWS, COLUMNS, DEPTHS)
            if timed(m, n, k, MATMUL_FLOPS)
        )
    if family == "bmm":
        return frozenset(
            (m, n, k, g)
            for f in ("bmm", "bmm_small", "bmm_row", "bmm_column")
            for g, m, n, k in bmm_sizes(f, POINTS[f])
        )
    if family == "attention":
        return frozenset((m, n, d, h) for h, m, n, d, _ in attention_sizes(POINTS["attention"]))
    if family == "conv2d":
        drawn = [size for f in ("conv2d", "conv2d_native") for size in conv_sizes(f, POINTS[f])]
        return frozenset(
            (b * (-(-s // st)) ** 2, co, ci * ks * ks, 1) for b, ci, co, s, ks, st in drawn
        )
    return frozenset()


def overlap(kernels: Iterable[tuple[str, tuple[int, ...]]]) -> float:
    """Share of kernels (family, (m, n, k, groups)) that a calibration visited exactly; 0 for none."""
    hits = [size in visited(family) for family, size in kernels]
    return float(np.mean(hits)) if hits else 0.0
