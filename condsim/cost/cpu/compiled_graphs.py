"""What an operator takes under torch.compile on a CPU.

TorchInductor writes kernels for what it joins, and calls a library for products.

    kernel   its first operator, and for each that joins it what that takes beyond a copy of the
             same size: arithmetic, and what else it reads
    host     a graph that begins (guards, and the call), a kernel, a product called from generated
             code; views and Python cost nothing

A graph ends at each site, since what a decision guards depends on data. Kernels that lie beyond the
caches cost as eager ones do; what their code costs after other data is not known. Source of the
joining: `condsim.runtimes.fusion`; of the seconds: `condsim calibrate --compiled`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from condsim.cost.cpu.operator_time import OperatorTime, operator_time
from condsim.cost.hot import SizedOperator
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.lowered import Visit
from condsim.program import JOINED, Op
from condsim.program.model import Place
from condsim.program.operators import (
    called,
    fuses_elementwise,
    is_product,
    looks_up_rows,
    reduces_inward,
)
from condsim.program.work import Shape

COMPILED = "compiled."
"""How the names of compiled graphs begin in a profile's extra_s: seconds of the host."""
GRAPH = f"{COMPILED}graph"
KERNEL = f"{COMPILED}kernel"
PRODUCT = f"{COMPILED}product"


def check(profile: HardwareProfile) -> None:
    """Raises CondsimError for a CPU whose graphs were not calibrated."""
    if GRAPH not in profile.extra_s:
        raise CondsimError(
            f"profile {profile.name!r} says nothing of compiled graphs: "
            "`condsim calibrate --compiled` makes one that does"
        )


def joined_seconds(
    op: Op, inputs: list[Shape], outputs: list[Shape], profile: HardwareProfile
) -> OperatorTime:
    """The time of an operator that joined a kernel: its arithmetic, and reading its other operand.

    What is looked up costs nothing by itself.
    """
    name = op.name.removesuffix(JOINED)
    if looks_up_rows(name):
        return OperatorTime(0.0, 0.0, "estimated", name)
    alone = operator_time(SizedOperator(name, inputs, outputs), profile)
    copy = operator_time(SizedOperator("clone", inputs, inputs), profile)
    beyond_copy_s = np.maximum(_without_dispatch(alone) - _without_dispatch(copy), 0.0)
    seconds = beyond_copy_s if beyond_copy_s.ndim else float(beyond_copy_s)
    return OperatorTime(seconds, 0.0, "estimated", alone.family)


def _without_dispatch(hot: OperatorTime) -> Any:
    return np.asarray(hot.seconds) - hot.dispatch


def beginning_seconds(profile: HardwareProfile) -> float:
    """Host time that a graph takes to begin."""
    return profile.extra_s[GRAPH]


def call_seconds(op: Op, hot: OperatorTime, profile: HardwareProfile) -> float:
    """Host time of a kernel, of a product, or of an operator that stays as it is."""
    if op.view:
        return 0.0
    if is_product(op.name):
        return profile.extra_s[PRODUCT]
    name = called(op.name, len(op.inputs))
    if fuses_elementwise(name) or reduces_inward(name):
        return profile.extra_s[KERNEL]
    return hot.dispatch


def graph_beginnings(visits: Iterable[Visit]) -> frozenset[Place]:
    """Places where a graph begins.

    These are the first operator, and each after a guard, a router or a site's experts began or
    ended. visits: all operators of a program in its order (`Lowering.walk`).
    """
    places = set()
    previous = None
    for visit in visits:
        surroundings = visit.guards, visit.op.role, visit.op.site
        if not visit.op.view and surroundings != previous:
            places.add(visit.place)
            previous = surroundings
    return frozenset(places)
