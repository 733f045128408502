"""CPUs: the device issues its own operators."""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.hardware.device_classes.base import DeviceClass, device_class

CPU = device_class(
    DeviceClass(
        name="cpu",
        label="CPU",
        priced_as="cpu",
        offers=frozenset(
            {abilities.PROGRAMMABLE, abilities.TORCH_COMPILE, abilities.SPARSE_PRODUCTS}
        ),
        is_host=True,
        torch_device="cpu",
    )
)
