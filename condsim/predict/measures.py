"""What the seconds and joules of both sides say: speedup, latency, energy of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from condsim.predict.prediction import StepSeconds


class PricedSide(Protocol):
    """One side of a question, priced: seconds of each step, and joules of a step."""

    @property
    def seconds(self) -> np.ndarray:
        """Of each step, float [steps]."""

    @property
    def energy_j(self) -> float:
        """Of a step, the mean over all."""


@dataclass(frozen=True)
class Measures:
    """What is said of the seconds and joules of both sides.

    numbers: of the steps, int [steps].
    """

    numbers: np.ndarray
    conditional: PricedSide
    baseline: PricedSide

    @property
    def speedup(self) -> float:
        """Seconds of the baseline over those of the conditional side, of all steps."""
        return float(self.baseline.seconds.sum() / self.conditional.seconds.sum())

    @property
    def latency_s(self) -> float:
        """Seconds of a step of the conditional side, the mean over all."""
        return float(self.conditional.seconds.mean())

    def fields(self) -> dict[str, Any]:
        """Return the fields of a `Prediction` that say how long and how dear a step is."""
        seconds, dense_seconds = self.conditional.seconds, self.baseline.seconds
        return {
            "speedup": self.speedup,
            "latency_s": self.latency_s,
            "baseline_s": float(dense_seconds.mean()),
            "energy_j": self.conditional.energy_j,
            "baseline_energy_j": self.baseline.energy_j,
            "of_steps": StepSeconds(self.numbers, seconds, dense_seconds),
        }
