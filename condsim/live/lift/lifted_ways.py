"""A forward that decides in Python, lifted: each way through it behind its decision."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from condsim.live.lift.joined import PARTS, STAYS, JoinedWays
from condsim.live.lift.lifted import Lifted, Trial
from condsim.live.lift.tape import outputs_of
from condsim.live.lift.two_tapes import require_same_calls
from condsim.live.lift.ways import Parting, Ways


class LiftedWays(Lifted):
    """Call it in place of the host's forward.

    ways, other: the ways through the forward at two sizes. rows: of both.
    Raises NotLiftable where a call that is needed cannot stand behind the decisions before it.
    """

    asks_batch = True
    how_read = (
        "read from the ways through the forward of {host}, which decides in Python by `if`s on "
        "tensors; what it asks of a whole batch counts as the decision of each of its rows, and "
        "what it leads to runs as under the strategy wait"
    )

    def __init__(
        self, host: nn.Module, path: str, ways: Ways, other: Ways, rows: tuple[int, int]
    ) -> None:
        joined = JoinedWays(ways, other, *rows)
        require_same_calls(joined.tape, joined.other_tape)
        super().__init__(host, path, joined.reading, joined.other_tape)
        self.ways = ways
        self._deciding = joined.places.deciding
        self._rows = rows[0]

    def trials(self) -> list[Trial]:
        """The reference, each other way, and rows that go both ways."""
        own = outputs_of(self.ways.reference)
        trials = [Trial(self.forced(), own)]
        for parting in self.ways.partings:
            if self._deciding[parting.at] not in self.sites:
                continue
            other = outputs_of(parting.run)
            all_part = np.zeros(self._rows, bool)
            trials.append(Trial(self._parting(parting, all_part), other))
            if all(len(tensor) == self._rows for tensor in (*own, *other) if tensor.ndim):
                half = np.arange(self._rows) % 2 == 0
                trials.append(Trial(self._parting(parting, half), _mixed(half, own, other)))
        return trials

    def _parting(self, parting: Parting, stays: np.ndarray) -> dict[str, np.ndarray]:
        """Decisions of which one sends some rows another way. stays: bool [rows]."""
        forced = dict(self.forced())
        site = self.sites[self._deciding[parting.at]]
        choices = np.where(stays, STAYS, PARTS)
        entered = choices if site.works is None else choices == site.works
        forced[site.name] = entered.astype(np.int64)
        return forced


def _mixed(
    stays: np.ndarray, own: list[torch.Tensor], other: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Rows of either result."""
    mixed = []
    rows = torch.from_numpy(stays)
    for one, another in zip(own, other, strict=True):
        of_rows = rows.view(-1, *[1] * (one.ndim - 1))
        mixed_value = torch.where(of_rows, one, another) if one.ndim else one
        mixed.append(mixed_value)
    return mixed
