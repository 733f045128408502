"""GPUs: a host issues kernels ahead of the device."""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.hardware.device_classes.base import DeviceClass, device_class

GPU = device_class(
    DeviceClass(
        name="gpu",
        label="GPU",
        priced_as="gpu",
        offers=frozenset(
            {abilities.PROGRAMMABLE, abilities.TORCH_COMPILE, abilities.CUDA, abilities.WARPS}
        ),
        own_blocks=("gpu",),
        torch_device="cuda",
    )
)
