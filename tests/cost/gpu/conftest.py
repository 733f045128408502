"""A GPU from its data sheet."""

from __future__ import annotations

import pytest

from condsim.cost.gpu.rates import GpuRates
from condsim.hardware import hardware


@pytest.fixture(scope="session")
def h100() -> GpuRates:
    """An H100 that computes in bf16."""
    return GpuRates(hardware("nvidia-h100-sxm"), "bf16", 2, 2)
