"""What a large result costs more because its memory is new: pages are zeroed at their first use.

    extra seconds = bytes * seconds a byte, of results of 32 MiB and more

The C library gives a block of its own to each request of M_MMAP_THRESHOLD bytes and more, and gives
it back to the operating system when it is freed. Source: mallopt(3): that threshold grows with what
is freed, to at most 32 MiB on 64-bit systems. A process that has had more than that in use at once,
in smaller pieces, may have up to 64 MiB of it free at the end of its heap, which serve a large
request; a step's own pieces are not looked at for that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile
from condsim.program import elements
from condsim.program.work import Shape

NEW = "fresh_page"
"""Of a profile's extra_s: seconds a byte."""
KEPT_BYTES = 2**25
"""Blocks smaller than this are kept by the process when they are freed."""


def fresh_seconds(
    name: str, outputs: list[Shape], profile: HardwareProfile, itemsize: int = 4
) -> Any:
    """Extra seconds of an operator for its results, float or float array.

    0 for an operator in place (a name that ends in "_") and without a calibration. itemsize: bytes
    of an element.
    """
    if name.endswith("_") or NEW not in profile.extra_s:
        return 0.0
    new_bytes: Any = 0.0
    for shape in outputs:
        result_bytes = np.asarray(elements(shape), float) * itemsize
        if result_bytes.max(initial=0.0) >= KEPT_BYTES:
            new_bytes = new_bytes + np.where(result_bytes >= KEPT_BYTES, result_bytes, 0.0)
    return profile.extra_s[NEW] * new_bytes
