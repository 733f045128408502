"""What new memory costs: a buffer filled that was just allocated, and one that was filled before."""

from __future__ import annotations

import torch

from condsim.timing.yardstick import the_clock

FILLED = 2**25  # elements, 128 MiB: more than the C library ever keeps


def fresh_page_seconds(repeats: int = 3, elements: int = FILLED) -> float:
    """Extra seconds a byte of memory at its first use. Must run under inference mode."""
    clock = the_clock()

    def filled(make: bool) -> float:
        start = clock()
        (torch.empty(elements) if make else known).fill_(1.0)
        return clock() - start

    known = torch.empty(elements).fill_(0.0)
    new, old = (min(filled(make) for _ in range(repeats)) for make in (True, False))
    return max(new - old, 0.0) / (4 * elements)
