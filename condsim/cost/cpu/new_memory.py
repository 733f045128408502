"""What a large result costs more because its memory is new: the operating system hands out zeroed pages at their first use.

    extra seconds = bytes * seconds a byte, of results of 32 MiB and more

The C library gives a block of its own to each request of M_MMAP_THRESHOLD bytes and more, and gives it back to the system when it is freed. Source:
mallopt(3): that threshold grows with what is freed, to at most 32 MiB on 64-bit systems. Where the process has had more than that in use at once, in smaller
pieces, up to 64 MiB of it may lie free at the end of its heap and serve a large request; a step's own pieces are not looked at for that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile
from condsim.program import elements
from condsim.program.operators import Shape

NEW = "fresh_page"
"""Of a profile's extra_s: seconds a byte."""
KEPT_BYTES = 2**25


def fresh_seconds(
    name: str, outputs: list[Shape], profile: HardwareProfile, itemsize: int = 4
) -> Any:
    """Extra seconds of an operator for its results, float or float array; 0 in place (a name that ends in "_") and without a calibration."""
    if name.endswith("_") or NEW not in profile.extra_s:
        return 0.0
    sizes = [np.asarray(elements(shape), float) * itemsize for shape in outputs]
    return profile.extra_s[NEW] * sum(
        (np.where(size >= KEPT_BYTES, size, 0.0) for size in sizes), np.zeros(())
    )
