"""The sizes that a calibration visits; `overlap` says how many of a model's kernels are among them.

Grids are powers of two (and most row counts up to 16); a size is left out where its neighbours on
the grid foretell it within 3 %. The scattered sizes are drawn with a fixed seed. No size was taken
from a model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from condsim.cost.cpu.kernel_families import bmm_family, conv_family

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
FOOTPRINTS_MB = (0.4, 1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96)
DISTANCES_MB = (2.0, 6.0, 16.0)
PRODUCTS_S = (1e-4, 5e-4, 2e-3, 6e-3)
FRESH_ELEMENTS = 2**25  # 128 MiB: more than the C library ever keeps

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
    """What a calibration visits, and how often; a reduced one is for tests.

    rows, columns, depths: the grid of linear layers; mm_rows, mm_columns, mm_depths: of torch.mm.
    elements, lengths: of tensors and of their rows, for all other operators.
    points: how many scattered sizes, as a share of POINTS.
    rounds: over which the whole calibration is spread; visits: of each operator and matmul.
    flops: of the largest matmul.
    patience_s: how long the calibration may wait for a machine that is disturbed.
    footprints_mb: of weights and activations visited in turn. draws: of operators among others.
    distances_mb: read between two calls of operators; products_s: for how long products run there.
    fresh_elements: of the memory that is used first.
    """

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
    footprints_mb: tuple[float, ...] = FOOTPRINTS_MB
    draws: int = 100
    distances_mb: tuple[float, ...] = DISTANCES_MB
    products_s: tuple[float, ...] = PRODUCTS_S
    fresh_elements: int = FRESH_ELEMENTS


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
    footprints_mb=(0.4, 4.0),
    draws=12,
    distances_mb=(1.0, 8.0),
    products_s=(1e-4, 5e-4),
    fresh_elements=2**24,
)


class Products(NamedTuple):
    """A batch of products: `groups` times an [m, k] by [k, n] matmul."""

    groups: int
    m: int
    n: int
    k: int

    @property
    def multiply_adds(self) -> int:
        return self.groups * self.m * self.n * self.k

    @property
    def elements(self) -> int:
        """Elements of both operands and of the result."""
        groups, m, n, k = self
        return groups * (m * k + n * k + m * n)


class Attention(NamedTuple):
    """Attention of `heads` (of all sequences) over keys and values of `depth` elements a head.

    mask: 1 where the call is given a mask, else 0.
    """

    heads: int
    queries: int
    keys: int
    depth: int
    mask: int


class Convolution(NamedTuple):
    """A convolution with same padding over a batch of square images; side: of the input image."""

    batch: int
    channels_in: int
    channels_out: int
    side: int
    kernel: int
    stride: int

    @property
    def area(self) -> int:
        """Positions of the output image."""
        return _strided(self.side, self.stride) ** 2


class Depthwise(NamedTuple):
    """A convolution with same padding that keeps the channels apart; side: of the input image."""

    batch: int
    channels: int
    side: int
    kernel: int
    stride: int

    @property
    def area(self) -> int:
        """Positions of the output image."""
        return _strided(self.side, self.stride) ** 2


def _strided(side: int, stride: int) -> int:
    """Side of the output image."""
    return -(-side // stride)


def timed(m: int, n: int, k: int, flops: float) -> bool:
    """Whether a linear layer of the grid is small enough to be timed."""
    small_enough = 2 * m * n * k <= flops
    return small_enough and n * k <= WEIGHT_ELEMENTS


def _log_uniform(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number, log-uniform between low and high; a multiple of 8 above 16."""
    log = rng.uniform(np.log(low), np.log(high + 1))
    drawn = float(np.exp(log))
    if drawn > 16:
        whole = round(drawn / 8) * 8
    else:
        whole = int(drawn)
    return max(low, whole)


def _one_of(rng: np.random.Generator, choices: tuple[int, ...]) -> int:
    return choices[int(rng.integers(len(choices)))]


@cache
def bmm_sizes(family: str, count: int) -> tuple[Products, ...]:
    """Sizes of a batched product, two groups or more.

    Family bmm_row has m = 1 and bmm_column n = 1, as single rows times copied weights have.
    """
    rng = np.random.default_rng(SEED)
    drawn: list[Products] = []
    while len(drawn) < count:
        groups = _log_uniform(rng, 2, 512)
        m = _log_uniform(rng, 1, 512)
        n = _log_uniform(rng, 1, 1024)
        k = _log_uniform(rng, 1, 1024)
        if family == "bmm_row":
            m = 1
        if family == "bmm_column":
            n = 1
        size = Products(groups, m, n, k)
        small = size.multiply_adds <= MATMUL_FLOPS / 2 and size.elements <= 1.2e7
        if bmm_family(groups, m, n, k) == family and small:
            drawn.append(size)
    return tuple(drawn)


