"""Measuring a GPU: the numbers of its profile that micro-benchmarks can tell.

They replace those of the data sheet; a model that is to be predicted is never measured. The laws
stay those of `condsim.cost.gpu`; what is measured are their constants. Kernels are timed by CUDA's
events, in a CUDA graph where launching would hide them, and the host by its own clock while the
device runs behind. Without CUDA everything runs on the CPU with the host's clock: so it is tested,
and so far only so.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate.fit import fit
from condsim.calibrate.instructions import instruction_s
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.gpu.traffic import resident_share
from condsim.cost.hot import SizedOperator
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Quantity, cache_folder, hardware, profiles
from condsim.timing.cases import Progress, no_progress, threads
from condsim.timing.device import identity, the_device
from condsim.timing.yardstick import Call, Yardstick

__all__ = ["Clock", "calibrate_accelerator"]

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
CONSTANTS = ("matmul_efficiency", "gpu.operand_bytes_per_clock", "gpu.overlap", "gpu.tile_s")
"""Dotted names of the profile's numbers that are fitted to linear layers."""
ROWS = (1, 16, 64, 256, 1024, 4096)
WIDTHS = (512, 1024, 4096, 8192)
"""Of the linear layers, those of inputs and of outputs."""
MATMULS, SEED = 48, 20251
MULTIPLY_ADDS_PER_BYTE = 40
"""The largest linear layer has so many multiply-adds for each byte of the largest buffer."""
HOST_CALLS, ROUNDS, IN_A_GRAPH, LONG_IN_A_GRAPH = 200, 7, 50, 5
LONG_BYTES = 1e8
"""Copies of more bytes than this are long."""
GRAPH_WARM_UP = 3

Size = tuple[int, int, int]
"""Of a linear layer: m rows times weights [n, k]."""
Numbers = dict[str, tuple[float, str]]
"""Dotted name in a profile → (measured value, source)."""


class Clock:
    """Seconds of calls on a device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cuda = device.type == "cuda"

    def wait(self) -> None:
        """Wait until the device has finished the work it was given."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def host(self, call: Call) -> float:
        """Seconds that the host is busy with one call while the device runs behind.

        It is the median of a few rounds.
        """
        seconds = []
        for _ in range(ROUNDS):
            self.wait()
            start = time.perf_counter()
            _repeat(call, HOST_CALLS)
            seconds.append((time.perf_counter() - start) / HOST_CALLS)
        return statistics.median(seconds)

    def device_s(self, call: Call, repeats: int = IN_A_GRAPH) -> float:
        """Seconds of the device for one call out of `repeats` in a row.

        It is the median of a few rounds, after one to begin with.
        """
        if self.cuda:
            run = self._graph(call, repeats)
        else:
            run = partial(_repeat, call, repeats)
        self._elapsed_s(run)
        rounds_s = [self._elapsed_s(run) for _ in range(ROUNDS)]
        return statistics.median(seconds / repeats for seconds in rounds_s)

    def _graph(self, call: Call, repeats: int) -> Call:
        """A call that replays `repeats` calls in one CUDA graph."""
        stream = torch.cuda.Stream(self.device)
        with torch.cuda.stream(stream):
            _repeat(call, GRAPH_WARM_UP)
        self.wait()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            _repeat(call, repeats)
        return graph.replay

    def _elapsed_s(self, run: Call) -> float:
        if not self.cuda:
            start = time.perf_counter()
            run()
            return time.perf_counter() - start
        before = torch.cuda.Event(enable_timing=True)
        after = torch.cuda.Event(enable_timing=True)
        before.record()
        run()
        after.record()
        self.wait()
        return float(before.elapsed_time(after)) * 1e-3


def _repeat(call: Call, repeats: int) -> None:
    for _ in range(repeats):
        call()


