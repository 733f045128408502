"""The classes of devices: one file, one object a class.

A new class is a new file here that registers an object; every module of this folder is imported. A
profile names its class in `kind`, and strategies, runtimes and device models ask what it offers.
"""

from __future__ import annotations

import importlib
import pkgutil

from condsim.hardware.device_classes.base import DEVICE_CLASSES, DeviceClass

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["DEVICE_CLASSES", "DeviceClass"]
