"""How operators become kernels.

A runtime rewrites a program before it is lowered: what it joins becomes one operator. The device is the same whatever the runtime, so nothing here
knows seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from condsim.errors import CondsimError
from condsim.program import Program
from condsim.registry import Registry
from condsim.runtimes.fusion import beside, completes, join, looked_up

KINDS = ("cpu", "gpu", "tpu", "npu")


@dataclass(frozen=True)
class Runtime:
    """kinds: classes of devices that have it. joins: program → the program with joined operators; None where each operator is a kernel.
    static: all sizes are fixed before a run, so that neither sizes nor the host may follow the data. host: what costs it time: every "operator" (views and
    module calls too), every "kernel", or nothing (a recorded "graph" is launched at once)."""

    name: str
    kinds: tuple[str, ...] = KINDS
    joins: Callable[[Program], Program] | None = None
    static: bool = False
    host: Literal["operator", "kernel", "graph"] = "operator"


RUNTIMES: Registry[Runtime] = Registry("runtime")

EAGER = RUNTIMES.register("eager")(Runtime("eager"))
XLA = RUNTIMES.register("xla")(Runtime("xla", kinds=("tpu",), joins=join, static=True))
NPU = RUNTIMES.register("npu")(Runtime("npu", kinds=("npu",), joins=join, static=True))
ONNXRUNTIME = RUNTIMES.register("onnxruntime")(
    Runtime("onnxruntime", kinds=("npu",), joins=partial(join, rule=completes), static=True)
)
COMPILED = RUNTIMES.register("compiled")(
    Runtime("compiled", ("gpu", "cpu"), joins=join, host="kernel")
)
CUDA_GRAPHS = RUNTIMES.register("cuda_graphs")(
    Runtime("cuda_graphs", ("gpu",), static=True, host="graph")
)
COMPILED_ON_CPU = replace(COMPILED, joins=lambda program: join(looked_up(program), beside))


def the_runtime(name: str | None, preferred: str, kind: str) -> Runtime:
    """The runtime by name; None: what the profile prefers. Raises CondsimError for an unknown one, and for one that this class of device has not."""
    runtime = RUNTIMES[preferred if name is None else name]
    if kind not in runtime.kinds:
        able = ", ".join(n for n, r in RUNTIMES.items() if kind in r.kinds)
        raise CondsimError(
            f"runtime {runtime.name!r} is not for a {kind} (it is for {', '.join(runtime.kinds)}); a {kind} has: {able}"
        )
    return COMPILED_ON_CPU if runtime is COMPILED and kind == "cpu" else runtime
