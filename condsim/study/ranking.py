"""Which device and strategy: one row a combination, the ones that nothing beats, and which rows may be compared at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import simulate
from condsim.strategies import BASELINES
from condsim.strategies.choose import able_on
from condsim.trace import Trace

ALIKE = ("trace", "baseline", "dtype", "phase", "batch")
"""What two rows must have in common for the quotient of their numbers to mean something."""


def cases(
    trace: Trace,
    profiles: Iterable[HardwareProfile],
    strategies: Iterable[str | None] | None = None,
    runtime: str | None = None,
) -> Iterator[tuple[HardwareProfile, str | None, str]]:
    """(device, strategy, why it cannot be) of each row of `every`. strategies: None = all that a device has; a None among them: as captured."""
    ways = None if strategies is None else list(strategies)
    for profile in profiles:
        try:
            yield from (
                (profile, way, "")
                for way in (able_on(trace, profile, runtime) if ways is None else ways)
            )
        except CondsimError as error:
            yield profile, "all", str(error)


def every(
    trace: Trace,
    profiles: Iterable[HardwareProfile],
    strategies: Iterable[str | None] | None = None,
    baseline: str = BASELINES[0],
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """A row for each device and strategy, as `Prediction.to_dict` with the device's class; one that cannot be is a row with class, profile, strategy, baseline
    and the reason in "error".

    strategies: None = all that a device has; a None among them: as captured. options: of `condsim.simulate`.
    """
    for profile, strategy, why in cases(trace, profiles, strategies, options.get("runtime")):
        name = {
            "class": profile.kind,
            "profile": profile.name,
            "strategy": strategy or "as captured",
            "baseline": baseline,
        }
        try:
            yield name | (
                {"error": why}
                if why
                else simulate(
                    trace, profile=profile, strategy=strategy, baseline=baseline, **options
                ).to_dict()
            )
        except CondsimError as error:
            yield name | {"error": str(error)}


def front(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points no other beats, where less is better in both (Pareto). x, y: float [n]. Returns bool [n]."""
    better = (
        (x[None] <= x[:, None])
        & (y[None] <= y[:, None])
        & ((x[None] < x[:, None]) | (y[None] < y[:, None]))
    )
    beaten: np.ndarray = np.any(better, axis=1)
    return ~beaten


def unlike(row: Mapping[Any, Any], reference: Mapping[Any, Any]) -> str:
    """Why two rows must not be compared: "bf16 against fp32"; empty where they may be."""
    return ", ".join(f"{row[c]} against {reference[c]}" for c in ALIKE if row[c] != reference[c])


def beside(table: pd.DataFrame, reference: int) -> pd.DataFrame:
    """The table with columns times_faster and times_energy against its row `reference`, NaN where rows are unlike, and why."""
    ref = table.iloc[reference].to_dict()
    why = [unlike(r, ref) for r in table.to_dict("records")]
    same = np.array([not w for w in why])
    faster = np.where(same, ref["latency_s"] / table["latency_s"], np.nan)
    energy = np.where(same, table["energy_j"] / ref["energy_j"], np.nan)
    return table.assign(times_faster=faster, times_energy=energy, not_comparable=why)
