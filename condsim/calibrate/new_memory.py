"""What new memory costs: a buffer filled that was just allocated, and one filled before."""

from __future__ import annotations

import torch

from condsim.calibrate.shapes import FRESH_ELEMENTS
from condsim.timing.yardstick import the_clock

BYTES_AN_ELEMENT = 4


def fresh_page_seconds(repeats: int = 3, elements: int = FRESH_ELEMENTS) -> float:
    """Extra seconds a byte of memory at its first use. Must run under inference mode.

    elements: of the buffer, in fp32.
    """
    known = torch.empty(elements).fill_(0.0)
    new_s = min(_filling_new_s(elements) for _ in range(repeats))
    known_s = min(_filling_s(known) for _ in range(repeats))
    return max(new_s - known_s, 0.0) / (BYTES_AN_ELEMENT * elements)


def _filling_new_s(elements: int) -> float:
    clock = the_clock()
    start = clock()
    torch.empty(elements).fill_(1.0)
    return clock() - start


def _filling_s(buffer: torch.Tensor) -> float:
    clock = the_clock()
    start = clock()
    buffer.fill_(1.0)
    return clock() - start