@cache
def attention_sizes(count: int) -> tuple[Attention, ...]:
    """Sizes of attention; a third of them are decode steps (one query)."""
    rng = np.random.default_rng(SEED + 1)
    drawn: list[Attention] = []
    while len(drawn) < count:
        heads = _log_uniform(rng, 1, 256)
        keys = _log_uniform(rng, 4, 1024)
        depth = int(rng.choice([8, 16, 24, 32, 48, 64, 96, 128]))
        queries = 1 if len(drawn) % 3 == 0 else keys
        flops = 4 * heads * queries * keys * depth
        if flops <= MATMUL_FLOPS and heads * keys * depth <= 8e6:
            mask = int(rng.random() < 0.35)
            drawn.append(Attention(heads, queries, keys, depth, mask))
    return tuple(drawn)


@cache
def conv_sizes(family: str, count: int) -> tuple[Convolution, ...]:
    """Sizes of the convolutions that run one kind of kernel."""
    rng = np.random.default_rng(SEED + 2)
    drawn: list[Convolution] = []
    while len(drawn) < count:
        size = _convolution(rng, family)
        batch, channels_in, channels_out, side, kernel, stride = size
        image_elements = channels_in * side * side
        if conv_family(batch, image_elements, kernel, stride, 1) != family:
            continue
        flops = 2 * batch * size.area * channels_in * channels_out * kernel**2
        elements = batch * side * side * max(channels_in, channels_out)
        if flops <= MATMUL_FLOPS and elements <= 4e6:
            drawn.append(size)
    return tuple(drawn)


def _channels(rng: np.random.Generator) -> int:
    """A number of channels: a multiple of 16, as most models have it, or of 8."""
    multiple = _one_of(rng, (8, 16, 16))
    return max(multiple, _log_uniform(rng, 8, 256) // multiple * multiple)


def _convolution(rng: np.random.Generator, family: str) -> Convolution:
    """One convolution: some on 1 or 3 channels; a native one mostly on a single image."""
    batch = _log_uniform(rng, 1, 128)
    channels_out = _channels(rng)
    channels_in = int(rng.choice([1, 3])) if rng.random() < 0.12 else _channels(rng)
    side = int(rng.choice([4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32]))
    kernel = _one_of(rng, (1, 3, 3, 3, 5))
    stride = _one_of(rng, (1, 1, 2))
    if family == "conv2d_native" and rng.random() < 0.7:
        batch = 1
    return Convolution(batch, channels_in, channels_out, side, kernel, stride)


@cache
def depthwise_sizes(count: int) -> tuple[Depthwise, ...]:
    """Sizes of depthwise convolutions."""
    rng = np.random.default_rng(SEED + 3)
    drawn: list[Depthwise] = []
    while len(drawn) < count:
        batch = _log_uniform(rng, 1, 64)
        channels = _log_uniform(rng, 8, 256)
        side = int(rng.choice([4, 7, 8, 14, 16, 28]))
        if batch * side * side * channels <= 4e6:
            kernel = _one_of(rng, (3, 3, 5))
            stride = _one_of(rng, (1, 1, 2))
            drawn.append(Depthwise(batch, channels, side, kernel, stride))
    return tuple(drawn)


@cache
def visited(family: str) -> frozenset[tuple[int, ...]]:
    """Matmul sizes (m, n, k, groups) that a normal calibration times.

    The form is that of `condsim.program.operators.Work`; empty for a family without matmuls.
    """
    sizes: set[tuple[int, ...]] = set()
    if family in ("linear", "grouped_mm"):
        for m, n, k in itertools.product(ROWS, COLUMNS, DEPTHS):
            if timed(m, n, k, MATMUL_FLOPS):
                sizes.add((m, n, k, 1))
    if family == "bmm":
        for kind in ("bmm", "bmm_small", "bmm_row", "bmm_column"):
            for groups, m, n, k in bmm_sizes(kind, POINTS[kind]):
                sizes.add((m, n, k, groups))
    if family == "attention":
        for heads, queries, keys, depth, _ in attention_sizes(POINTS["attention"]):
            sizes.add((queries, keys, depth, heads))
    if family == "conv2d":
        for kind in ("conv2d", "conv2d_native"):
            for size in conv_sizes(kind, POINTS[kind]):
                rows = size.batch * size.area
                depth = size.channels_in * size.kernel * size.kernel
                sizes.add((rows, size.channels_out, depth, 1))
    return frozenset(sizes)


def overlap(kernels: Iterable[tuple[str, tuple[int, ...]]]) -> float:
    """Share of kernels (family, (m, n, k, groups)) of sizes that a calibration times; 0 if none."""
    hits = [size in visited(family) for family, size in kernels]
    return float(np.mean(hits)) if hits else 0.0
