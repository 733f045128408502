"""The answer to one question: does it pay here?

The command line, the dashboard and a report all show an `Answer`, so that their numbers cannot
differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from condsim.hardware import HardwareProfile
from condsim.predict.dense import Rival
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import resolve_profile, simulate
from condsim.scenario import Scenario
from condsim.strategies import BASELINES
from condsim.study.compare import compare
from condsim.trace import DTYPES, Trace

SAME_CASE = ("strategy", "baseline", "phase", "batch", "runtime")
"""What a measurement and a prediction have in common where they speak of the same case, beside the
dtype and what the machine's fingerprint says (its threads among it)."""
AS_CAPTURED = ("capacity_factor", "expert_cache", "parallel")
"""Fields of a scenario that no measurement varies."""
MEASURED = (
    "measured_speedup",
    "measured_low",
    "measured_high",
    "measured_latency_s",
    "measured_baseline_s",
    "predicted_speedup",
    "error",
)
PERCENTILES = (50, 99)


@dataclass(frozen=True)
class Answer:
    """What was predicted and measured of one scenario.

    prediction: over the chosen baseline. speedups: over every baseline. measured: the same case as
    it was timed (`measured_beside`), None where it was not. profile: of the device.
    rivals: dense models that it is fairly compared with, on the same device.
    """

    prediction: Prediction
    speedups: Mapping[str, float]
    measured: Mapping[str, Any] | None
    profile: HardwareProfile
    rivals: tuple[Rival, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values in SI units, for JSON."""
        return {
            **self.prediction.to_dict(),
            "speedups": dict(self.speedups),
            "measured": None if self.measured is None else dict(self.measured),
            "dense_rivals": [rival.to_dict() for rival in self.rivals],
        }

    def table(self) -> pd.DataFrame:
        """A row a number: its name, conditional, baseline (NaN where there is none), basis."""
        rows = [*self._predicted_rows(), *self._measured_rows()]
        return pd.DataFrame(rows, columns=["number", "conditional", "baseline", "basis"])

    def _predicted_rows(self) -> Iterator[tuple[str, float, float | None, str]]:
        p = self.prediction
        basis = p.bases
        low, high = p.speedup_interval
        yield f"speedup over {p.baseline}", p.speedup, None, basis["speedup"]
        yield "speedup, 5th percentile", low, None, basis["speedup"]
        yield "speedup, 95th percentile", high, None, basis["speedup"]
        for baseline, speedup in self.speedups.items():
            if baseline != p.baseline:
                yield f"speedup over {baseline}", speedup, None, basis["speedup"]
        yield "latency_s", p.latency_s, p.baseline_s, basis["latency_s"]
        for q in PERCENTILES:
            baseline_s = p.percentile(q, "baseline_s")
            yield f"latency_p{q}_s", p.percentile(q), baseline_s, basis["latency_s"]
        yield "energy_j", p.energy_j, p.baseline_energy_j, basis["energy_j"]
        yield "peak_bytes", p.peak_bytes, p.baseline_peak_bytes, basis["peak_bytes"]
        yield "flops_ratio", p.flops_ratio, None, "measured"

    def _measured_rows(self) -> Iterator[tuple[str, float, float | None, str]]:
        m = self.measured
        if m is None:
            return
        predicted = m["predicted_speedup"]
        basis = self.prediction.bases["speedup"]
        yield "measured_speedup", m["measured_speedup"], None, m["basis"]
        yield "predicted_speedup of the measured steps", predicted, None, basis
        yield "measured_latency_s", m["measured_latency_s"], m["measured_baseline_s"], m["basis"]


def answer(
    trace: Trace,
    profile: HardwareProfile | str | None = None,
    strategy: str | None = None,
    baseline: str = BASELINES[0],
    **options: Any,
) -> Answer:
    """Simulate one configuration against every baseline, and look up what was measured of it.

    options: of `condsim.simulate`. Raises CondsimError as it does.
    """
    device = resolve_profile(trace, profile)
    prediction = simulate(trace, device, strategy, baseline=baseline, **options)
    speedups = {baseline: prediction.speedup}
    for other in BASELINES:
        if other != baseline:
            over_other = simulate(trace, device, strategy, baseline=other, **options)
            speedups[other] = over_other.speedup
    scenario = Scenario(strategy, baseline=baseline, **options)
    measured = measured_beside(trace, device, prediction, scenario)
    return Answer(prediction, speedups, measured, device)


def measured_beside(
    trace: Trace,
    profile: HardwareProfile,
    prediction: Prediction,
    scenario: Scenario = Scenario(),  # noqa: B008 (it is frozen)
) -> dict[str, Any] | None:
    """What was measured of the scenario of a prediction, on the machine of the profile.

    scenario: what was asked. None where nothing was measured of it. What was measured by the
    prediction's own protocol counts before what was by others. The predicted_speedup and error that
    are returned are of exactly the measured steps, by the protocol that is returned.
    """
    if not _decides_as_captured(trace, scenario):
        return None
    measurements = trace.measurements
    for column in SAME_CASE:
        same = measurements[column] == getattr(prediction, column)
        measurements = measurements[same]
    dtypes = measurements["dtype"].replace(DTYPES)
    measurements = measurements[dtypes == prediction.dtype]
    if scenario.steps is not None:
        measurements = measurements[measurements["step"].isin(scenario.steps)]
    if measurements.empty:
        return None
    same_question = measurements["protocol"] == prediction.protocol
    if same_question.any():
        measurements = measurements[same_question]
    with_these = replace(trace, measurements=measurements)
    compared = compare(with_these, profile=profile)
    same_machine = compared[compared["same_machine"].astype(bool)]
    if same_machine.empty:
        return None
    row = same_machine.iloc[0]
    numbers: dict[str, Any] = {name: float(row[name]) for name in MEASURED}
    return {
        "protocol": str(row["protocol"]),
        **numbers,
        "pairs": int(row["pairs"]),
        "processes": int(row["processes"]),
        "noisy": bool(row["noisy"]),
        "basis": "measured",
    }


def _decides_as_captured(trace: Trace, scenario: Scenario) -> bool:
    """Whether rows go where they went when the trace was captured, as they do in a measurement."""
    threshold = scenario.threshold
    captured_at = set(trace.header.thresholds.values())
    if threshold is not None and captured_at != {threshold}:
        return False
    usual = Scenario()
    return all(getattr(scenario, name) == getattr(usual, name) for name in AS_CAPTURED)
