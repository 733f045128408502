"""What is left of what an operator costs more among others where a sequence runs over and over.

Between the cycles of `condsim.calibrate.code_locality` a yardstick is read, which evicts code and
branches, too. A loop has nothing in between: sequences of a few operators, and of all, are run
again and again, and are timed as a whole.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

import numpy as np

from condsim.calibrate.code_locality import calls, light_operators
from condsim.hardware import Among, Looped
from condsim.timing.cases import Pool, existing, measure
from condsim.timing.yardstick import Call, Yardstick, the_clock

DISTINCT = (2, 4, 8, 16, 32, 64)
"""How many different operators are drawn; in the end there are all of them."""
DRAWS = 3
"""Sequences of each length in a round."""
WARM_CALLS, STRETCH_CALLS, STRETCHES = 800, 128, 9
"""Calls of a loop that do not count, calls between two readings of the clock, and how often."""
LEAST_S = 1e-9


class LoopsOfCode:
    """Rounds of timings, to be run at several times, and the table that they give.

    Must be used under inference mode.
    """

    def __init__(self, pool: Pool, yardstick: Yardstick | None = None) -> None:
        self._calls = calls(pool)
        self._yardstick = yardstick or Yardstick()
        self._rounds = 0
        self._light = [name for name in light_operators() if name in self._calls]
        lengths = [length for length in DISTINCT if length < len(self._light)]
        self._looped: dict[int, list[tuple[list[str], float]]] = {}
        """Length → (operators of each sequence, seconds beyond those of each alone)."""
        for length in (*lengths, len(self._light)):
            self._looped[length] = []

    def round(self) -> None:
        """Time every operator alone, and sequences that are drawn anew."""
        rng = random.Random(self._rounds)
        self._rounds += 1
        alone_s = measure(existing(self._calls), 2, yardstick=self._yardstick)
        for length, looped in self._looped.items():
            for _ in range(DRAWS):
                names = rng.sample(self._light, length)
                sequence = [self._calls[name] for name in names]
                seconds, reading = self._yardstick.around(partial(loop_seconds, sequence))
                extra_s = seconds - sum(alone_s[name] for name in names)
                if reading <= self._yardstick.limit_s or not looped:
                    looped.append((names, extra_s))

    def table(self, among: Among) -> Looped:
        """The share of an operator's extra seconds that is left in a loop.

        among: the extra seconds of each operator.
        """
        shares = []
        for looped in self._looped.values():
            left_s = sum(extra_s for _, extra_s in looped)
            of_all_s = sum(among.extra_s[name] for names, _ in looped for name in names)
            shares.append(max(left_s / max(of_all_s, LEAST_S), 0.0))
        rising = np.maximum.accumulate(shares)
        distinct = [1.0, *(float(length) for length in self._looped)]
        return Looped(distinct=distinct, share=[0.0, *rising.tolist()])


def loop_seconds(sequence: Sequence[Call]) -> float:
    """Median seconds of one run of a sequence that follows itself again and again."""
    clock = the_clock()
    for _ in range(-(-WARM_CALLS // len(sequence))):
        for call in sequence:
            call()
    runs = -(-STRETCH_CALLS // len(sequence))
    seconds = []
    for _ in range(STRETCHES):
        start = clock()
        for _ in range(runs):
            for call in sequence:
                call()
        seconds.append((clock() - start) / runs)
    return float(np.median(seconds))
