"""What an operator costs more among other operators than alone.

Timed alone, an operator finds its code in the caches and its branches predicted; in a model it
follows others and does not: two to four times the dispatch (measured on a server CPU with
speculation mitigations). So all operators, tiny, are run in turn in a few fixed orders that repeat,
as a model's forward repeats; each is timed where it stands. How much of the extra appears when only
a few different operators follow each other is measured too: a plain stack of two kinds pays almost
nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate import operator_calls
from condsim.calibrate.operator_builds import Build
from condsim.calibrate.operators import view_name
from condsim.hardware import Among
from condsim.timing.cases import Pool, existing, measure
from condsim.timing.yardstick import Call, Yardstick, the_clock

ELEMENTS, LENGTH = 256, 16
DISTINCT = (1, 2, 4, 8, 16, 32, 64)
"""How many different operators are drawn."""
ORDERS = 3
"""Orders of all operators in a round."""
HEAVY = ("gelu", "rms_norm", "batch_norm", "group_norm", "conv2d_depthwise")
"""Operators whose own work would hide what their code costs."""


def calls(pool: Pool) -> dict[str, Call]:
    """Every operator at a tiny size."""
    made: dict[str, Call] = {}
    for name, build in _builds().items():
        made[name] = build(pool, ELEMENTS, LENGTH)
    for name, view in operator_calls.VIEWS.items():
        made[view_name(name)] = view
    x = pool(4, 64)
    weight = pool(64, 64)
    heads = pool(1, 2, 8, 8)
    made["linear"] = partial(F.linear, x, weight)
    made["linear.bias"] = partial(F.linear, x, weight, pool(64))
    made["mm"] = partial(torch.mm, x, weight)
    made["bmm"] = partial(torch.bmm, pool(4, 8, 8), pool(4, 8, 8))
    made["matmul"] = partial(torch.matmul, heads, heads)
    made["attention"] = partial(F.scaled_dot_product_attention, heads, heads, heads)
    image, filters = pool(1, 8, 4, 4), pool(8, 8, 3, 3)
    made["conv2d"] = partial(F.conv2d, image, filters, pool(8))
    image, filters = pool(1, 8, 4, 4), pool(8, 1, 3, 3)
    made["conv2d_depthwise"] = partial(F.conv2d, image, filters, pool(8), 1, 1, 1, 8)
    ends = torch.tensor([2, 4], dtype=torch.int32)
    made["grouped_mm"] = partial(F.grouped_mm, x, pool(2, 64, 64), offs=ends)
    return made


def _builds() -> dict[str, Build]:
    return {
        **operator_calls.ELEMENTWISE,
        **operator_calls.ROWWISE,
        **operator_calls.OTHERS,
        **operator_calls.CONSTANT,
    }


def light_operators() -> list[str]:
    """The operators that are drawn: those that take little time besides their dispatch."""
    names = [name for name in _builds() if name not in HEAVY]
    names += [view_name(name) for name in operator_calls.VIEWS]
    return [*names, "linear", "linear.bias", "bmm", "attention"]


class AmongOthers:
    """Rounds of timings, to be run at several times, and the table that they give.

    Must be used under inference mode.

    draws: operators drawn in a round, for each number of different ones.
    """

    def __init__(self, pool: Pool, draws: int = 100, yardstick: Yardstick | None = None) -> None:
        self._calls = calls(pool)
        self._draws = draws
        self._yardstick = yardstick or Yardstick()
        self._rounds: list[dict[str, float]] = []  # extra seconds of each operator among all
        self._shares: dict[int, list[float]] = {}
        for distinct in DISTINCT:
            if distinct < len(self._calls):
                self._shares[distinct] = []

    def round(self) -> None:
        """Time every operator alone, in a few orders of all, and in cycles of a few.

        The few are drawn at random, so that noise hits all alike.
        """
        number = len(self._rounds)
        alone_s = measure(existing(self._calls), 2, yardstick=self._yardstick)
        extra_s = self._extra_among_all(alone_s, number)
        self._rounds.append(extra_s)
        for distinct, shares in self._shares.items():
            shares.append(self._share_among(distinct, alone_s, extra_s, number))

    def _extra_among_all(self, alone_s: Mapping[str, float], number: int) -> dict[str, float]:
        """Extra seconds of each operator in orders of all. number: of the round."""
        names = list(self._calls)
        orders = []
        for order in range(ORDERS):
            rng = random.Random(10 * number + order)
            orders.append(rng.sample(names, len(names)))
        times = [self._cycle(order) for order in orders]
        extra_s = {}
        for name in names:
            among_s = float(np.median([seconds[name] for seconds in times]))
            extra_s[name] = max(among_s - alone_s[name], 0.0)
        return extra_s

    def _share_among(
        self,
        distinct: int,
        alone_s: Mapping[str, float],
        extra_s: Mapping[str, float],
        number: int,
    ) -> float:
        """How much of the extra seconds among all appears among a few operators.

        distinct: how many. alone_s, extra_s: of each operator. number: of the round.
        """
        light = light_operators()
        among_few_s = among_all_s = 0.0
        for draw in range(max(2, self._draws // distinct)):
            rng = random.Random(1000 * number + draw)
            order = rng.sample(light, distinct)
            for name, seconds in self._cycle(order, 16).items():
                among_few_s += seconds - alone_s[name]
                among_all_s += extra_s[name]
        return max(among_few_s / max(among_all_s, 1e-9), 0.0)

    def _cycle(self, order: list[str], cycles: int = 32) -> dict[str, float]:
        calls_in_order = {name: self._calls[name] for name in order}
        return cycle(calls_in_order, self._yardstick, cycles)

    def table(self) -> Among:
        """Extra seconds of each operator among all, and the share of them among few."""
        extra_s = {}
        for name in self._calls:
            rounds_s = [seconds[name] for seconds in self._rounds]
            extra_s[name] = float(np.median(rounds_s))
        other_s = float(np.median(list(extra_s.values())))
        distinct = [float(count) for count in (*self._shares, len(extra_s))]
        among_few = [np.median(shares) for shares in self._shares.values()]
        rising = np.minimum(np.maximum.accumulate(among_few), 1.0)
        share = [*rising.tolist(), 1.0]
        return Among(extra_s=extra_s, other_s=other_s, distinct=distinct, share=share)


def cycle(order: Mapping[str, Call], yardstick: Yardstick, cycles: int = 32) -> dict[str, float]:
    """Median seconds of each call where it stands in a cycle that is repeated.

    The first quarter of the cycles does not count, nor do disturbed ones where others are left.
    """
    times, readings = visits(order, yardstick, cycles)
    settled = slice(cycles // 4, None)
    seconds = middle(times[settled], readings[settled], yardstick)
    return dict(zip(order, seconds.tolist(), strict=True))


def visits(
    order: Mapping[str, Call], yardstick: Yardstick, cycles: int
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each call where it stands in a cycle, and how disturbed each cycle was.

    Returns seconds without what reading the clock costs, float [cycles, calls], and the slower one
    of the yardstick's readings before and after each cycle, float [cycles].
    """
    clock = the_clock()

    def one_cycle() -> list[float]:
        seconds = []
        for call in order.values():
            start = clock()
            call()
            seconds.append(clock() - start)
        start = clock()
        seconds.append(clock() - start)
        return seconds

    watched = [yardstick.around(one_cycle) for _ in range(cycles)]
    times = np.array([seconds for seconds, _ in watched])
    readings = np.array([reading for _, reading in watched])
    clock_s = np.median(times[:, -1])
    return times[:, :-1] - clock_s, readings


def middle(times: np.ndarray, readings: np.ndarray, yardstick: Yardstick) -> np.ndarray:
    """Medians over the cycles that nothing disturbed, over all where there are none.

    times: seconds, [cycles, calls]; readings: of the yardstick, [cycles]. Returns float [calls].
    """
    undisturbed = readings <= yardstick.limit_s
    counted = times[undisturbed] if undisturbed.any() else times
    medians: np.ndarray = np.median(counted, axis=0)
    return medians