def calibrate_accelerator(
    device: str = "cuda",
    like: str | None = None,
    progress: Progress | None = None,
    save: bool = True,
    most_bytes: float = 1e9,
) -> HardwareProfile:
    """The profile of the GPU at hand: that of its kind, with constants that are measured.

    Each measured constant is marked as calibrated, and holds for the profile's dtype.

    device: of torch. like: the shipped profile of its kind; None takes the one that the device's
    name says. progress: called with (what is measured, share done). save: keep the profile in the
    user's cache. most_bytes: of a buffer.
    Raises CondsimError where torch has no such device, or no profile of a GPU fits it.
    """
    torch_device = the_device(device)
    base = hardware(like or _profile_named(torch.cuda.get_device_name(torch_device)))
    if base.gpu is None:
        raise CondsimError(f"profile {base.name!r} is of class {base.kind}; name that of a GPU")
    if base.dtype not in DTYPES:
        raise CondsimError(
            f"profile {base.name!r} computes in {base.dtype}, which cannot be timed here; "
            f"it can be {', '.join(DTYPES)}"
        )
    with threads(1):
        profile = _measured(base, Clock(torch_device), progress or no_progress, most_bytes)
    if save:
        profile.save(cache_folder() / f"{profile.name}.yaml")
    return profile


def _profile_named(device_name: str) -> str:
    """The shipped profile whose chip a device's name names.

    It is the one with the most words in common: "NVIDIA H100 80GB HBM3" is an nvidia-h100-sxm.
    """
    words = set(device_name.lower().replace("-", " ").split())
    gpus = [profile for profile in profiles() if profile.startswith("nvidia-")]
    of_its_chip = [profile for profile in gpus if profile.split("-")[1] in words]
    if not of_its_chip:
        raise CondsimError(
            f"no shipped profile is of {device_name!r}; "
            f"pass --like with the nearest of {', '.join(gpus)}"
        )

    def words_in_common(profile: str) -> int:
        return len(words & set(profile.split("-")))

    return max(of_its_chip, key=words_in_common)


def _measured(
    base: HardwareProfile, clock: Clock, progress: Progress, most_bytes: float
) -> HardwareProfile:
    """The profile with measured constants in place of those of its kind."""
    progress("the host", 0.0)
    numbers = _host_numbers(base, clock)
    progress("memory", 0.2)
    numbers |= _memory_numbers(base, clock, most_bytes)
    known = _with(base, numbers)
    progress("matmuls", 0.4)
    profile = _with(known, _matmul_numbers(known, clock, most_bytes))
    progress("matmuls", 1.0)
    how = "CUDA's events" if clock.cuda else "the host's clock, NOT on a GPU: a test"
    constants = f"{base.name} with the constants measured here by {how}"
    description = f"{clock.device}: {constants}; the rest is that profile's"
    name = f"{base.name}-here"
    identified = {"name": name, "fingerprint": identity(clock.device), "description": description}
    return profile.model_copy(update=identified)


def _host_numbers(base: HardwareProfile, clock: Clock) -> Numbers:
    """What the host takes for an operator, a view, a synchronisation and an instruction."""
    x = torch.ones(16, dtype=DTYPES[base.dtype], device=clock.device)
    scalar = torch.ones((), device=clock.device)
    dispatch_s = clock.host(lambda: x + x)
    view_s = clock.host(lambda: x.view(4, 4))
    synchronise_s = clock.host(scalar.item)
    one_instruction_s = instruction_s(Yardstick())
    return {
        "host.dispatch": (dispatch_s, "an addition of 16 elements, the device behind"),
        "host.view": (view_s, "view of 16 elements"),
        "host.synchronise": (synchronise_s, "item() of a scalar that is ready"),
        "host.instruction": (one_instruction_s, "layers with and without their modules"),
    }


