"""What activations cost that are not in the private cache: blocks that are read or written in turn, together from 0.4 to 96 MB."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from condsim.calibrate.residency import FOOTPRINTS_MB, extra_per_byte, visit_in_turn
from condsim.hardware import Activations
from condsim.timing.cases import Visits, typical
from condsim.timing.yardstick import Yardstick

BLOCK = 65536  # elements: a block fits a private cache of 512 KiB
KINDS: dict[str, Callable[[torch.Tensor], Any]] = {
    "read": torch.Tensor.sum,
    "written": partial(torch.Tensor.fill_, value=1.0),
}


class DistantActivations:
    """Rounds of visits, to be run at several times, and the curves that they give.

    footprints: of all blocks that are visited in turn, MB. Must be used under inference mode.
    """

    def __init__(
        self, footprints: tuple[float, ...] = FOOTPRINTS_MB, yardstick: Yardstick | None = None
    ) -> None:
        self._footprints, self._yardstick = footprints, yardstick or Yardstick()
        self._counts = [1, *(max(1, round(mb * 250_000 / BLOCK)) for mb in footprints)]
        self._blocks = torch.ones(max(self._counts), BLOCK).unbind()
        self._seen: dict[str, list[Visits]] = {kind: [[] for _ in self._counts] for kind in KINDS}

    def round(self) -> None:
        """Every case once."""
        for kind, operator in KINDS.items():
            for count, visits in zip(self._counts, self._seen[kind], strict=True):
                before = self._yardstick.begin()
                seconds = visit_in_turn(
                    [partial(operator, block) for block in self._blocks[:count]], 4 * BLOCK
                )
                visits.append((seconds, max(before, self._yardstick())))

    def table(self) -> Activations:
        """What the rounds so far say."""
        found = {
            kind: extra_per_byte([typical(v, self._yardstick) for v in seen], 4.0 * BLOCK).tolist()
            for kind, seen in self._seen.items()
        }
        return Activations(distance=[mb * 1e6 for mb in self._footprints], **found)
