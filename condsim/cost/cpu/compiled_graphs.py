"""What an operator takes under torch.compile on a CPU: TorchInductor writes kernels for what it joins, and calls a library for products.

    kernel   its first operator, and for each that joins it what that takes beyond a copy of the same size: arithmetic, and what else it reads
    host     a graph that begins (guards, and the call), a kernel, a product called from generated code; views and Python cost nothing

A graph ends at each site, since what a decision guards depends on data. Kernels that lie beyond the caches cost as eager ones do; what their code costs after
other data is not known. Source of the joining: `condsim.runtimes.fusion`; of the seconds: `condsim calibrate --compiled`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from condsim.cost.cpu.operator_time import Hot, hot_seconds
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.lower import Place, Visit
from condsim.program import JOINED, Op
from condsim.program.operators import Shape
from condsim.runtimes.fusion import LOOKUPS, kind

COMPILED = "compiled."
GRAPH, KERNEL, PRODUCT = (f"{COMPILED}{what}" for what in ("graph", "kernel", "product"))
"""Of a profile's extra_s: seconds of the host."""


def check(profile: HardwareProfile) -> None:
    """Raises CondsimError for a CPU whose graphs were not calibrated."""
    if GRAPH not in profile.extra_s:
        raise CondsimError(
            f"profile {profile.name!r} says nothing of compiled graphs: `condsim calibrate --compiled` makes one that does"
        )


def joined_seconds(
    op: Op, inputs: list[Shape], outputs: list[Shape], profile: HardwareProfile
) -> Hot:
    """An operator that joined a kernel: its arithmetic, and reading its other operand; what is looked up costs nothing by itself."""
    name = op.name.removesuffix(JOINED)
    if name in LOOKUPS:
        return Hot(0.0, 0.0, "estimated", name)
    alone, copy = (
        hot_seconds(name, inputs, out, (), profile)
        for name, out in ((name, outputs), ("clone", inputs))
    )
    beyond = np.maximum(
        (np.asarray(alone.seconds) - alone.dispatch) - (np.asarray(copy.seconds) - copy.dispatch),
        0.0,
    )
    return Hot(beyond if beyond.ndim else float(beyond), 0.0, "estimated", alone.family)


def host_seconds(op: Op, hot: Hot, begins: bool, profile: HardwareProfile) -> float:
    """Host time of one call. begins: whether it is the first of a graph."""
    if op.view:
        return 0.0
    of_kind = {"product": PRODUCT, "elementwise": KERNEL, "inward": KERNEL}
    own = profile.extra_s[of_kind[kind(op)]] if kind(op) else hot.dispatch
    return own + (profile.extra_s[GRAPH] if begins else 0.0)


def beginnings(visits: Iterable[Visit]) -> frozenset[Place]:
    """Places where a graph begins: the first operator, and each after a guard, a router or a site's experts began or ended.

    visits: all operators of a program in its order (`Lowering.walk`).
    """
    found, before = set(), None
    for v in visits:
        at: Any = v.guards, v.op.role, v.op.site
        if not v.op.view and at != before:
            found.add(v.place)
            before = at
    return frozenset(found)