def _memory_numbers(base: HardwareProfile, clock: Clock, most_bytes: float) -> Numbers:
    """What a kernel takes at least, and the bandwidths of memory and of the L2 cache."""
    x = torch.ones(16, dtype=DTYPES[base.dtype], device=clock.device)
    kernel_s = clock.device_s(lambda: x + x)
    l2_bytes = min(base.memory["l2"].bytes.value / 8, most_bytes)
    dram_rate = _copy_rate(clock, most_bytes, kernel_s)
    l2_rate = _copy_rate(clock, l2_bytes, kernel_s)
    dram_share = min(dram_rate / base.dram.bandwidth.value, 1.0)
    addition = f"an addition of 16 elements, {IN_A_GRAPH} in a CUDA graph"
    copy = f"a copy of {most_bytes / 2e9:.2g} GB over the data sheet's bandwidth"
    return {
        "gpu.kernel_s": (kernel_s, addition),
        "gpu.dram_fraction": (dram_share, copy),
        "memory.l2.bandwidth": (l2_rate, "a copy of a sixteenth of L2 into another"),
    }


def _copy_rate(clock: Clock, size_bytes: float, kernel_s: float) -> float:
    """Bytes a second, read and written, of a copy of half of so many bytes into the other half."""
    half_bytes = max(int(size_bytes / 2), 4096)
    source = torch.ones(half_bytes // 4, device=clock.device)
    target = torch.empty_like(source)
    repeats = LONG_IN_A_GRAPH if size_bytes > LONG_BYTES else IN_A_GRAPH
    copy_s = clock.device_s(lambda: target.copy_(source), repeats)
    return 2 * half_bytes / max(copy_s - kernel_s, copy_s / 2)


def _matmul_numbers(known: HardwareProfile, clock: Clock, most_bytes: float) -> Numbers:
    """The CONSTANTS, fitted to times of linear layers. known: the profile, all else measured."""
    dtype = DTYPES[known.dtype]
    sizes = _sizes(most_bytes, dtype.itemsize)
    seconds = []
    for m, n, k in sizes:
        x = torch.ones(m, k, dtype=dtype, device=clock.device)
        weight = torch.ones(n, k, dtype=dtype, device=clock.device)
        layer = partial(F.linear, x, weight)
        seconds.append(clock.device_s(layer, LONG_IN_A_GRAPH))
    predicted = partial(_predicted, sizes)
    fitted = fit(predicted, np.array(seconds), known, CONSTANTS)
    source = f"fitted to {len(sizes)} linear layers timed alone"
    return {name: (value, source) for name, value in fitted.items()}


def _with(profile: HardwareProfile, numbers: Numbers) -> HardwareProfile:
    """The profile with measured numbers."""
    quantities = {}
    for name, (value, source) in numbers.items():
        rounded = float(f"{value:.5g}")
        quantities[name] = Quantity(value=rounded, basis="calibrated", source=source)
    return profile.replace(**quantities)


def _sizes(most_bytes: float, itemsize: int) -> list[Size]:
    """Sizes of linear layers, drawn with a fixed seed. itemsize: bytes of an element."""
    grid = list(itertools.product(ROWS, WIDTHS, WIDTHS))
    order = np.random.default_rng(SEED).permutation(len(grid))
    drawn: list[Size] = []
    for place in order:
        m, n, k = grid[place]
        elements = m * k + n * k + m * n
        small = m * n * k <= MULTIPLY_ADDS_PER_BYTE * most_bytes
        if small and itemsize * elements <= most_bytes and len(drawn) < MATMULS:
            drawn.append((m, n, k))
    return sorted(drawn)


def _predicted(sizes: Sequence[Size], profile: HardwareProfile) -> np.ndarray:
    """Device seconds of linear layers that are repeated, float [sizes]."""
    itemsize = DTYPES[profile.dtype].itemsize
    device = GpuRates(profile, profile.dtype, itemsize, itemsize)
    seconds = []
    for m, n, k in sizes:
        linear = SizedOperator("linear", [(m, k), (n, k)], [(m, n)])
        resident = float(resident_share(n * k * itemsize, profile))
        predicted = kernel(linear, device, resident=resident)
        seconds.append(float(predicted.seconds))
    return np.array(seconds)
