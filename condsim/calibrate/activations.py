"""What activations cost that left the private cache: blocks that are read or written in turn.

The blocks together take from 0.4 to 96 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from condsim.calibrate.residency import extra_per_byte, visit_in_turn
from condsim.calibrate.shapes import FOOTPRINTS_MB
from condsim.hardware import Activations
from condsim.timing.cases import Visits, typical
from condsim.timing.yardstick import Yardstick

BLOCK_ELEMENTS = 65536
BLOCK_BYTES = 4 * BLOCK_ELEMENTS  # fp32: a block fits a private cache of 512 KiB
OPERATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "read": torch.Tensor.sum,
    "written": partial(torch.Tensor.fill_, value=1.0),
}
"""What is done to each block."""


class DistantActivations:
    """Rounds of visits to blocks, to be run at several times, and the curves that they give.

    footprints: of all blocks that are visited in turn, MB. Must be used under inference mode.
    """

    def __init__(
        self, footprints: Sequence[float] = FOOTPRINTS_MB, yardstick: Yardstick | None = None
    ) -> None:
        self._footprints = footprints
        self._yardstick = yardstick or Yardstick()
        self._counts = [1]
        for megabytes in footprints:
            blocks = round(megabytes * 1e6 / BLOCK_BYTES)
            self._counts.append(max(1, blocks))
        self._blocks = torch.ones(max(self._counts), BLOCK_ELEMENTS).unbind()
        self._visits: dict[str, list[Visits]] = {}
        for kind in OPERATORS:
            self._visits[kind] = [[] for _ in self._counts]

    def round(self) -> None:
        """Read and write the blocks of every footprint once."""
        for kind, operator in OPERATORS.items():
            calls = [partial(operator, block) for block in self._blocks]
            for count, visits in zip(self._counts, self._visits[kind], strict=True):
                visit = partial(visit_in_turn, calls[:count], BLOCK_BYTES)
                visits.append(self._yardstick.around(visit))

    def table(self) -> Activations:
        """What the rounds so far say."""
        distance = [megabytes * 1e6 for megabytes in self._footprints]
        read = self._extra("read")
        written = self._extra("written")
        return Activations(distance=distance, read=read, written=written)

    def _extra(self, kind: str) -> list[float]:
        """Extra seconds a byte at each footprint."""
        seconds = [typical(visits, self._yardstick) for visits in self._visits[kind]]
        extra: list[float] = extra_per_byte(seconds, BLOCK_BYTES).tolist()
        return extra
