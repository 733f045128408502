"""The answer to one question, "does it pay here?": what the command line, the dashboard and a report all show, so that their numbers cannot differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from condsim.hardware import HardwareProfile
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import simulate, the_profile
from condsim.strategies import BASELINES
from condsim.study.compare import compare
from condsim.trace import Trace

CASE = ("strategy", "baseline", "phase", "batch", "runtime")


@dataclass(frozen=True)
class Answer:
    """prediction: over the chosen baseline. speedups: over every baseline. measured: the same case as it was timed, None where it was not."""

    prediction: Prediction
    speedups: Mapping[str, float]
    measured: Mapping[str, Any] | None

    @property
    def measured_speedup(self) -> float | None:
        return None if self.measured is None else float(self.measured["measured_speedup"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values in SI units, for JSON."""
        return {
            **self.prediction.to_dict(),
            "speedups": dict(self.speedups),
            "measured": None if self.measured is None else dict(self.measured),
        }

    def table(self) -> pd.DataFrame:
        """A row a number: what, conditional, baseline (NaN where it has none), basis."""
        p, m = self.prediction, self.measured
        word = p.bases
        rows: list[tuple[str, float, float | None, str]] = [
            (f"speedup over {p.baseline}", p.speedup, None, word["speedup"]),
            ("speedup, 5th percentile", p.speedup_interval[0], None, word["speedup"]),
            ("speedup, 95th percentile", p.speedup_interval[1], None, word["speedup"]),
            *(
                (f"speedup over {b}", s, None, word["speedup"])
                for b, s in self.speedups.items()
                if b != p.baseline
            ),
            ("latency_s", p.latency_s, p.baseline_s, word["latency_s"]),
            *(
                (
                    f"latency_p{q}_s",
                    p.percentile(q),
                    p.percentile(q, "baseline_s"),
                    word["latency_s"],
                )
                for q in (50, 99)
            ),
            ("energy_j", p.energy_j, p.baseline_energy_j, word["energy_j"]),
            ("peak_bytes", p.peak_bytes, p.baseline_peak_bytes, word["peak_bytes"]),
            ("flops_ratio", p.flops_ratio, None, "measured"),
        ]
        if m is not None:
            rows += [
                ("measured_speedup", m["measured_speedup"], None, m["basis"]),
                (
                    "predicted_speedup of the measured steps",
                    m["predicted_speedup"],
                    None,
                    word["speedup"],
                ),
                (
                    "measured_latency_s",
                    m["measured_latency_s"],
                    m["measured_baseline_s"],
                    m["basis"],
                ),
            ]
        return pd.DataFrame(rows, columns=["number", "conditional", "baseline", "basis"])


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
    device = the_profile(trace, profile)
    prediction = simulate(trace, device, strategy, baseline=baseline, **options)
    speedups = {baseline: prediction.speedup}
    for other in BASELINES:
        if other != baseline:
            speedups[other] = simulate(trace, device, strategy, baseline=other, **options).speedup
    return Answer(prediction, speedups, measured_beside(trace, device, prediction))


def measured_beside(
    trace: Trace, profile: HardwareProfile, prediction: Prediction
) -> dict[str, Any] | None:
    """What was measured of the same case on the machine of the profile, None where nothing was.

    Its own prediction is of exactly the measured steps.
    """
    same = trace.measurements
    for column in CASE:
        same = same[same[column] == getattr(prediction, column)]
    if same.empty:
        return None
    stream = same[same["protocol"] == "stream"]
    same = same if stream.empty else stream
    table = compare([replace(trace, measurements=same)], profile=profile)
    table = table[table["same_machine"].astype(bool)]
    if table.empty:
        return None
    row = table.iloc[0]
    numbers = (
        "measured_speedup",
        "measured_low",
        "measured_high",
        "measured_latency_s",
        "measured_baseline_s",
        "predicted_speedup",
        "error",
    )
    found: dict[str, Any] = {
        "protocol": str(row["protocol"]),
        **{k: float(row[k]) for k in numbers},
    }
    return found | {"pairs": int(row["pairs"]), "noisy": bool(row["noisy"]), "basis": "measured"}
