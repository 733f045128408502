"""TPUs: XLA prepares a graph of fixed sizes for a matrix unit."""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.hardware.device_classes.base import DeviceClass, device_class

TPU = device_class(
    DeviceClass(
        name="tpu",
        label="TPU",
        priced_as="gpu",
        offers=frozenset({abilities.PROGRAMMABLE, abilities.XLA, abilities.TILED_MEMORY}),
        required_blocks=("graphs",),
    )
)
