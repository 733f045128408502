"""Where the FLOP saving went: a chain of counterfactual worlds, each a legal simulation of both sides.

Factor i is the speedup in world i over the speedup in the world before, so that their product is the predicted speedup exactly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

WORLDS = (
    "flops",
    "executed",
    "router",
    "gather",
    "weight_traffic",
    "efficiency",
    "imbalance",
    "quantisation",
    "launch",
    "communication",
)
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

Deltas = Mapping[str, float]  # world → seconds that it adds to a side, "flops" first


def waterfall(conditional: Deltas, baseline: Deltas) -> pd.DataFrame:
    """Both sides' seconds by world → the chain.

    Returns a row a world: world, meaning, factor, speedup (cumulative), alone (factor of this effect on the ideal device), without (speedup if this effect
    did not exist), conditional_s and baseline_s (what it adds).
    """
    rows = []
    speedup_of_all = sum(baseline.values()) / sum(conditional.values())
    ideal_c, ideal_b = conditional["flops"], baseline["flops"]
    at_c = at_b = 0.0
    before = 1.0
    for world in WORLDS:
        c, b = conditional.get(world, 0.0), baseline.get(world, 0.0)
        at_c, at_b = at_c + c, at_b + b
        speedup = at_b / at_c
        idle = c == 0 and b == 0  # the effect does not apply: exactly 1
        first = world == "flops"
        rows.append(
            {
                "world": world,
                "meaning": MEANING[world],
                "factor": 1.0 if idle else speedup / before,
                "speedup": before if idle else speedup,
                "alone": speedup
                if first
                else 1.0
                if idle
                else (ideal_b + b) / (ideal_c + c) / (ideal_b / ideal_c),
                "without": _except(baseline, world) / _except(conditional, world)
                if not first
                else speedup_of_all / speedup,
                "conditional_s": c,
                "baseline_s": b,
            }
        )
        before = before if idle else speedup
    return pd.DataFrame(rows)


def bars(
    chain: pd.DataFrame,
    predicted: float,
    interval: tuple[float, float],
    measured: float | None = None,
) -> pd.DataFrame:
    """The waterfall as it is drawn: a row a bar, from `start` to `end` (speedups; totals start at 1x, the dense baseline).

    chain: of `waterfall`. interval: of the prediction. measured: a last bar, None for none. kind: total, gain, loss, none (does not apply) or measured.
    """
    before, rows = 1.0, []
    for row in chain.to_dict("records"):
        after, factor = row["speedup"], row["factor"]
        first = row["world"] == WORLDS[0]
        kind = "total" if first else "none" if factor == 1.0 else "loss" if factor < 1 else "gain"
        label = f"{after:.2f}x" if first else "x1" if factor == 1.0 else f"x{factor:.2f}"
        rows.append(
            {
                "effect": row["world"],
                "start": 1.0 if first else before,
                "end": after,
                "label": label,
                "kind": kind,
                "meaning": row["meaning"],
            }
        )
        before = after
    low, high = interval
    rows.append(
        {
            "effect": "predicted",
            "start": 1.0,
            "end": predicted,
            "label": f"{predicted:.2f}x",
            "kind": "total",
            "meaning": "90 % interval",
            "low": low,
            "high": high,
        }
    )
    if measured is not None:
        rows.append(
            {
                "effect": "measured",
                "start": 1.0,
                "end": measured,
                "label": f"{measured:.2f}x",
                "kind": "measured",
                "meaning": "on this device",
            }
        )
    return pd.DataFrame(rows)


def switched_off(chain: pd.DataFrame, off: Collection[str]) -> pd.DataFrame:
    """The chain of a world in which some effects do not exist, on either side. chain: of `waterfall`. off: names of worlds, "flops" not among them."""
    sides = (
        {r["world"]: 0.0 if r["world"] in off else r[f"{side}_s"] for r in chain.to_dict("records")}
        for side in ("conditional", "baseline")
    )
    return waterfall(*sides)


def losses(chain: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """The effects that cost most: rows of a waterfall whose factor is below 1, the smallest factor first."""
    lost = chain[(chain["world"] != WORLDS[0]) & (chain["factor"] < 1)]
    return lost.sort_values("factor").head(most)


def _except(side: Deltas, world: str) -> float:
    return sum(seconds for name, seconds in side.items() if name != world)
