"""How far off a calibration was on modules that it had not seen, right after it was made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from condsim.hardware.quantity import Model, Positive
from condsim.untrusted import Name

COVERED = 0.9
"""Share of the cases that keep within `Errors.covering`."""
BUSY = 0.5
"""Share of disturbed timings above which the machine was busy with something else."""

Ratio = Annotated[float, Field(gt=1e-6, lt=1e6, allow_inf_nan=False)]


class CheckedCase(Model):
    """A built-in module that was predicted and timed.

    module: its name. batch: units a step. protocol: what ran between two runs of a step.
    measured_s: seconds of a step of the conditional side.
    latency, baseline, speedup: predicted / measured, of the conditional side, of the dense one and
    of their quotient.
    """

    module: Name
    batch: int = Field(ge=1)
    protocol: Name
    measured_s: Positive
    latency: Ratio
    baseline: Ratio
    speedup: Ratio


class SelfCheck(Model):
    """What a calibration said of built-in modules, beside what they took on this machine.

    disturbed: share of the timings during which a yardstick found the machine disturbed.
    """

    cases: list[CheckedCase] = Field(min_length=1)
    disturbed: float = Field(ge=0, le=1, allow_inf_nan=False)

    @property
    def busy(self) -> bool:
        """Whether the machine was busy with something else."""
        return self.disturbed > BUSY

    def of(self, protocol: str) -> list[CheckedCase]:
        """Return the cases of a protocol, all where it was not checked."""
        alike = [case for case in self.cases if case.protocol == protocol]
        return alike or self.cases

    def alike(self, protocol: str, latency_s: float) -> list[CheckedCase]:
        """Return the half of a protocol's cases whose steps are nearest in length to one of
        `latency_s`: a short step is mostly dispatch, a long one mostly arithmetic."""
        cases = self.of(protocol)
        away = [abs(math.log(case.measured_s / latency_s)) for case in cases]
        nearest = np.argsort(away, kind="stable")[: -(-len(cases) // 2)]
        return [cases[number] for number in nearest]

    def modules(self) -> dict[str, list[CheckedCase]]:
        """Return module → its cases."""
        found: dict[str, list[CheckedCase]] = {}
        for case in self.cases:
            found.setdefault(case.module, []).append(case)
        return found

    def figures(self) -> dict[str, dict[str, float]]:
        """Return "latency" and "speedup" → median, covering and worst error of all cases."""
        latency, speedup = Errors.of_latency(self.cases), Errors.of_speedup(self.cases)
        return {"latency": asdict(latency), "speedup": asdict(speedup)}


@dataclass(frozen=True)
class Errors:
    """How far off some cases are: by a factor of 1 + error, in either direction.

    covering: nine of ten keep within it.
    """

    median: float
    covering: float
    worst: float

    @classmethod
    def of_latency(cls, cases: Iterable[CheckedCase]) -> Errors:
        """Return how far off the latencies of both sides are."""
        return cls._of([ratio for case in cases for ratio in (case.latency, case.baseline)])

    @classmethod
    def of_speedup(cls, cases: Iterable[CheckedCase]) -> Errors:
        """Return how far off the speedups are."""
        return cls._of([case.speedup for case in cases])

    @classmethod
    def _of(cls, ratios: Sequence[float]) -> Errors:
        """Errors from predicted / measured."""
        off = np.abs(np.log(ratios))
        quantiles = np.expm1(np.quantile(off, (0.5, COVERED, 1.0)))
        return cls(*(float(f"{error:.3g}") for error in quantiles))
