"""Measuring a GPU: the numbers of its profile that micro-benchmarks can tell, in place of those of the data sheet. Never a model that is to be predicted.

The laws stay those of `condsim.cost.gpu`; what is measured are their constants. Kernels are timed by CUDA's events, in a CUDA graph where launching would
hide them, and the host by its own clock while the device runs behind. Without CUDA everything runs on the CPU with the host's clock: so it is tested, and
so far only so.
"""

from __future__ import annotations

import math
import statistics
import time
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate.fit import fit
from condsim.calibrate.instructions import instruction_s
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.traffic import resident_share
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Quantity, cache_folder, hardware, profiles
from condsim.program.operators import work
from condsim.timing.cases import Progress, threads
from condsim.timing.device import identity, the_device
from condsim.timing.yardstick import Call, Yardstick

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
CONSTANTS = ("matmul_efficiency", "gpu.operand_bytes_per_clock", "gpu.overlap", "gpu.tile_s")
SIZES = {
    "m": (1, 16, 64, 256, 1024, 4096),
    "n": (512, 1024, 4096, 8192),
    "k": (512, 1024, 4096, 8192),
}
MATMULS, SEED = 48, 20251
HOST_CALLS, DEVICE_SAMPLES, IN_A_GRAPH = 200, 7, 50


class Clock:
    """Seconds of calls on a device."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.cuda = device, device.type == "cuda"

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def host(self, call: Call) -> float:
        """Seconds that the host is busy with one call, the device running behind: the median of a few rounds."""
        found = []
        for _ in range(DEVICE_SAMPLES):
            self.wait()
            start = time.perf_counter()
            for _ in range(HOST_CALLS):
                call()
            found.append((time.perf_counter() - start) / HOST_CALLS)
        return statistics.median(found)

    def device_s(self, call: Call, repeats: int = IN_A_GRAPH) -> float:
        """Seconds of the device for one call among as many after each other: the median of a few rounds."""
        run = self._graph(call, repeats) if self.cuda else partial(_again, call, repeats)
        found = []
        for _ in range(DEVICE_SAMPLES + 1):
            found.append(self._elapsed(run) / repeats)
        return statistics.median(found[1:])

    def _graph(self, call: Call, repeats: int) -> Call:
        stream = torch.cuda.Stream(self.device)
        with torch.cuda.stream(stream):
            _again(call, 3)
        self.wait()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            _again(call, repeats)
        return graph.replay

    def _elapsed(self, run: Call) -> float:
        if not self.cuda:
            start = time.perf_counter()
            run()
            return time.perf_counter() - start
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        before.record()
        run()
        after.record()
        self.wait()
        return float(before.elapsed_time(after)) * 1e-3


def _again(call: Call, repeats: int) -> None:
    for _ in range(repeats):
        call()


def calibrate_accelerator(
    device: str = "cuda",
    like: str | None = None,
    progress: Progress | None = None,
    save: bool = True,
    most_bytes: float = 1e9,
) -> HardwareProfile:
    """The profile of the GPU at hand: that of its kind with measured constants, each marked calibrated, for the profile's own dtype.

    device: of torch. like: the shipped profile of its kind; None: the one that its name says. save: keep it in the user's cache. most_bytes: of a buffer.
    Raises CondsimError where torch has no such device, or no profile of a GPU fits it.
    """
    at = the_device(device)
    base = hardware(like or _kind(torch.cuda.get_device_name(at)))
    if base.gpu is None:
        raise CondsimError(f"profile {base.name!r} is of class {base.kind}; name that of a GPU")
    if base.dtype not in DTYPES:
        raise CondsimError(
            f"profile {base.name!r} computes in {base.dtype}, which cannot be timed here; it can be {', '.join(DTYPES)}"
        )
    progress = progress or (lambda _what, _share: None)
    with threads(1):
        profile = _measured(base, Clock(at), progress, most_bytes)
    if save:
        profile.save(cache_folder() / f"{profile.name}.yaml")
    return profile


def _kind(name: str) -> str:
    """The profile whose chip a device's name names, the one with the most words in common ("NVIDIA H100 80GB HBM3" is an nvidia-h100-sxm)."""
    words = set(name.lower().replace("-", " ").split())
    gpus = [n for n in profiles() if n.startswith("nvidia-")]
    found = [n for n in gpus if n.split("-")[1] in words]
    if not found:
        raise CondsimError(
            f"no shipped profile is of {name!r}; pass --like with the nearest of {', '.join(gpus)}"
        )
    return max(found, key=lambda n: len(words & set(n.split("-"))))


