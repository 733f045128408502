"""Operators of a program on a GPU."""

from __future__ import annotations

import pytest

from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.operator import gpu_operator
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.gpu.two_four import NAME, two_four_of
from condsim.cost.hot import SizedOperator
from condsim.hardware import hardware
from condsim.program import JOINED

H100 = hardware("nvidia-h100-sxm")
BF16 = GpuRates(H100, "bf16", 2, 2)
INPUTS, OUTPUTS = [(64, 512), (256, 512)], [(64, 256)]


def test_a_view_takes_the_host_only_and_nothing_where_it_was_joined() -> None:
    for name, seconds in (("view", H100.host.view.value), (f"add{JOINED}", 0.0)):
        hot, _ = gpu_operator(SizedOperator(name, [], []), BF16, view=True)
        assert hot.seconds == hot.dispatch == seconds


@pytest.mark.parametrize("name", ["linear", NAME])
def test_an_operator_is_its_kernel_and_its_dispatch(name: str) -> None:
    params = (1,) if name == NAME else ()
    operator = SizedOperator(name, INPUTS, OUTPUTS, params)
    hot, done = gpu_operator(operator, BF16)
    on_device = kernel(operator, BF16)
    more_s = two_four_of(H100).call_s.value if name == NAME else 0.0
    assert hot.dispatch == pytest.approx(H100.host.dispatch.value + more_s)
    assert hot.seconds == pytest.approx(hot.dispatch + on_device.seconds)
    assert done.flops == operator.work.flops
