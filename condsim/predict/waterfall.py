"""Where the FLOP saving went: a chain of counterfactual worlds, each a legal simulation.

Factor i is the speedup in world i over the speedup in the world before, so that their product is
the predicted speedup exactly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from typing import Any

import pandas as pd

from condsim.protocols import PROTOCOLS

LOSS = 0.995
"""The factor of the least loss that is spoken of: any nearer to 1 is shown as 1."""
MEANING = {
    "flops": "FLOP ratio on an ideal device",
    "executed": "padding, masks, drops",
    "router": "FLOPs of gates, heads and tests",
    "gather": "gather, scatter and elementwise traffic",
    "weight_traffic": "weights that were evicted",
    "efficiency": "matmul at balanced rows",
    "imbalance": "the rows as they are",
    "quantisation": "tiles, waves, partitions",
    "launch": "dispatch and synchronisation",
    "communication": "between devices",
}
"""World → what it adds, in the order of the chain."""

STACKED_GRADIENTS = "stacked_gradients"
IN_TRAINING = {STACKED_GRADIENTS: "gradients as large as all experts, for each of them"}
"""World → what it adds, for those that training steps may have, after `gather`."""

WORLDS = tuple(MEANING)
IDEAL = WORLDS[0]
IMBALANCE = "imbalance"
SPARED = ("weight_traffic", "efficiency")
"""Worlds of which uneven rows may spare some seconds, where they are cheaper than even ones."""

Deltas = Mapping[str, float]
"""World → seconds that it adds to a side."""


def waterfall(conditional: Deltas, baseline: Deltas) -> pd.DataFrame:
    """Return the chain from the seconds that each world adds to both sides.

    A row a world: world, meaning, factor, speedup (cumulative), alone (factor of the effect on the
    ideal device), without (speedup if the effect did not exist), conditional_s and baseline_s
    (what it adds).
    """
    predicted = sum(baseline.values()) / sum(conditional.values())
    ideal = baseline[IDEAL] / conditional[IDEAL]
    so_far_c = so_far_b = 0.0
    before = 1.0
    rows = []
    meaning = _meaning(conditional, baseline)
    for world in meaning:
        c = conditional.get(world, 0.0)
        b = baseline.get(world, 0.0)
        so_far_c += c
        so_far_b += b
        speedup, factor, alone = before, 1.0, 1.0  # exactly, where the effect does not apply
        if c != 0 or b != 0:
            speedup = so_far_b / so_far_c
            factor = speedup / before
            pair = {IDEAL, world}
            alone = _seconds(baseline, pair) / _seconds(conditional, pair) / ideal
        if world == IDEAL:
            alone = speedup
            without = predicted / speedup
        else:
            others = {other for other in meaning if other != world}
            without = _seconds(baseline, others) / _seconds(conditional, others)
        row: dict[str, Any] = {"world": world, "meaning": meaning[world]}
        row |= {"factor": factor, "speedup": speedup, "alone": alone, "without": without}
        row |= {"conditional_s": c, "baseline_s": b}
        rows.append(row)
        before = speedup
    return pd.DataFrame(rows)


def _meaning(conditional: Deltas, baseline: Deltas) -> dict[str, str]:
    """World → what it adds, in the order of the chain; worlds of training where there are any."""
    meaning = {}
    for world, adds in MEANING.items():
        meaning[world] = adds
        if world == "gather":
            for more, of_training in IN_TRAINING.items():
                if conditional.get(more) or baseline.get(more):
                    meaning[more] = of_training
    return meaning


def bars(
    chain: pd.DataFrame,
    predicted: float,
    interval: tuple[float, float] | None,
    measured: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return the waterfall as it is drawn: a row a bar, from `start` to `end` (speedups).

    Totals start at 1x, the dense baseline. chain: of `waterfall`. interval: of the prediction, None
    where it has none.
    measured: of `condsim.study.answer.measured_beside`, a last bar; None for none.
    kind: total, gain, loss, none (does not apply), measured.
    """
    rows: list[dict[str, Any]] = []
    before = 1.0
    for world in chain.to_dict("records"):
        rows.append(_bar(world, before))
        before = world["speedup"]
    total = {"effect": "predicted", "start": 1.0, "end": predicted, "kind": "total"}
    low, high = (None, None) if interval is None else interval
    total |= {"label": f"{predicted:.2f}x", "low": low, "high": high}
    rows.append(total | {"meaning": "no interval" if interval is None else "90 % interval"})
    if measured is not None:
        speedup = measured["measured_speedup"]
        last = {"effect": "measured", "start": 1.0, "end": speedup, "kind": "measured"}
        meaning = f"on this device, {PROTOCOLS[measured['protocol']].says}"
        rows.append(last | {"label": f"{speedup:.2f}x", "meaning": meaning})
    return pd.DataFrame(rows).astype({"low": float, "high": float})


def _bar(world: Mapping[Any, Any], before: float) -> dict[str, Any]:
    factor, speedup = world["factor"], world["speedup"]
    bar = {"effect": world["world"], "meaning": world["meaning"], "end": speedup}
    if world["world"] == IDEAL:
        return bar | {"start": 1.0, "label": f"{speedup:.2f}x", "kind": "total"}
    if factor == 1.0:
        return bar | {"start": before, "label": "x1", "kind": "none"}
    kind = "loss" if factor < 1 else "gain"
    return bar | {"start": before, "label": f"x{factor:.2f}", "kind": kind}


def switched_off(chain: pd.DataFrame, off: Collection[str]) -> pd.DataFrame:
    """Return the chain of a world in which some effects do not exist, on either side.

    chain: of `waterfall`. off: names of worlds, "flops" not among them.
    """
    sides = []
    for name in ("conditional_s", "baseline_s"):
        side = dict(zip(chain["world"], chain[name], strict=True))
        on = set(side) - set(off)
        seconds = {world: side[world] if world in on else 0.0 for world in side}
        if IMBALANCE in on:
            seconds[IMBALANCE] += _not_spared(side, on)
        sides.append(seconds)
    conditional, baseline = sides
    return waterfall(conditional, baseline)


def losses(chain: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """Return the effects that cost most: rows of a waterfall that lose at least half a percent, the
    smallest factor first."""
    is_effect = chain["world"] != IDEAL
    loses = chain["factor"] < LOSS
    lost = chain[is_effect & loses]
    return lost.sort_values("factor").head(most)


def _seconds(side: Deltas, worlds: Set[str]) -> float:
    """The seconds of a side if there were only the effects of some worlds."""
    seconds = sum(added for world, added in side.items() if world in worlds)
    return seconds + _not_spared(side, worlds) if IMBALANCE in worlds else seconds


def _not_spared(side: Deltas, worlds: Set[str]) -> float:
    """The seconds that uneven rows spare a side, but not where there are only some worlds: what
    products do not lose there cannot be spared."""
    spared = max(-side.get(IMBALANCE, 0.0), 0.0)
    absent = [side.get(world, 0.0) for world in SPARED if world not in worlds]
    return min(spared, max(sum(absent), 0.0))
