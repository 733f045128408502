"""What an operator costs more when its code was evicted by data: all operators in turn, tiny, with a buffer read before each.

Twice: straight after the read, and after a few other operators that find again what PyTorch shares between operators. The second is what an operator's own
code costs, the rest is shared.
"""

from __future__ import annotations

import itertools
import random
from functools import partial

import numpy as np
import torch

from condsim.calibrate.code_locality import calls
from condsim.hardware import Cold
from condsim.timing.cases import Pool, Visits, typical
from condsim.timing.yardstick import Call, Yardstick, the_clock

DISTANCES_MB = (2.0, 6.0, 16.0)
CYCLES = 3
WARM = ("mul", "relu", "softmax", "linear")  # run in between, so their own code cannot be told


class AfterOtherData:
    """Rounds of timings, to be run at several times, and the table that they give. Must be used under inference mode."""

    def __init__(
        self,
        pool: Pool,
        distances_mb: tuple[float, ...] = DISTANCES_MB,
        yardstick: Yardstick | None = None,
    ) -> None:
        self._every, self._distances_mb, self._yardstick = (
            calls(pool),
            distances_mb,
            yardstick or Yardstick(),
        )
        self._reads = [
            partial(torch.sum, pool(max(16, int(megabytes * 1e6 / pool.itemsize))))
            for megabytes in (0.0, *distances_mb)
        ]
        self._between: tuple[list[Call], list[Call]] = ([], [self._every[n] for n in WARM])
        self._rounds = 0
        self._visits: dict[tuple[int, int, str], Visits] = {
            key: [] for key in itertools.product(range(2), range(len(self._reads)), self._every)
        }

    def round(self) -> None:
        """Every operator after each read, straight and with others between."""
        yardstick, clock = self._yardstick, the_clock()
        order = random.Random(self._rounds).sample(list(self._every), len(self._every))
        self._rounds += 1
        for (w, warm), (d, read) in itertools.product(
            enumerate(self._between), enumerate(self._reads)
        ):
            for cycle, name in itertools.product(range(CYCLES), order):
                before = yardstick.begin()
                read()
                for other in warm:
                    other()
                start = clock()
                self._every[name]()
                t = clock() - start
                if cycle:  # at first what ran since its last call is not all of this kind
                    self._visits[w, d, name].append((t, max(before, yardstick())))

    def table(self) -> Cold:
        """What each operator's own code costs, what is shared, and how much of it after how many bytes."""
        names = list(self._every)
        reads = range(len(self._reads))
        seconds = np.array(
            [
                [[typical(self._visits[w, d, n], self._yardstick) for n in names] for d in reads]
                for w in range(2)
            ]
        )
        extra = seconds[:, 1:] - seconds[:, :1]
        told = np.array([n not in (*WARM, "linear.bias") for n in names])
        shared = np.maximum.accumulate(
            np.maximum(np.median((extra[0] - extra[1])[:, told], axis=1), 0.0)
        )
        own = np.where(told, extra[1], extra[0] - shared[:, None])
        most = np.maximum(own[-1], 0.0)
        share = np.maximum.accumulate(
            np.clip(own[:, told].sum(1) / max(own[-1, told].sum(), 1e-9), 0.0, 1.0)
        )
        return Cold(
            distance=[mb * 1e6 for mb in self._distances_mb],
            shared_s=shared.tolist(),
            share=share.tolist(),
            own_s=dict(zip(names, most.tolist(), strict=True)),
            other_s=float(np.median(most)),
        )
