"""NPUs of phones and edge devices: a graph is prepared in parts, which end where rows decide."""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.hardware.device_classes.base import DeviceClass, device_class

NPU = device_class(
    DeviceClass(
        name="npu",
        label="NPU",
        priced_as="gpu",
        offers=frozenset({abilities.PARTITIONED_GRAPHS, abilities.ONNXRUNTIME}),
        required_blocks=("graphs",),
    )
)
