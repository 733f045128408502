"""What a large result costs more because its memory is new: the operating system hands out zeroed pages at their first use.

    extra seconds = bytes * seconds a byte, of results of 64 MiB and more

The C library keeps what was freed at the end of its heap for the next operator, up to M_TRIM_THRESHOLD, and gives the rest back. Source: mallopt(3): the
dynamic threshold for blocks of their own is at most 32 MiB on 64-bit systems, that for the heap's end twice as much. Between the two it depends on what lies
free.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile
from condsim.operators import Shape
from condsim.program import elements

NEW = "fresh_page"
"""Of a profile's extra_s: seconds a byte."""
KEPT_BYTES = 2**26


def fresh_seconds(name: str, outputs: list[Shape], profile: HardwareProfile, itemsize: int = 4) -> Any:
    """Extra seconds of an operator for its results, float or float array; 0 in place (a name that ends in "_") and without a calibration."""
    if name.endswith("_") or NEW not in profile.extra_s:
        return 0.0
    sizes = [np.asarray(elements(shape), float) * itemsize for shape in outputs]
    return profile.extra_s[NEW] * sum((np.where(size >= KEPT_BYTES, size, 0.0) for size in sizes), np.zeros(()))
