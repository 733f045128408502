"""What an operator costs more among other operators than alone.

Timed alone, an operator finds its code and its branches predicted; in a model it follows others and does not: two to four times the dispatch
(measured on a server CPU with speculation mitigations). So all operators, tiny, are run in turn in a few fixed orders that repeat, as a model's
forward repeats; each is timed where it stands. How much of it appears when only a few different operators follow each other is measured too: a plain
stack of two kinds pays almost nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from condsim.calibrate import operators
from condsim.calibrate.timing import Call, Pool, sample
from condsim.hardware import Among

ELEMENTS, LENGTH = 256, 16


class Empty(nn.Module):
    """A module that does nothing."""

    def forward(self, x: Any) -> Any:
        return x


def calls(pool: Pool) -> dict[str, Call]:
    """Every operator at a tiny size, and a module that does nothing."""
    built = {**operators.ELEMENTWISE, **operators.ROWWISE, **operators.OTHERS, **operators.CONSTANT}
    found: dict[str, Call] = {name: build(pool, ELEMENTS, LENGTH) for name, build in built.items()}
    found |= {f"{name}.view": view for name, view in operators.VIEWS.items()}
    x, w, q = pool(4, 64), pool(64, 64), pool(1, 2, 8, 8)
    module = Empty()
    return found | {
        "linear": partial(F.linear, x, w),
        "linear.bias": partial(F.linear, x, w, pool(64)),
        "mm": partial(torch.mm, x, w),
        "bmm": partial(torch.bmm, pool(4, 8, 8), pool(4, 8, 8)),
        "matmul": partial(torch.matmul, q, q),
        "attention": partial(F.scaled_dot_product_attention, q, q, q),
        "conv2d": partial(F.conv2d, pool(1, 8, 4, 4), pool(8, 8, 3, 3), pool(8)),
        "conv2d_depthwise": partial(F.conv2d, pool(1, 8, 4, 4), pool(8, 1, 3, 3), pool(8), 1, 1, 1, 8),
        "grouped_mm": partial(F.grouped_mm, x, pool(2, 64, 64), offs=torch.tensor([2, 4], dtype=torch.int32)),
        "module_call": partial(module, x),
        "module_forward": partial(module.forward, x),
    }


DISTINCT = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def among(pool: Pool, rounds: int, draws: int = 120) -> Among:
    """Extra seconds of each operator among all, and the share of them among few. Must run under inference mode.

    rounds: each times every operator alone, in a few orders of all, and in cycles of a few drawn at random (draws operators a size), so that noise
    hits all alike.
    """
    every = calls(pool)
    names = list(every)
    extra: dict[str, list[float]] = {name: [] for name in names}
    shares: dict[int, list[float]] = {count: [] for count in DISTINCT if count < len(names)}
    for r in range(rounds):
        alone = {name: min(sample(call) for _ in range(2)) for name, call in every.items()}
        seen: dict[str, list[float]] = {name: [] for name in names}
        for seed in range(3):
            order = random.Random(10 * r + seed).sample(names, len(names))
            for name, t in _cycle({n: every[n] for n in order}).items():
                seen[name].append(t)
        full = {name: max(float(np.median(seen[name])) - alone[name], 0.0) for name in names}
        for name in names:
            extra[name].append(full[name])
        for count, found in shares.items():
            some = asked = 0.0
            for draw in range(max(2, draws // count)):
                order = random.Random(1000 * r + draw).sample(_LIGHT, count)
                for name, t in _cycle({n: every[n] for n in order}, 24).items():
                    some, asked = some + t - alone[name], asked + full[name]
            found.append(max(some / max(asked, 1e-9), 0.0))
    values = {name: float(np.median(v)) for name, v in extra.items()}
    values["module_call"] = max(values["module_call"] - values.pop("module_forward"), 0.0)
    share = np.maximum.accumulate([np.median(v) for v in shares.values()])
    return Among(
        extra_s=values,
        other_s=float(np.median(list(values.values()))),
        distinct=[*map(float, shares), float(len(names))],
        share=[*(min(float(x), 1.0) for x in share), 1.0],
    )


_HEAVY = ("gelu", "rms_norm", "batch_norm", "group_norm", "conv2d_depthwise", "module_forward")
_LIGHT = [
    *(n for n in {**operators.ELEMENTWISE, **operators.ROWWISE, **operators.OTHERS, **operators.CONSTANT} if n not in _HEAVY),
    *(f"{n}.view" for n in operators.VIEWS), "linear", "linear.bias", "bmm", "attention", "module_call",
]  # fmt: skip


def _cycle(order: Mapping[str, Call], cycles: int = 32) -> dict[str, float]:
    """Median seconds of each call where it stands in a cycle, the clock's own taken off."""
    clock = time.perf_counter
    got: dict[str, list[float]] = {name: [] for name in order}
    nothing = []
    for _ in range(cycles):
        for name, call in order.items():
            start = clock()
            call()
            got[name].append(clock() - start)
        start = clock()
        nothing.append(clock() - start)
    own = float(np.median(nothing))
    return {name: float(np.median(times[cycles // 4 :])) - own for name, times in got.items()}
