"""Makes a profile of onnxruntime on this CPU from micro-benchmarks only, without any model.

    seconds of a graph = launch + Σ (kernel + node) + bytes that cross its ends / rate

Kernels come from graphs of one convolution or one matmul, timed by onnxruntime itself. Those of
small operators come from graphs in which a convolution ran before, since alone they find their code
cached. `launch` and the rate come from chains of convolutions, a graph each, as a constant and a
time a byte beyond their kernels. A convolution works on channels in blocks of eight, so what enters
and leaves a graph is rewritten, and copied for the host.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import numpy as np
import onnxruntime
import torch
from scipy.stats import theilslopes
from torch import nn

from benchmarks.partitions.session import Prepared
from condsim.calibrate import shapes
from condsim.calibrate.residency import EvictedWeights
from condsim.calibrate.scattered import FAMILIES, NOISE
from condsim.cost.cpu.scattered import choose_scales
from condsim.hardware import (
    FORMAT,
    Curve,
    Graphs,
    Grid,
    HardwareProfile,
    Host,
    Level,
    Power,
    Quantity,
    Residency,
    Scatter,
    fingerprint,
)
from condsim.timing.cases import quiet, threads
from condsim.timing.clock import CPU
from condsim.timing.yardstick import Yardstick

WARM, RUNS, MEASURE_S = 4, 40, 1.2e-2
"""Each graph runs at least so many times and for so many seconds, after a few runs for warming."""
CONVOLUTIONS = {"conv2d": 150, "conv2d_native": 70}
"""List of `condsim.calibrate.shapes` → sizes drawn from it. The lists differ in batch."""
MOST_FLOPS, MOST_ELEMENTS = 1.2e8, 4e5
ROWS, COLUMNS, DEPTHS = (1, 2, 4, 8, 16, 32), (1, 4, 8, 16, 64), (8, 16, 32, 64, 128)
ELEMENTS = (16, 1024, 8192, 65536, 262144)
CHAINS = (
    (1, 8, 4),
    (1, 8, 16),
    (1, 8, 28),
    (1, 8, 40),
    (1, 8, 56),
    (1, 8, 80),
    (4, 8, 56),
)
"""(batch, channels, side) of chains of graphs: many bytes and short kernels."""
LENGTH, LINE = 6, 12
"""Graphs that are run in turn, and kernels of a graph."""
REORDER = ("ReorderInput", "ReorderOutput")

Kernels = dict[str, float]
"""Operator of onnxruntime → seconds, summed over its calls in a graph."""


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, call: Callable[..., object]) -> None:
        super().__init__()
        self.call = call

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.call(*inputs)


def conv(cin: int, cout: int, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, kernel // 2), nn.ReLU())


class After(nn.Module):
    """An operator on inputs of its own, after a convolution whose data fills the first caches."""

    def __init__(self, call: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.before, self.call = conv(64, 64, 3, 1), call

    def forward(self, x: torch.Tensor, *inputs: torch.Tensor) -> object:
        return self.before(x), self.call(*inputs)


def undisturbed(times: Sequence[float]) -> float:
    """Return the seconds when no neighbour slows the core down: the 10 % quantile of many times."""
    return float(np.quantile(times, 0.1))


def kernels(module: nn.Module, *inputs: torch.Tensor) -> Kernels:
    """Return the seconds of each kind of kernel in a graph of the module."""
    graph = Prepared(module, *inputs, profile=True)
    arrays = [x.numpy() for x in inputs]
    for _ in range(WARM):
        graph(*arrays)
    start = CPU()
    graph(*arrays)
    one_run_s = max(CPU() - start, 1e-5)
    for _ in range(max(RUNS, int(MEASURE_S / one_run_s))):
        graph(*arrays)
    found: Kernels = {}
    for name, times in graph.kernels():
        found[name] = found.get(name, 0.0) + undisturbed(times[WARM + 1 :])
    return found


class Part(nn.Module):
    """A convolution between two cuts, which activations, a decision and a result cross."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = conv(channels, channels, 1, 1)

    def forward(
        self, x: torch.Tensor, goes: torch.Tensor, result: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.body(x), ~goes, -result


def cut(batch: int, channels: int, side: int) -> float:
    """Return the seconds of a graph beyond its kernels, to which rewriting of layouts belongs.

    Graphs with weights of their own run in turn.
    """
    parts = [Part(channels) for _ in range(LENGTH)]
    given = (
        torch.randn(batch, channels, side, side),
        torch.zeros(batch, dtype=torch.bool),
        torch.randn(batch, 10),
    )
    graphs = [Prepared(part, *given) for part in parts]
    seen = []
    for i in range(WARM + 2 * RUNS):
        crossing = [x.numpy() for x in given]
        start = CPU()
        for graph in graphs:
            crossing = graph(*crossing)
        if i >= WARM:
            seen.append((CPU() - start) / LENGTH)
    of_kernels = kernels(parts[0], *given)
    return undisturbed(seen) - _without(of_kernels, REORDER)


def _without(of_kernels: Kernels, names: Sequence[str]) -> float:
    """Return the seconds of all kernels but those of these names."""
    return sum(seconds for name, seconds in of_kernels.items() if name not in names)


def _one(elements: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(elements),)


def _two(elements: int) -> tuple[torch.Tensor, ...]:
    return torch.randn(elements), torch.randn(elements)


def _rows_of_16(elements: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(max(elements // 16, 1), 16),)


def _condition_and_two(elements: int) -> tuple[torch.Tensor, ...]:
    rows = max(elements // 64, 1)
    condition = torch.zeros(rows, 1, dtype=torch.bool)
    return condition, torch.randn(rows, 64), torch.randn(rows, 64)


Inputs = Callable[[int], tuple[torch.Tensor, ...]]
"""Number of elements → inputs of an operator."""

OPERATORS: dict[str, tuple[Callable[..., torch.Tensor], Inputs]] = {
    "relu": (torch.relu, _one),
    "add": (torch.add, _two),
    "gt": (lambda x: x > 0.5, _one),
    "softmax": (lambda x: x.softmax(-1), _rows_of_16),
    "amax": (lambda x: x.amax(-1), _rows_of_16),
    "where": (torch.where, _condition_and_two),
}


def pooled(elements: int) -> float:
    """Return the seconds of the kernels after a convolution whose result is averaged.

    elements: of the convolution's result, which is averaged over its positions.
    """
    channels = max(elements // 64, 8) // 8 * 8
    module = nn.Sequential(conv(8, channels, 1, 1), nn.AdaptiveAvgPool2d(1))
    every = kernels(module, torch.randn(1, 8, 8, 8))
    return _without(every, ("Conv", "ReorderInput"))


def node() -> float:
    """Return the seconds that one more kernel in a graph costs beyond itself."""
    short_s, of_short_s = _line(1)
    long_s, of_long_s = _line(LINE)
    beyond_s = long_s - short_s - of_long_s + of_short_s
    return max(beyond_s / (LINE - 1), 1e-9)


def _line(length: int) -> tuple[float, float]:
    """Return (seconds of a graph of so many kernels, seconds of its kernels)."""
    line, x = nn.Sequential(*[nn.Softmax(-1) for _ in range(length)]), torch.randn(1, 8)
    graph, seen = Prepared(line, x), []
    for _ in range(20 * RUNS):
        start = CPU()
        graph(x.numpy())
        seen.append(CPU() - start)
    return undisturbed(seen), sum(kernels(line, x).values())


def convolutions() -> list[shapes.Convolution]:
    """Return the sizes that this machine's own calibration draws, but for those that run long."""
    found = []
    for family, count in CONVOLUTIONS.items():
        for size in shapes.conv_sizes(family, count):
            batch, channels_in, channels_out, side, _, _ = size
            elements = batch * side * side * max(channels_in, channels_out)
            if _flops(size) <= MOST_FLOPS and elements <= MOST_ELEMENTS and side > 4:
                found.append(shapes.Convolution(*size))
    return found


def _flops(size: Sequence[int]) -> int:
    """Return the FLOPs of a convolution with such a size."""
    batch, channels_in, channels_out, side, kernel, stride = size
    side_out = -(-side // stride)
    return 2 * batch * side_out**2 * channels_in * channels_out * kernel * kernel


Times = dict[tuple[object, ...], float]
"""Case → seconds. A case is ("conv2d", size), ("linear", m, n, k), (operator, elements), ("cut",
size), ("view",) or ("node",)."""


def timed(
    progress: Callable[[float], None] = lambda _share: None,
) -> tuple[Times, Residency, float]:
    """Return (seconds of each case, residency of weights, seconds of the yardstick)."""
    torch.manual_seed(0)
    found: Times = {}
    with threads(1), quiet():
        work = _work()
        for number, (case, measure) in enumerate(work.items()):
            found[case] = measure()
            progress((number + 1) / len(work))
        yardstick = Yardstick()
        weights = EvictedWeights(yardstick=yardstick)
        for _ in range(3):
            weights.round()
    return found, weights.curves(), yardstick.fast_s


def _work() -> dict[tuple[object, ...], Callable[[], float]]:
    """Return case → what measures its seconds, in the order of measuring."""
    before = torch.randn(1, 64, 14, 14)
    work: dict[tuple[object, ...], Callable[[], float]] = {}
    for size in convolutions():
        work["conv2d", size] = partial(_of_conv, size)
    for m, n, k in product(ROWS, COLUMNS, DEPTHS):
        work["linear", m, n, k] = partial(_of_linear, before, m, n, k)
    for name, (call, inputs) in OPERATORS.items():
        for elements in ELEMENTS:
            work[name, elements] = partial(_of_operator, before, call, inputs, elements)
    for elements in ELEMENTS:
        work["adaptive_avg_pool2d", elements] = partial(pooled, elements)
    work["view",] = partial(_of_view, before)
    work["node",] = node
    for chain in CHAINS:
        work["cut", chain] = partial(cut, *chain)
    return work


def _of_conv(size: shapes.Convolution) -> float:
    batch, channels_in, channels_out, side, kernel, stride = size
    module = conv(channels_in, channels_out, kernel, stride)
    return kernels(module, torch.randn(batch, channels_in, side, side))["Conv"]


def _of_linear(before: torch.Tensor, m: int, n: int, k: int) -> float:
    return _after(before, nn.Linear(k, n), torch.randn(m, k))


def _of_operator(
    before: torch.Tensor, call: Callable[..., torch.Tensor], inputs: Inputs, elements: int
) -> float:
    return _after(before, call, *inputs(elements))


def _of_view(before: torch.Tensor) -> float:
    return _after(before, nn.Flatten(), torch.randn(8, 64, 1, 1))


def _after(before: torch.Tensor, call: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> float:
    """Return the seconds of a call that follows a convolution of `before`."""
    every = kernels(After(call), before, *inputs)
    return _without(every, ("Conv", *REORDER))


def calibrate() -> HardwareProfile:
    """Measure the profile, which takes about two minutes."""
    return profile(*timed())


def profile(times: Times, kept: Residency, yardstick_s: float) -> HardwareProfile:
    """Return the profile that follows from the results of `timed`."""
    launch_s, byte_s = _cuts(times)
    own = fingerprint()
    own["onnxruntime"] = onnxruntime.__version__
    chains = "chains of convolutions, a graph each"
    rate = calibrated(1 / byte_s, f"{chains}: what a byte between two graphs costs")
    of_system = calibrated(8e9, "the operating system")
    curves = {}
    for name in (*OPERATORS, "adaptive_avg_pool2d"):
        curves[name] = _curve([times[name, elements] for elements in ELEMENTS])
    return HardwareProfile(
        name="onnxruntime-cpu",
        kind="npu",
        runtime="onnxruntime",
        dtype="fp32",
        description=f"onnxruntime {onnxruntime.__version__}, graphs of fixed sizes on "
        f"{own['cpu']}, 1 thread, fp32: stands in for a phone's NPU",
        fingerprint=own,
        yardstick_s=yardstick_s,
        format=FORMAT,
        peak_flops={"fp32": calibrated(_peak(times), "the fastest convolution that was timed")},
        matmul_efficiency=calibrated(1.0, "peak_flops is a measured convolution"),
        memory={"dram": Level(bytes=of_system, bandwidth=rate)},
        host=_host(times),
        graphs=Graphs(
            launch=calibrated(launch_s, f"{chains}: a constant beyond their kernels"),
            boundary=rate,
            switch=calibrated(1e-9, "the chains switch each time: it is in launch"),
            prepare=calibrated(0.05, "export and session"),
        ),
        power=Power(
            idle_w=_guess(1.5),
            j_per_flop={"fp32": _guess(2e-11)},
            j_per_byte={"dram": _guess(1.2e-10)},
        ),
        operators=curves,
        matmuls={"conv2d": _scatter(times), "linear": _grid(times)},
        residency=kept,
    )


def _peak(times: Times) -> float:
    """Return the FLOP/s of the fastest convolution."""
    return max(_flops(size) / times["conv2d", size] for size in convolutions())


def _scatter(times: Times) -> Scatter:
    """Return the table of convolutions."""
    points = convolutions()
    family = FAMILIES["conv2d"]
    sizes = np.array([family.coordinates(point) for point in points], dtype=float)
    seconds = np.array([times["conv2d", point] for point in points])
    scales, error = choose_scales("conv2d", family.dims, sizes, seconds, NOISE)
    return Scatter(
        dims=family.dims,
        points=sizes.tolist(),
        seconds=[_short(s) for s in seconds],
        scales=scales,
        noise=NOISE,
        uncertainty=max(_short(error), 0.02),
    )


def _grid(times: Times) -> Grid:
    """Return the table of linear layers."""
    seconds = [_short(times["linear", *size]) for size in product(ROWS, COLUMNS, DEPTHS)]
    return Grid(
        m=list(ROWS),
        n=list(COLUMNS),
        k=list(DEPTHS),
        reached=2.0 * ROWS[-1] * COLUMNS[-1] * DEPTHS[-1],
        seconds=seconds,
    )


def _host(times: Times) -> Host:
    """Return what the host of the graphs costs."""
    return Host(
        dispatch=calibrated(times["node",], "one more kernel in a graph, beyond itself"),
        view=calibrated(times["view",], "a flatten after a convolution"),
        module_call=calibrated(1e-9, "none: a prepared graph has no modules"),
        synchronise=calibrated(_any_s(), "numpy: any() of a decision"),
    )


def _cuts(times: Times) -> tuple[float, float]:
    """Return (constant seconds of a graph, seconds a byte between two graphs).

    They are the line through the chains whose slope is the median of all pairs' (Theil and Sen).
    """
    seconds = [times["cut", chain] for chain in CHAINS]
    crossing_bytes = [4.0 * batch * channels * side * side for batch, channels, side in CHAINS]
    found = theilslopes(seconds, crossing_bytes)
    return max(float(found.intercept), 1e-7), max(float(found.slope), 1e-13)


def _curve(seconds: list[float]) -> Curve:
    """Return a curve that never falls as sizes grow."""
    rising = [_short(s) for s in np.maximum.accumulate(seconds)]
    return Curve(sizes=[float(e) for e in ELEMENTS], seconds=[rising])


def _any_s() -> float:
    decision = np.zeros(8, bool)
    return min(timeit.repeat(decision.any, number=2000, repeat=5)) / 2000


def _short(x: float) -> float:
    return float(f"{x:.5g}")


def calibrated(quantity: float, source: str) -> Quantity:
    return Quantity(value=_short(quantity), basis="calibrated", source=source)


def _guess(value: float) -> Quantity:
    return Quantity(
        value=value,
        basis="estimated",
        source="a core of a server CPU, as in the calibration of this machine",
    )
