"""An operator of a program as a kernel on a GPU, and which of a step's weights its L2 still has."""

from __future__ import annotations

import dataclasses

import numpy as np

from condsim.cost.gpu import two_four
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.hot import VIEW, OperatorTime, SizedOperator
from condsim.program import JOINED
from condsim.program.work import Work


def gpu_operator(
    operator: SizedOperator,
    device: GpuRates,
    groups_rows: np.ndarray | None = None,
    resident: np.ndarray | float = 0.0,
    *,
    view: bool = False,
) -> tuple[OperatorTime, Work]:
    """(time, work) of one operator; arguments as in `kernel`. view: it makes no new storage.

    Its work counts the rows of the experts that are on this device.
    """
    name, job, profile = operator.name, operator.work, device.profile
    if view:
        view_s = 0.0 if name.endswith(JOINED) else profile.host.view.value
        return OperatorTime(view_s, view_s, "estimated", VIEW), job
    on_device = kernel(operator, device, groups_rows, resident)
    dispatch = profile.host.dispatch.value
    if name == two_four.NAME:
        two_four_limits = two_four.two_four_of(profile)
        dispatch += two_four_limits.call_s.value
    seconds = dispatch + on_device.seconds
    hot = OperatorTime(seconds, dispatch, "estimated", job.family, on_device.worlds)
    work_here = dataclasses.replace(job, flops=on_device.flops)
    return hot, work_here
