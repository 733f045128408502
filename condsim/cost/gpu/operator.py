"""An operator of a program as a kernel on a GPU, and which of a step's weights its L2 still has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from condsim.cost.cpu.operator_time import Hot
from condsim.cost.gpu import two_four
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.traffic import resident_share
from condsim.hardware import HardwareProfile
from condsim.lower import Lowering
from condsim.program import JOINED, Op, elements
from condsim.program.operators import GROUPED, Shape, Work


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
    """(time, work) of one operator; arguments as in `kernel`. Its work counts the rows of the experts that are on this device."""
    if op.view:
        seconds = 0.0 if op.name.endswith(JOINED) else profile.host.view.value
        return Hot(seconds, seconds, "estimated", "view"), job
    found = kernel(
        op.name, job, inputs, outputs, op.params, profile, dtype, itemsize, groups_rows, resident
    )
    dispatch = profile.host.dispatch.value
    if op.name == two_four.NAME:
        dispatch += two_four.needs(profile).call_s.value
    return Hot(
        dispatch + found.seconds, dispatch, "estimated", job.family, found.worlds
    ), dataclasses.replace(job, flops=found.flops)


def resident_shares(
    lowering: Lowering, profile: HardwareProfile, itemsize: Callable[[str], int]
) -> np.ndarray | float:
    """Share of each step's weights that L2 still has where steps of the same sizes follow each other, float [n]; one number where
    it is the same for all."""
    touched = np.zeros(len(lowering.rows))
    for v in lowering.walk():
        for t in () if v.op.view else v.op.inputs:
            if not t.weight:
                continue
            size: Any = elements(t.shape(v.bindings)) * itemsize(t.dtype)
            if v.op.name in GROUPED and v.op.site:
                here = int(np.max(t.shape(v.bindings)[0]))
                size = size / here * (lowering.rows.counts[v.op.site][v.step][:, :here] > 0).sum(1)
            touched += np.bincount(
                v.step, np.broadcast_to(np.asarray(size, dtype=float), v.step.shape), len(touched)
            )
    share: np.ndarray = resident_share(touched, profile)
    return (
        share
        if len(share) and share.min() < share.max()
        else float(share[0])
        if len(share)
        else 0.0
    )
