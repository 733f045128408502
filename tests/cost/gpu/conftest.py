"""A GPU from its data sheet."""

from __future__ import annotations

import pytest

from condsim.cost.gpu.device import Device
from condsim.hardware import hardware


@pytest.fixture(scope="session")
def h100() -> Device:
    """An H100 that computes in bf16."""
    return Device(hardware("nvidia-h100-sxm"), "bf16", 2)
