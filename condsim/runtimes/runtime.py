"""The runtimes, and which of them a device has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, abilities
from condsim.hardware.device_classes.base import classes_with
from condsim.program import Program
from condsim.registry import Registry
from condsim.runtimes.fusion import (
    drop_weight_gathers,
    fuse,
    fuse_epilogue,
    fuse_non_matmul,
)
from condsim.runtimes.served import as_served
from condsim.strategies import BLOCKS, EXPERTS


@dataclass(frozen=True)
class Runtime:
    """A way to run a program.

    needs: what a class of devices must offer (`condsim.hardware.abilities`) to have it.
    fuses: program → the program with joined operators; None where each operator is a kernel.
    static: all sizes are fixed before a run: neither sizes nor the host may follow the data.
    strategies: family of mechanisms → the strategy that it runs where none is asked for.
    about: what it does, for the notes of an answer; "" where its name says it.
    host: what costs the host time: every "operator" (views and module calls too), every "kernel",
        or nothing (a recorded "graph" is launched at once).
    """

    name: str
    needs: tuple[str, ...] = ()
    fuses: Callable[[Program], Program] | None = None
    static: bool = False
    host: Literal["operator", "kernel", "graph"] = "operator"
    strategies: Mapping[str, str] = field(default_factory=dict)
    about: str = ""

    def is_for(self, profile: HardwareProfile) -> bool:
        """Return whether the class of a device has it."""
        return profile.device_class.has_all(self.needs)

    def fused(self, program: Program) -> Program:
        """Return the program as the runtime runs it."""
        return program if self.fuses is None else self.fuses(program)


RUNTIMES: Registry[Runtime] = Registry("runtime")


def _fuse_epilogues(program: Program) -> Program:
    return fuse(program, fuse_epilogue)


def _fuse_on_cpu(program: Program) -> Program:
    """Products are a library's there, and products of single rows look up their weights."""
    return fuse(drop_weight_gathers(program), fuse_non_matmul)


def _fuse_as_served(program: Program) -> Program:
    """As a serving engine runs a model: compiled between its own kernels, caches in place."""
    return fuse(as_served(program))


def _register(runtime: Runtime) -> Runtime:
    return RUNTIMES.register(runtime.name)(runtime)


EAGER = _register(Runtime("eager"))
XLA = _register(Runtime("xla", needs=(abilities.XLA,), fuses=fuse, static=True))
NPU = _register(Runtime("npu", needs=(abilities.PARTITIONED_GRAPHS,), fuses=fuse, static=True))
ONNXRUNTIME = _register(
    Runtime("onnxruntime", needs=(abilities.ONNXRUNTIME,), fuses=_fuse_epilogues, static=True)
)
COMPILED = _register(
    Runtime("compiled", needs=(abilities.TORCH_COMPILE,), fuses=fuse, host="kernel")
)
COMPILED_ON_CPU = replace(COMPILED, fuses=_fuse_on_cpu)
SERVED = _register(
    Runtime(
        "served",
        needs=(abilities.CUDA,),
        fuses=_fuse_as_served,
        static=True,
        host="graph",
        strategies={EXPERTS: "fused", BLOCKS: "neuron_kernels"},
        about="as serving engines run it: fused expert kernels in CUDA graphs, other operators "
        "compiled, caches written in place",
    )
)
CUDA_GRAPHS = _register(Runtime("cuda_graphs", needs=(abilities.CUDA,), static=True, host="graph"))


def runtimes_of(profile: HardwareProfile) -> list[str]:
    """Return the names of the runtimes that the class of a device has."""
    return [name for name, runtime in RUNTIMES.items() if runtime.is_for(profile)]


def choose_runtime(name: str | None, profile: HardwareProfile) -> Runtime:
    """Return a runtime by its name, or the one that a profile prefers.

    Raises CondsimError for an unknown runtime, and for one that the class of device has not.
    """
    kind = profile.kind
    preferred = profile.runtime if profile.runtime in RUNTIMES else EAGER.name
    runtime = RUNTIMES[preferred if name is None else name]
    if not runtime.is_for(profile):
        able = ", ".join(runtimes_of(profile))
        of = ", ".join(classes_with(runtime.needs))
        raise CondsimError(
            f"runtime {runtime.name!r} is not for a {kind} (it is for {of}); a {kind} has: {able}"
        )
    if runtime is COMPILED and profile.device_class.is_host:
        return COMPILED_ON_CPU
    return runtime
