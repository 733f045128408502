"""What an elementwise operator costs more whose operand does not lie in one piece."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from condsim.timing.cases import Pool
from condsim.timing.yardstick import Call

HEADS, POSITIONS, WIDTH = 8, 64, 16
ELEMENTS = HEADS * POSITIONS * WIDTH


def _whole(pool: Pool) -> torch.Tensor:
    return pool(HEADS, POSITIONS, WIDTH)


def _with_loops(pool: Pool) -> torch.Tensor:
    """Rows that follow each other in memory in another order: more runs of the inner loop."""
    return pool(POSITIONS, HEADS, WIDTH).transpose(0, 1)


def _with_gaps(pool: Pool) -> torch.Tensor:
    """Every other element."""
    return pool(HEADS, POSITIONS, 2 * WIDTH)[..., ::2]


FIRST_OPERANDS: dict[str, Callable[[Pool], torch.Tensor]] = {
    "whole": _whole,
    "loops": _with_loops,
    "elements": _with_gaps,
}
"""How the first operand of an elementwise product lies; the second is whole."""


def cases(pool: Pool) -> dict[Any, Callable[[], Call]]:
    """The cases, keyed by ("strided", how the first operand lies)."""
    made: dict[Any, Callable[[], Call]] = {}
    for name, operand in FIRST_OPERANDS.items():
        made["strided", name] = partial(_product, pool, operand)
    return made


def _product(pool: Pool, first: Callable[[Pool], torch.Tensor]) -> Call:
    return partial(torch.mul, first(pool), _whole(pool))


def strided_costs(seconds: dict[Any, float]) -> dict[str, float]:
    """Seconds of each run of the two innermost loops, and of each element where some are skipped.

    seconds: of each case, by its key. What the two are for: `condsim.record.strides`.
    """
    whole_s = seconds["strided", "whole"]
    loops_s = max(seconds["strided", "loops"] - whole_s, 0.0)
    elements_s = max(seconds["strided", "elements"] - whole_s, 0.0)
    return {
        "strided.loops": loops_s / POSITIONS,
        "strided.element": elements_s / ELEMENTS,
    }
