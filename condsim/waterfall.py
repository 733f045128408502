"""Where the FLOP saving went: a chain of counterfactual worlds, each a legal simulation of both sides.

Factor i is the speedup in world i over the speedup in the world before, so that their product is the predicted speedup exactly.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

WORLDS = ("flops", "executed", "router", "gather", "weight_traffic", "efficiency", "imbalance", "quantisation", "launch", "communication")
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
        rows.append({
            "world": world,
            "meaning": MEANING[world],
            "factor": 1.0 if idle else speedup / before,
            "speedup": before if idle else speedup,
            "alone": speedup if first else 1.0 if idle else (ideal_b + b) / (ideal_c + c) / (ideal_b / ideal_c),
            "without": _except(baseline, world) / _except(conditional, world) if not first else speedup_of_all / speedup,
            "conditional_s": c,
            "baseline_s": b,
        })  # fmt: skip
        before = before if idle else speedup
    return pd.DataFrame(rows)


def _except(side: Deltas, world: str) -> float:
    return sum(seconds for name, seconds in side.items() if name != world)
