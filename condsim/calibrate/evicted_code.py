"""What an operator costs more when data evicted its code.

All operators, tiny, are run in turn, with a buffer read before each. It is timed twice: straight
after the read, and after a few other operators that bring back what PyTorch shares between
operators. The second is what an operator's own code costs; the rest is shared.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from condsim.calibrate.code_locality import calls
from condsim.calibrate.shapes import DISTANCES_MB
from condsim.hardware import Cold
from condsim.timing.cases import Pool, Visits, typical
from condsim.timing.yardstick import Call, Yardstick, the_clock

CYCLES = 3
BETWEEN = ("mul", "relu", "softmax", "linear")
"""The other operators, run between the read and the operator that is timed."""
UNTOLD = (*BETWEEN, "linear.bias")
"""Operators that find their own code again when the others have run."""
STRAIGHT, AFTER_OTHERS = 0, 1
LEAST_ELEMENTS_READ = 16
LEAST_OWN_S = 1e-9


class AfterOtherData:
    """Rounds of timings, to be run at several times, and the table that they give.

    Must be used under inference mode.

    distances_mb: of the buffers that are read.
    """

    def __init__(
        self,
        pool: Pool,
        distances_mb: Sequence[float] = DISTANCES_MB,
        yardstick: Yardstick | None = None,
    ) -> None:
        self._calls = calls(pool)
        self._distances_mb = distances_mb
        self._yardstick = yardstick or Yardstick()
        self._reads: list[Call] = []
        for megabytes in (0.0, *distances_mb):
            elements = int(megabytes * 1e6 / pool.itemsize)
            buffer = pool(max(LEAST_ELEMENTS_READ, elements))
            self._reads.append(partial(torch.sum, buffer))
        others = [self._calls[name] for name in BETWEEN]
        self._between: tuple[list[Call], ...] = ([], others)
        self._rounds = 0
        self._visits: dict[tuple[int, int, str], Visits] = {}
        """Visits by (straight or after others, number of the read, operator)."""
        for key in itertools.product(range(2), range(len(self._reads)), self._calls):
            self._visits[key] = []

    def round(self) -> None:
        """Time every operator after each read, straight and with others between."""
        names = list(self._calls)
        order = random.Random(self._rounds).sample(names, len(names))
        self._rounds += 1
        for way, between in enumerate(self._between):
            for number, read in enumerate(self._reads):
                for cycle in range(CYCLES):
                    for name in order:
                        # in the first cycle, other reads ran since the operator's last call
                        visits = self._visits[way, number, name] if cycle else None
                        self._time(self._calls[name], read, between, visits)

    def _time(self, call: Call, read: Call, between: Sequence[Call], visits: Visits | None) -> None:
        """Time a call after a read and the operators between. visits: where it counts, if it does.

        What does not count needs no reading of the yardstick afterwards.
        """
        clock = the_clock()
        before = self._yardstick.begin()
        read()
        for other in between:
            other()
        start = clock()
        call()
        seconds = clock() - start
        if visits is not None:
            visits.append((seconds, max(before, self._yardstick())))

    def table(self) -> Cold:
        """What each operator's own code costs, what is shared, and the share by distance."""
        names = list(self._calls)
        told = np.array([name not in UNTOLD for name in names])
        straight = self._extra_s(STRAIGHT)
        after_others = self._extra_s(AFTER_OTHERS)
        difference = np.median((straight - after_others)[:, told], axis=1)
        shared = np.maximum.accumulate(np.maximum(difference, 0.0))
        own = np.where(told, after_others, straight - shared[:, None])
        farthest = np.maximum(own[-1], 0.0)
        sums = own[:, told].sum(1)
        share = np.clip(sums / max(sums[-1], LEAST_OWN_S), 0.0, 1.0)
        rising_share = np.maximum.accumulate(share)
        own_s = dict(zip(names, farthest.tolist(), strict=True))
        return Cold(
            distance=[megabytes * 1e6 for megabytes in self._distances_mb],
            shared_s=shared.tolist(),
            share=rising_share.tolist(),
            own_s=own_s,
            other_s=float(np.median(farthest)),
        )

    def _extra_s(self, way: int) -> np.ndarray:
        """Extra seconds after each read beyond those after none, float [distances, operators].

        way: STRAIGHT or AFTER_OTHERS.
        """
        rows = []
        for number in range(len(self._reads)):
            visits_of = [self._visits[way, number, name] for name in self._calls]
            rows.append([typical(visits, self._yardstick) for visits in visits_of])
        seconds = np.array(rows)
        extra_s: np.ndarray = seconds[1:] - seconds[:1]
        return extra_s
