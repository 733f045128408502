"""Prediction: what a simulation says, with its interval, its basis and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from condsim.predict.waterfall import losses

DRAWS = 200
SHARED = 0.5  # share of a table's error variance that both sides have in common
CONFORMAL = {"eager": 1.6, "compiled": 6.5}
"""How many times as wide as their tables' uncertainties say intervals on a calibrated profile are, eager and in a CPU's compiled graphs: the split-conformal
factors of the development halves, of three runs of `make accuracy` together and of the compiled run (each run prints its own, and how many cases of the check
half are then inside: `docs/accuracy.md`)."""


@dataclass(frozen=True)
class Prediction:
    """One configuration: one forward of one batch, the mean over the trace's steps.

    speedup = Σ baseline / Σ conditional over the steps. speedup_interval: 90 %. verdict: faster, slower or too close to call.
    estimated: basis word → share of the conditional time that rests on it. peak_bytes: weights + the largest sum of live tensors.
    steps: a row a step (conditional_s, baseline_s). waterfall: a row a world. timeline: a row a kernel of one step, both sides. graphs: how many a
    device of prepared graphs compiles for all steps, and prepare_s how long that takes, once, which is in no other number.
    """

    trace: str
    mechanism: str
    strategy: str
    runtime: str
    dtype: str
    phase: str
    batch: int
    baseline: str
    profile: str
    speedup: float
    latency_s: float
    baseline_s: float
    energy_j: float
    baseline_energy_j: float
    flops_ratio: float
    executed_flops: float
    baseline_flops: float
    speedup_interval: tuple[float, float]
    latency_interval: tuple[float, float]
    estimated: Mapping[str, float]
    steps: pd.DataFrame
    rivals: Mapping[str, float]
    notes: tuple[str, ...] = ()
    graphs: int = 0
    prepare_s: float = 0.0
    basis: str = "calibrated"
    _peaks: Callable[[], tuple[int, int]] = field(default=lambda: (0, 0), repr=False, compare=False)
    _waterfall: Callable[[], pd.DataFrame] = field(default=pd.DataFrame, repr=False, compare=False)
    _timeline: Callable[[], pd.DataFrame] = field(default=pd.DataFrame, repr=False, compare=False)
    _segments: Callable[[], pd.DataFrame] = field(default=pd.DataFrame, repr=False, compare=False)

    @property
    def verdict(self) -> str:
        low, high = self.speedup_interval
        return "faster" if low > 1 else "slower" if high < 1 else "too close to call"

    @property
    def main_loss(self) -> str:
        """The world of the waterfall that took most of the FLOP saving; "" where none took any."""
        worst = losses(self.waterfall, 1)
        return str(worst["world"].iloc[0]) if len(worst) else ""

    @cached_property
    def peaks(self) -> tuple[int, int]:
        """(conditional, baseline) peak bytes."""
        return self._peaks()

    @property
    def peak_bytes(self) -> int:
        return self.peaks[0]

    @property
    def baseline_peak_bytes(self) -> int:
        return self.peaks[1]

    @cached_property
    def waterfall(self) -> pd.DataFrame:
        return self._waterfall()

    @cached_property
    def timeline(self) -> pd.DataFrame:
        return self._timeline()

    @cached_property
    def segments(self) -> pd.DataFrame:
        """Seconds by side, segment and operator (`condsim.predict.segments`); they sum up to the latency. Raises CondsimError on what is not a CPU."""
        return self._segments()

    @property
    def bases(self) -> dict[str, str]:
        """What each number rests on, one of measured, calibrated, sourced, estimated, extrapolated. `estimated` says how much of the time is another word."""
        return {
            "speedup": self.basis,
            "latency_s": self.basis,
            "energy_j": "estimated",
            "peak_bytes": self.basis,
        }

    def percentile(self, q: float, side: str = "conditional_s") -> float:
        """Latency of a step at percentile q (0 ... 100), seconds. side: conditional_s or baseline_s."""
        return float(np.percentile(self.steps[side], q))

    def to_dict(self) -> dict[str, Any]:
        """Plain values in SI units, for JSON."""
        plain = {
            k: getattr(self, k)
            for k in (
                "trace",
                "mechanism",
                "strategy",
                "runtime",
                "dtype",
                "phase",
                "batch",
                "baseline",
                "profile",
                "basis",
                "speedup",
                "speedup_interval",
                "verdict",
                "latency_s",
                "latency_interval",
                "baseline_s",
                "energy_j",
                "baseline_energy_j",
                "peak_bytes",
                "baseline_peak_bytes",
                "flops_ratio",
                "executed_flops",
                "baseline_flops",
                "main_loss",
                "graphs",
                "prepare_s",
                "notes",
            )
        }
        plain |= {f"latency_p{q}_s": self.percentile(q) for q in (50, 95, 99)}
        plain["bases"] = self.bases
        plain["estimated"] = dict(self.estimated)
        plain["rivals"] = dict(self.rivals)
        plain["waterfall"] = self.waterfall.to_dict(orient="records")
        plain["steps"] = len(self.steps)
        return plain


def intervals(
    conditional: Mapping[str, float],
    baseline: Mapping[str, float],
    uncertainty: Mapping[str, float],
    miss: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0)),
    factor: float = 1.0,
    seed: int = 0,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """90 % intervals of (speedup, conditional latency) from DRAWS seeded draws.

    conditional, baseline: seconds by what they rest on (a table, a host cost). uncertainty: relative standard deviation of each. Half of its variance is common
    to both sides (the machine differs from the calibrated one), half is not (the shapes differ). miss: (seconds, standard deviation) of evicted weights, of the
    conditional side and of the baseline; what is near 0 may well be more, so it is drawn as a sum and not as a factor, and is never negative. factor: how many
    times as wide (`CONFORMAL`).
    """
    names = sorted(set(conditional) | set(baseline))
    u = factor * np.array([uncertainty[n] for n in names])
    rng = np.random.default_rng(seed)
    shared, own_c, own_b = rng.standard_normal((3, DRAWS, len(names) + 1))
    a, b = math.sqrt(SHARED), math.sqrt(1 - SHARED)
    c, d = (
        np.exp(u * z[:, :-1]) @ np.array([side.get(n, 0.0) for n in names])
        + np.maximum(seconds + factor * deviation * z[:, -1], 0.0)
        for side, z, (seconds, deviation) in (
            (conditional, a * shared + b * own_c, miss[0]),
            (baseline, a * shared + b * own_b, miss[1]),
        )
    )
    speedup, latency = np.percentile(d / c, (5, 95)), np.percentile(c, (5, 95))
    return (float(speedup[0]), float(speedup[1])), (float(latency[0]), float(latency[1]))
