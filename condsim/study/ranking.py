"""Which device and strategy: a row a combination, which may be compared, and which are best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.choose import strategies_on
from condsim.predict.simulate import simulate
from condsim.strategies import BASELINES
from condsim.trace import Trace

COMMON = ("trace", "baseline", "dtype", "phase", "batch", "protocol", "runtime", "outputs")
"""What two rows must have in common for the quotient of their numbers to mean something. Two
devices must run the same strategy too; on one device strategies are what is compared."""


@dataclass(frozen=True)
class Candidate:
    """A device and a strategy to predict.

    strategy: None = as captured. refusal: why the device runs the trace with no strategy at all,
    empty where it does.
    """

    profile: HardwareProfile
    strategy: str | None
    refusal: str = ""

    def named(self) -> dict[str, str]:
        """What a row calls it."""
        strategy = self.strategy or "as captured"
        return {
            "class": self.profile.kind,
            "profile": self.profile.name,
            "strategy": strategy,
        }


def candidates(
    trace: Trace,
    profiles: Iterable[HardwareProfile],
    strategies: Iterable[str | None] | None = None,
    runtime: str | None = None,
) -> Iterator[Candidate]:
    """What `predict_all` predicts, one candidate a row.

    strategies: None = all that a device has; a None among them: as captured.
    """
    named = None if strategies is None else list(strategies)
    for profile in profiles:
        if named is not None:
            for strategy in named:
                yield Candidate(profile, strategy)
            continue
        try:
            trace.require_programs()
            able = strategies_on(trace, profile, runtime)
        except CondsimError as error:
            yield Candidate(profile, "all", str(error))
            continue
        for strategy in able:
            yield Candidate(profile, strategy)


def predict_all(
    trace: Trace,
    profiles: Iterable[HardwareProfile],
    strategies: Iterable[str | None] | None = None,
    baseline: str = BASELINES[0],
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Predict each device with each strategy, one row at a time.

    A row is `Prediction.to_dict` with the device's class. A combination that cannot be predicted is
    a row with class, profile, strategy, baseline and the reason in "error".

    strategies: None = all that a device has; a None among them: as captured.
    options: of `condsim.simulate`.
    """
    for candidate in candidates(trace, profiles, strategies, options.get("runtime")):
        row = {**candidate.named(), "baseline": baseline}
        yield row | _predict_or_refuse(trace, candidate, baseline, options)


def _predict_or_refuse(
    trace: Trace, candidate: Candidate, baseline: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    if candidate.refusal:
        return {"error": candidate.refusal}
    try:
        prediction = simulate(
            trace, candidate.profile, candidate.strategy, baseline=baseline, **options
        )
        return prediction.to_dict()
    except CondsimError as error:
        return {"error": str(error)}


def front(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points no other point beats, bool [n]: the Pareto front.

    x, y: float [n]; less is better in both. A point beats another one if it is not worse in either
    and better in one.
    """
    x_of_others, y_of_others = x[None, :], y[None, :]
    x_of_each, y_of_each = x[:, None], y[:, None]
    not_worse = (x_of_others <= x_of_each) & (y_of_others <= y_of_each)
    better = (x_of_others < x_of_each) | (y_of_others < y_of_each)
    beaten: np.ndarray = np.any(not_worse & better, axis=1)
    return ~beaten


def why_not_comparable(row: Mapping[Any, Any], reference: Mapping[Any, Any]) -> str:
    """Why two rows must not be compared: "bf16 against fp32"; empty where they may be."""
    columns = list(COMMON)
    if row.get("profile") != reference.get("profile"):
        columns.append("strategy")
    reasons = []
    for column in columns:
        own, other = row.get(column), reference.get(column)
        if own != other:
            what = "outputs " if column == "outputs" else ""
            reasons.append(f"{what}{own} against {other}")
    return ", ".join(reasons)


def most_comparable(table: pd.DataFrame) -> int:
    """The number of the row that most rows may be compared with; the first of equals.

    table: of `predict_all`.
    """
    rows = table.to_dict("records")
    comparable = []
    for reference in rows:
        reasons = [why_not_comparable(row, reference) for row in rows]
        comparable.append(reasons.count(""))
    return int(np.argmax(comparable))


def beside(table: pd.DataFrame, reference: int) -> pd.DataFrame:
    """Set every row beside one of them. table: of `predict_all`. reference: the number of that row.

    Returns the table with the columns times_faster and times_energy, NaN where two rows are not
    comparable, and not_comparable, which says why.
    """
    reference_row = table.iloc[reference].to_dict()
    rows = table.to_dict("records")
    reasons = [why_not_comparable(row, reference_row) for row in rows]
    comparable = np.array([reason == "" for reason in reasons])
    times_faster = reference_row["latency_s"] / table["latency_s"]
    times_energy = table["energy_j"] / reference_row["energy_j"]
    return table.assign(
        times_faster=np.where(comparable, times_faster, np.nan),
        times_energy=np.where(comparable, times_energy, np.nan),
        not_comparable=reasons,
    )
