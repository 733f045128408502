"""An operator of a program as a kernel on a GPU, and which of a step's weights its L2 still has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from condsim.cost.gpu import two_four
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.traffic import resident_share
from condsim.cost.hot import VIEW, Hot
from condsim.hardware import HardwareProfile
from condsim.lower import Lowering, Visit
from condsim.program import JOINED, Op, Tensor, elements
from condsim.program.work import GROUPED, Shape, Work


def gpu_operator(
    op: Op,
    job: Work,
    inputs: list[Shape],
    outputs: list[Shape],
    profile: HardwareProfile,
    dtype: str,
    itemsize: int,
    groups_rows: np.ndarray | None,
    resident: np.ndarray | float,
) -> tuple[Hot, Work]:
    """(time, work) of one operator; arguments as in `kernel`.

    Its work counts the rows of the experts that are on this device.
    """
    if op.view:
        seconds = 0.0 if op.name.endswith(JOINED) else profile.host.view.value
        return Hot(seconds, seconds, "estimated", VIEW), job
    on_device = kernel(
        op.name, job, inputs, outputs, op.params, profile, dtype, itemsize, groups_rows, resident
    )
    dispatch = profile.host.dispatch.value
    if op.name == two_four.NAME:
        dispatch += two_four.needs(profile).call_s.value
    seconds = dispatch + on_device.seconds
    hot = Hot(seconds, dispatch, "estimated", job.family, on_device.worlds)
    return hot, dataclasses.replace(job, flops=on_device.flops)


def resident_shares(
    lowering: Lowering, profile: HardwareProfile, itemsize: Callable[[str], int]
) -> np.ndarray | float:
    """Share of each step's weights that L2 still has where steps of the same sizes follow.

    itemsize: dtype → bytes of an element. Returns float [n]; one number where it is the same for
    all.
    """
    steps = len(lowering.rows)
    touched_bytes = np.zeros(steps)
    for visit in lowering.walk():
        if visit.op.view:
            continue
        for tensor in visit.op.inputs:
            if tensor.weight:
                size = _read_bytes(tensor, visit, lowering, itemsize)
                by_call = np.broadcast_to(np.asarray(size, dtype=float), visit.step.shape)
                touched_bytes += np.bincount(visit.step, by_call, steps)
    share: np.ndarray = resident_share(touched_bytes, profile)
    if not len(share):
        return 0.0
    if share.min() < share.max():
        return share
    return float(share[0])


def _read_bytes(
    weight: Tensor, visit: Visit, lowering: Lowering, itemsize: Callable[[str], int]
) -> Any:
    """Bytes of a weight that each call reads: of all experts' weights, those that have rows."""
    shape = weight.shape(visit.bindings)
    size = elements(shape) * itemsize(weight.dtype)
    if visit.op.name not in GROUPED or not visit.op.site:
        return size
    experts = int(np.max(shape[0]))
    rows = lowering.rows.counts[visit.op.site][visit.step][:, :experts]
    return size / experts * (rows > 0).sum(1)
