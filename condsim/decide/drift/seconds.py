"""Drift in seconds: what the routing of two traces costs, and whether a decision flips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from condsim.decide.subject import TraceSubject
from condsim.decide.sweep.run import sweep
from condsim.hardware import HardwareProfile
from condsim.predict.choose import strategies_on
from condsim.trace import Trace

COLUMNS = [
    "strategy", "latency_a_s", "latency_b_s", "change", "speedup_a", "speedup_b", "low_a", "high_a",
    "low_b", "high_b", "verdict_a", "verdict_b", "flips", "error",
]  # fmt: skip


def seconds_table(
    one: Trace, other: Trace, profile: HardwareProfile, **scenario: Any
) -> pd.DataFrame:
    """Return what both traces cost, a row a strategy: the named one, or all that the device has.

    latency: of a step in seconds. change: of the latency, relative to the first trace. speedup,
    low, high, verdict: over the baseline. flips: whether the verdict is another one. error: why a
    strategy has no figures. scenario: fields of `condsim.Scenario`.
    """
    strategies = [scenario.pop("strategy")] if "strategy" in scenario else _strategies(one, profile)
    over = {"strategy": strategies}
    tables = [sweep(TraceSubject(trace), over, profile, **scenario) for trace in (one, other)]
    a, b = (table.set_index("strategy").loc[strategies].reset_index() for table in tables)
    table = pd.DataFrame({"strategy": strategies})
    for name, of_trace in (("a", a), ("b", b)):
        table[f"latency_{name}_s"] = of_trace["latency_s"]
        for column in ("speedup", "low", "high", "verdict"):
            table[f"{column}_{name}"] = of_trace[column]
    table["change"] = table["latency_b_s"] / table["latency_a_s"] - 1
    table["error"] = a["error"].fillna(b["error"])
    known = table["error"].isna()
    table["flips"] = known & (table["verdict_a"] != table["verdict_b"])
    return table[COLUMNS]


def _strategies(trace: Trace, profile: HardwareProfile) -> list[str]:
    return strategies_on(trace, profile)


def best(table: pd.DataFrame, which: str) -> str | None:
    """Return the strategy of least latency under a trace, "a" or "b"; None where none runs."""
    latency = table[f"latency_{which}_s"].to_numpy(float)
    if np.isnan(latency).all():
        return None
    return str(table["strategy"].iloc[int(np.nanargmin(latency))])
