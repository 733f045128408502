"""What serving says: both sides under the same requests, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from condsim.serve.outcome import Outcome
from condsim.serve.requests import Requests
from condsim.serve.service import Service

TOO_CLOSE = 0.02
"""Sides whose mean latency differs by less are called alike."""


@dataclass(frozen=True)
class Serving:
    """One model served on one kind of device, as it is and as its dense baselines.

    sides: "conditional", "same-params", "same-flops" → its outcome. baseline: what the verdict
    is over. notes: what the numbers rest on.
    """

    trace: str
    profile: str
    dtype: str
    runtime: str
    baseline: str
    kind: str
    service: Service
    requests: Requests
    sides: Mapping[str, Outcome]
    basis: str
    notes: tuple[str, ...] = ()

    @property
    def conditional(self) -> Outcome:
        """The model as it is."""
        return self.sides["conditional"]

    @property
    def dense(self) -> Outcome:
        """The baseline that the verdict is over."""
        return self.sides[self.baseline]

    @property
    def ttft_s(self) -> np.ndarray:
        """Time to first token of the conditional side, float [n]."""
        return self.conditional.ttft_s

    @property
    def time_per_output_token_s(self) -> np.ndarray:
        """Seconds a token of the conditional side after the first, float [n]."""
        return self.conditional.time_per_output_token_s

    @property
    def steps(self) -> pd.DataFrame:
        """A row a step of the conditional side, the first ones."""
        return self.conditional.steps_table()

    @property
    def speedup(self) -> float:
        """Mean latency of the baseline over that of the conditional side."""
        ours, theirs = self.conditional.numbers, self.dense.numbers
        return theirs["latency_s mean"] / ours["latency_s mean"]

    @property
    def verdict(self) -> str:
        """ "pays", "does not pay" or "makes no difference", under this load."""
        if abs(self.speedup - 1) < TOO_CLOSE:
            return "makes no difference"
        return "pays" if self.speedup > 1 else "does not pay"

    def table(self) -> pd.DataFrame:
        """Return a row a number, a column a side."""
        return pd.DataFrame({name: side.numbers for name, side in self.sides.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in SI units, for JSON."""
        return {
            "trace": self.trace,
            "profile": self.profile,
            "dtype": self.dtype,
            "runtime": self.runtime,
            "requests": len(self.requests),
            "rate": self.requests.rate,
            "service": self.service.arguments(),
            "baseline": self.baseline,
            "verdict": self.verdict,
            "speedup": self.speedup,
            "basis": self.basis,
            "notes": list(self.notes),
            "sides": {name: side.to_dict() for name, side in self.sides.items()},
        }
