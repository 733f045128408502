"""What a large result costs more because its memory is new: the operating system hands out zeroed pages at their first use.

    extra seconds = bytes * seconds a byte, of results of 32 MiB and more

The C library keeps smaller blocks that were freed for the next operator, and gives larger ones back. Source: mallopt(3), M_MMAP_THRESHOLD: its dynamic value
stays below DEFAULT_MMAP_THRESHOLD_MAX, 32 MiB on 64-bit systems. Not true where so much memory lies free at the end of the heap that such a block fits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile
from condsim.operators import Shape
from condsim.program import elements

NEW = "fresh_page"
"""Of a profile's extra_s: seconds a byte."""
KEPT_BYTES = 2**25


def fresh_seconds(name: str, outputs: list[Shape], profile: HardwareProfile, itemsize: int = 4) -> Any:
    """Extra seconds of an operator for its results, float or float array; 0 in place (a name that ends in "_") and without a calibration."""
    if name.endswith("_") or NEW not in profile.extra_s:
        return 0.0
    sizes = [np.asarray(elements(shape), float) * itemsize for shape in outputs]
    return profile.extra_s[NEW] * sum((np.where(size >= KEPT_BYTES, size, 0.0) for size in sizes), np.zeros(()))
