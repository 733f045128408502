"""An operator of a program as a kernel on a GPU, and which of a step's weights its L2 still has."""

from __future__ import annotations

import dataclasses

import numpy as np

from condsim.cost.gpu import two_four
from condsim.cost.gpu.kernel import kernel
from condsim.cost.hot import VIEW, OperatorTime
from condsim.hardware import HardwareProfile
from condsim.program import JOINED, Op
from condsim.program.work import Shape, Work


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
    weight_itemsize: float | None = None,
) -> tuple[OperatorTime, Work]:
    """(time, work) of one operator; arguments as in `kernel`.

    Its work counts the rows of the experts that are on this device.
    """
    if op.view:
        view_s = 0.0 if op.name.endswith(JOINED) else profile.host.view.value
        view = OperatorTime(view_s, view_s, "estimated", VIEW)
        return view, job
    on_device = kernel(
        op.name,
        job,
        inputs,
        outputs,
        op.params,
        profile,
        dtype,
        itemsize,
        groups_rows,
        resident,
        weight_itemsize,
    )
    dispatch = profile.host.dispatch.value
    if op.name == two_four.NAME:
        two_four_limits = two_four.two_four_of(profile)
        dispatch += two_four_limits.call_s.value
    seconds = dispatch + on_device.seconds
    hot = OperatorTime(seconds, dispatch, "estimated", job.family, on_device.worlds)
    work_here = dataclasses.replace(job, flops=on_device.flops)
    return hot, work_here