def _measured(
    base: HardwareProfile, clock: Clock, progress: Progress, most_bytes: float
) -> HardwareProfile:
    assert base.gpu is not None
    dtype = DTYPES[base.dtype]
    x = torch.ones(16, dtype=dtype, device=clock.device)
    flag = torch.ones((), device=clock.device)
    progress("the host", 0.0)
    numbers: dict[str, tuple[float, str]] = {
        "host.dispatch": (
            clock.host(lambda: x + x),
            "an addition of 16 elements, the device behind",
        ),
        "host.view": (clock.host(lambda: x.view(4, 4)), "view of 16 elements"),
        "host.synchronise": (clock.host(flag.item), "item() of a scalar that is ready"),
        "host.instruction": (instruction_s(Yardstick()), "layers with and without their modules"),
    }
    progress("memory", 0.2)
    kernel_s = clock.device_s(lambda: x + x)
    numbers["gpu.kernel_s"] = kernel_s, f"an addition of 16 elements, {IN_A_GRAPH} in a CUDA graph"
    bandwidth = base.dram.bandwidth.value
    far, near = (
        _copy_rate(clock, size, kernel_s)
        for size in (most_bytes, min(base.memory["l2"].bytes.value / 8, most_bytes))
    )
    numbers["gpu.dram_fraction"] = (
        min(far / bandwidth, 1.0),
        f"a copy of {most_bytes / 2e9:.2g} GB over the data sheet's bandwidth",
    )
    numbers["memory.l2.bandwidth"] = near, "a copy of a sixteenth of L2 into another"
    known = _with(base, numbers)
    progress("matmuls", 0.4)
    sizes = _sizes(most_bytes, dtype.itemsize)
    seconds = np.array(
        [
            clock.device_s(partial(F.linear, *_operands(size, dtype, clock.device)), 5)
            for size in sizes
        ]
    )
    fitted = fit(partial(_predicted, sizes), seconds, known, CONSTANTS)
    found = _with(
        known,
        {
            name: (value, f"fitted to {len(sizes)} linear layers timed alone")
            for name, value in fitted.items()
        },
    )
    progress("matmuls", 1.0)
    said = "CUDA's events" if clock.cuda else "the host's clock, NOT on a GPU: a test"
    return found.model_copy(
        update={
            "name": f"{base.name}-here",
            "fingerprint": identity(clock.device),
            "description": f"{clock.device}: {base.name} with the constants measured here by {said}; the rest is that profile's",
        }
    )


def _with(profile: HardwareProfile, numbers: dict[str, tuple[float, str]]) -> HardwareProfile:
    """The profile with measured numbers. numbers: dotted name → (value, source)."""
    return profile.replace(
        **{
            n: Quantity(value=float(f"{v:.5g}"), basis="calibrated", source=source)
            for n, (v, source) in numbers.items()
        }
    )


def _copy_rate(clock: Clock, size: float, kernel_s: float) -> float:
    """Bytes a second, read and written, of a copy of half of `size` bytes into the other half."""
    half = max(int(size / 2), 4096)
    source = torch.ones(half // 4, device=clock.device)
    target = torch.empty_like(source)
    t = clock.device_s(lambda: target.copy_(source), 5 if size > 1e8 else IN_A_GRAPH)
    return 2 * half / max(t - kernel_s, t / 2)


def _sizes(most_bytes: float, itemsize: int) -> list[tuple[int, int, int]]:
    rng = np.random.default_rng(SEED)
    found: set[tuple[int, int, int]] = set()
    grid = math.prod(map(len, SIZES.values()))
    for at in rng.permutation(grid):
        m, n, k = (
            int(v[i])
            for v, i in zip(
                SIZES.values(), np.unravel_index(at, [len(v) for v in SIZES.values()]), strict=True
            )
        )
        if itemsize * (m * k + n * k + m * n) <= most_bytes and m * n * k <= 40 * most_bytes:
            found.add((m, n, k))
        if len(found) == MATMULS:
            break
    return sorted(found)


def _operands(
    size: tuple[int, int, int], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    m, n, k = size
    return torch.ones(m, k, dtype=dtype, device=device), torch.ones(
        n, k, dtype=dtype, device=device
    )


def _predicted(sizes: list[tuple[int, int, int]], profile: HardwareProfile) -> np.ndarray:
    """Device seconds of linear layers that are repeated, float [sizes]."""
    itemsize = DTYPES[profile.dtype].itemsize
    found = []
    for m, n, k in sizes:
        shapes: tuple[Any, Any] = ([(m, k), (n, k)], [(m, n)])
        share = float(resident_share(n * k * itemsize, profile))
        found.append(
            float(
                kernel(
                    "linear",
                    work("linear", *shapes, ()),
                    *shapes,
                    (),
                    profile,
                    profile.dtype,
                    itemsize,
                    resident=share,
                ).seconds
            )
        )
    return np.array(found)


__all__ = ["Clock", "calibrate_accelerator"]
