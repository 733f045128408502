"""What an operator costs more among other operators than alone.

Timed alone, an operator finds its code and its branches predicted; in a model it follows others and does not: two to four times the dispatch
(measured on a server CPU with speculation mitigations). So all operators, tiny, are run in turn in a few fixed orders that repeat, as a model's
forward repeats; each is timed where it stands. How much of it appears when only a few different operators follow each other is measured too: a plain
stack of two kinds pays almost nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate import operators
from condsim.hardware import Among
from condsim.timing.cases import Pool, itself, measure
from condsim.timing.yardstick import Call, Yardstick, the_clock

ELEMENTS, LENGTH = 256, 16


def calls(pool: Pool) -> dict[str, Call]:
    """Every operator at a tiny size."""
    built = {**operators.ELEMENTWISE, **operators.ROWWISE, **operators.OTHERS, **operators.CONSTANT}
    found: dict[str, Call] = {name: build(pool, ELEMENTS, LENGTH) for name, build in built.items()}
    found |= {f"{name}.view": view for name, view in operators.VIEWS.items()}
    x, w, q = pool(4, 64), pool(64, 64), pool(1, 2, 8, 8)
    return found | {
        "linear": partial(F.linear, x, w),
        "linear.bias": partial(F.linear, x, w, pool(64)),
        "mm": partial(torch.mm, x, w),
        "bmm": partial(torch.bmm, pool(4, 8, 8), pool(4, 8, 8)),
        "matmul": partial(torch.matmul, q, q),
        "attention": partial(F.scaled_dot_product_attention, q, q, q),
        "conv2d": partial(F.conv2d, pool(1, 8, 4, 4), pool(8, 8, 3, 3), pool(8)),
        "conv2d_depthwise": partial(
            F.conv2d, pool(1, 8, 4, 4), pool(8, 1, 3, 3), pool(8), 1, 1, 1, 8
        ),
        "grouped_mm": partial(
            F.grouped_mm, x, pool(2, 64, 64), offs=torch.tensor([2, 4], dtype=torch.int32)
        ),
    }


DISTINCT = (1, 2, 4, 8, 16, 32, 64)


class AmongOthers:
    """Rounds of timings, to be run at several times, and the table that they give. Must be used under inference mode.

    draws: operators drawn a round for each number of different ones.
    """

    def __init__(self, pool: Pool, draws: int = 100, yardstick: Yardstick | None = None) -> None:
        self._every, self._draws, self._yardstick = calls(pool), draws, yardstick or Yardstick()
        self._extra: list[dict[str, float]] = []
        self._shares: dict[int, list[float]] = {
            count: [] for count in DISTINCT if count < len(self._every)
        }

    def round(self) -> None:
        """Every operator alone, in a few orders of all, and in cycles of a few drawn at random, so that noise hits all alike."""
        every, yardstick, r = self._every, self._yardstick, len(self._extra)
        alone = measure(
            {name: partial(itself, call) for name, call in every.items()}, 2, yardstick=yardstick
        )
        orders = [random.Random(10 * r + seed).sample(list(every), len(every)) for seed in range(3)]
        seen = [cycle({n: every[n] for n in order}, yardstick) for order in orders]
        full = {
            name: max(float(np.median([times[name] for times in seen])) - alone[name], 0.0)
            for name in every
        }
        self._extra.append(full)
        for count, found in self._shares.items():
            some = asked = 0.0
            for draw in range(max(2, self._draws // count)):
                order = random.Random(1000 * r + draw).sample(_LIGHT, count)
                for name, t in cycle({n: every[n] for n in order}, yardstick, 16).items():
                    some, asked = some + t - alone[name], asked + full[name]
            found.append(max(some / max(asked, 1e-9), 0.0))

    def table(self) -> Among:
        """Extra seconds of each operator among all, and the share of them among few."""
        extra = {
            name: float(np.median([full[name] for full in self._extra])) for name in self._every
        }
        share = np.maximum.accumulate([np.median(v) for v in self._shares.values()])
        return Among(
            extra_s=extra,
            other_s=float(np.median(list(extra.values()))),
            distinct=[*map(float, self._shares), float(len(extra))],
            share=[*(min(float(x), 1.0) for x in share), 1.0],
        )


_HEAVY = ("gelu", "rms_norm", "batch_norm", "group_norm", "conv2d_depthwise")
_LIGHT = [
    *(
        n
        for n in {
            **operators.ELEMENTWISE,
            **operators.ROWWISE,
            **operators.OTHERS,
            **operators.CONSTANT,
        }
        if n not in _HEAVY
    ),
    *(f"{n}.view" for n in operators.VIEWS),
    "linear",
    "linear.bias",
    "bmm",
    "attention",
]


def cycle(order: Mapping[str, Call], yardstick: Yardstick, cycles: int = 32) -> dict[str, float]:
    """Median seconds of each call where it stands in a cycle, over the cycles that nothing disturbed where there are any."""
    times, readings = visits(order, yardstick, cycles)
    settled = slice(cycles // 4, None)
    return dict(zip(order, middle(times[settled], readings[settled], yardstick), strict=True))


def visits(
    order: Mapping[str, Call], yardstick: Yardstick, cycles: int
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each call where it stands in a cycle, the clock's own taken off, float [cycles, calls], and the slowest reading around each, [cycles]."""
    clock = the_clock()
    rounds, readings = [], []
    for _ in range(cycles):
        reading = yardstick.begin()
        times = []
        for call in order.values():
            start = clock()
            call()
            times.append(clock() - start)
        start = clock()
        rounds.append([*times, clock() - start])
        readings.append(max(reading, yardstick()))
    found = np.array(rounds)
    return found[:, :-1] - np.median(found[:, -1]), np.array(readings)


def middle(times: np.ndarray, readings: np.ndarray, yardstick: Yardstick) -> np.ndarray:
    """Medians over the cycles that nothing disturbed, over all where there are none. times: [cycles, calls]; readings: [cycles]; float [calls]."""
    good = readings <= yardstick.limit_s
    kept: np.ndarray = np.median(times[good] if good.any() else times, axis=0)
    return kept
