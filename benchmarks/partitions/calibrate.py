"""A profile of onnxruntime on this CPU: micro-benchmarks only, no size and no time of a model.

    seconds of a graph = launch + Σ (kernel + node) + bytes that cross its ends / rate

Kernels come from graphs of one convolution or one matmul, timed by onnxruntime itself; those of small operators from graphs in which a convolution ran
before, since alone they find their code cached. `launch` and the rate come from chains of convolutions, a graph each: a constant, and a time a byte, beyond
their kernels. A convolution works on channels in blocks of eight, so what enters and leaves a graph is rewritten, and copied for the host.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Sequence

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

WARM, RUNS, MEASURE_S = 4, 40, 1.2e-2  # at least so many runs, and for so long
CONVOLUTIONS = {
    "conv2d": 150,
    "conv2d_native": 70,
}  # of each list of `condsim.calibrate.shapes`, which differ in batch
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
)  # batch, channels, side: many bytes, short kernels
LENGTH, LINE = 6, 12  # graphs that are run in turn, kernels of a graph
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
    """An operator on inputs of its own, after a convolution whose data does not leave much of the first caches."""

    def __init__(self, call: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.before, self.call = conv(64, 64, 3, 1), call

    def forward(self, x: torch.Tensor, *inputs: torch.Tensor) -> object:
        return self.before(x), self.call(*inputs)


def undisturbed(times: Sequence[float]) -> float:
    """Seconds when no neighbour slows the core down: the 10 % quantile of many times."""
    return float(np.quantile(times, 0.1))


def kernels(module: nn.Module, *inputs: torch.Tensor) -> Kernels:
    """Kernels of a graph."""
    graph = Prepared(module, *inputs, profile=True)
    arrays = [x.numpy() for x in inputs]
    for _ in range(WARM):
        graph(*arrays)
    start = CPU()
    graph(*arrays)
    for _ in range(max(RUNS, int(MEASURE_S / max(CPU() - start, 1e-5)))):
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
    """Seconds of a graph beyond its kernels, the rewriting of layouts not counted among them: graphs with weights of their own run in turn."""
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
    return undisturbed(seen) - sum(
        t for name, t in kernels(parts[0], *given).items() if name not in REORDER
    )


OPERATORS: dict[
    str, tuple[Callable[..., torch.Tensor], Callable[[int], tuple[torch.Tensor, ...]]]
] = {
    "relu": (torch.relu, lambda e: (torch.randn(e),)),
    "add": (torch.add, lambda e: (torch.randn(e), torch.randn(e))),
    "gt": (lambda x: x > 0.5, lambda e: (torch.randn(e),)),
    "softmax": (lambda x: x.softmax(-1), lambda e: (torch.randn(max(e // 16, 1), 16),)),
    "amax": (lambda x: x.amax(-1), lambda e: (torch.randn(max(e // 16, 1), 16),)),
    "where": (
        torch.where,
        lambda e: (
            torch.zeros(max(e // 64, 1), 1, dtype=torch.bool),
            torch.randn(max(e // 64, 1), 64),
            torch.randn(max(e // 64, 1), 64),
        ),
    ),
}


def pooled(elements: int) -> float:
    """Kernels that follow a convolution whose result of so many elements is averaged over its positions."""
    channels = max(elements // 64, 8) // 8 * 8
    every = kernels(
        nn.Sequential(conv(8, channels, 1, 1), nn.AdaptiveAvgPool2d(1)), torch.randn(1, 8, 8, 8)
    )
    return sum(t for name, t in every.items() if name not in ("Conv", "ReorderInput"))


def node() -> float:
    """Seconds that one more kernel in a graph costs beyond itself."""
    seconds, of_kernels = [], []
    for length in (1, LINE):
        line, x = nn.Sequential(*[nn.Softmax(-1) for _ in range(length)]), torch.randn(1, 8)
        graph, seen = Prepared(line, x), []
        for _ in range(20 * RUNS):
            start = CPU()
            graph(x.numpy())
            seen.append(CPU() - start)
        seconds.append(undisturbed(seen))
        of_kernels.append(sum(kernels(line, x).values()))
    return max((seconds[1] - seconds[0] - of_kernels[1] + of_kernels[0]) / (LINE - 1), 1e-9)


def convolutions() -> list[shapes.Convolution]:
    """(batch, channels in, channels out, side, kernel, stride): of the sizes that this machine's own calibration draws, those that are not too long."""
    drawn = [p for family, count in CONVOLUTIONS.items() for p in shapes.conv_sizes(family, count)]
    return [
        shapes.Convolution(b, i, o, s, k, t)
        for b, i, o, s, k, t in drawn
        if 2 * b * (-(-s // t)) ** 2 * i * o * k * k <= MOST_FLOPS
        and b * s * s * max(i, o) <= MOST_ELEMENTS
        and s > 4
    ]


def timed(
    progress: Callable[[float], None] = lambda _share: None,
) -> tuple[dict[tuple[object, ...], float], Residency, float]:
    """(seconds by case, residency, yardstick): ("conv2d", size), ("linear", m, n, k), (operator, elements), ("cut", size), ("view",), ("node",)."""
    torch.manual_seed(0)
    found: dict[tuple[object, ...], float] = {}
    with threads(1), quiet():
        before = torch.randn(1, 64, 14, 14)
        work: list[Callable[[], None]] = []

        def one(key: tuple[object, ...], measure: Callable[[], float]) -> None:
            work.append(lambda: found.__setitem__(key, measure()))

        def of_conv(p: tuple[int, ...]) -> float:
            b, cin, cout, side, kernel, stride = p
            return kernels(conv(cin, cout, kernel, stride), torch.randn(b, cin, side, side))["Conv"]

        def after(call: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> float:
            every = kernels(After(call), before, *inputs)
            return sum(t for name, t in every.items() if name not in ("Conv", *REORDER))

        for p in convolutions():
            one(("conv2d", p), lambda p=p: of_conv(p))  # type: ignore[misc]
        for m in ROWS:
            for n in COLUMNS:
                for k in DEPTHS:
                    one(
                        ("linear", m, n, k),
                        lambda m=m, n=n, k=k: after(nn.Linear(k, n), torch.randn(m, k)),
                    )  # type: ignore[misc]
        for name, (call, inputs) in OPERATORS.items():
            for e in ELEMENTS:
                one((name, e), lambda call=call, inputs=inputs, e=e: after(call, *inputs(e)))  # type: ignore[misc]
        for e in ELEMENTS:
            one(("adaptive_avg_pool2d", e), lambda e=e: pooled(e))  # type: ignore[misc]
        one(("view",), lambda: after(nn.Flatten(), torch.randn(8, 64, 1, 1)))
        one(("node",), node)
        for at in CHAINS:
            one(("cut", at), lambda at=at: cut(*at))  # type: ignore[misc]
        for i, step in enumerate(work):
            step()
            progress((i + 1) / len(work))
        yardstick = Yardstick()
        weights = EvictedWeights(yardstick=yardstick)
        for _ in range(3):
            weights.round()
    return found, weights.curves(), yardstick.fast_s


def calibrate() -> HardwareProfile:
    """Takes about two minutes."""
    return profile(*timed())


def profile(
    times: dict[tuple[object, ...], float], kept: Residency, yardstick_s: float
) -> HardwareProfile:
    """The profile from what `timed` gives."""
    launch_s, byte_s = _cuts(times)
    own = fingerprint()
    own["onnxruntime"] = onnxruntime.__version__
    points = convolutions()
    family = FAMILIES["conv2d"]
    sizes = np.array([family.coordinates(p) for p in points], dtype=float)
    seconds = np.array([times["conv2d", p] for p in points])
    scales, error = choose_scales("conv2d", family.dims, sizes, seconds, NOISE)
    table = Scatter(
        dims=family.dims,
        points=sizes.tolist(),
        seconds=[_short(s) for s in seconds],
        scales=scales,
        noise=NOISE,
        uncertainty=max(_short(error), 0.02),
    )
    linear = Grid(
        m=list(ROWS),
        n=list(COLUMNS),
        k=list(DEPTHS),
        reached=2.0 * ROWS[-1] * COLUMNS[-1] * DEPTHS[-1],
        seconds=[_short(times["linear", m, n, k]) for m in ROWS for n in COLUMNS for k in DEPTHS],
    )
    curves = {
        name: _curve([times[name, e] for e in ELEMENTS])
        for name in (*OPERATORS, "adaptive_avg_pool2d")
    }
    peak = max(
        2 * b * (-(-s // t)) ** 2 * i * o * k * k / seconds[n]
        for n, (b, i, o, s, k, t) in enumerate(points)
    )
    rate = calibrated(
        1 / byte_s, "chains of convolutions, a graph each: what a byte between two graphs costs"
    )
    nothing = calibrated(1e-9, "none: a prepared graph has no modules")
    return HardwareProfile(
        name="onnxruntime-cpu",
        kind="npu",
        runtime="onnxruntime",
        dtype="fp32",
        description=f"onnxruntime {onnxruntime.__version__}, graphs of fixed sizes on {own['cpu']}, 1 thread, fp32: stands in for a phone's NPU",
        fingerprint=own,
        yardstick_s=yardstick_s,
        format=FORMAT,
        peak_flops={"fp32": calibrated(peak, "the fastest convolution that was timed")},
        matmul_efficiency=calibrated(1.0, "peak_flops is a measured convolution"),
        memory={"dram": Level(bytes=calibrated(8e9, "the operating system"), bandwidth=rate)},
        host=Host(
            dispatch=calibrated(times["node",], "one more kernel in a graph, beyond itself"),
            view=calibrated(times["view",], "a flatten after a convolution"),
            module_call=nothing,
            synchronise=calibrated(_any_s(), "numpy: any() of a decision"),
        ),
        graphs=Graphs(
            launch=calibrated(
                launch_s, "chains of convolutions, a graph each: a constant beyond their kernels"
            ),
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
        matmuls={"conv2d": table, "linear": linear},
        residency=kept,
    )


def _cuts(times: dict[tuple[object, ...], float]) -> tuple[float, float]:
    """(constant seconds of a graph, seconds a byte between two): the line through the chains whose slope is the median of all pairs' (Theil and Sen)."""
    found = theilslopes(
        [times["cut", at] for at in CHAINS], [4.0 * b * c * s * s for b, c, s in CHAINS]
    )
    return max(float(found.intercept), 1e-7), max(float(found.slope), 1e-13)


def _curve(seconds: list[float]) -> Curve:
    return Curve(
        sizes=[float(e) for e in ELEMENTS],
        seconds=[[_short(s) for s in np.maximum.accumulate(seconds)]],
    )


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
