"""A dense model on a device: what a conditional one is fairly compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.cost_model import device_model
from condsim.cost.device import Target
from condsim.predict.memory import Memory, memory_of
from condsim.predict.walk import Way
from condsim.program.regime import Regime
from condsim.runtimes.caches import cached
from condsim.runtimes.quantised import quantised
from condsim.steps.extents import Steps
from condsim.strategies import DENSE
from condsim.trace import Trace


@dataclass(frozen=True)
class Stored:
    """Dtypes of what a step reads: weights, and caches; None for that of the arithmetic."""

    weights: str | None = None
    caches: str | None = None


@dataclass(frozen=True)
class DenseStep:
    """One step of a dense model. latency_s: seconds."""

    name: str
    latency_s: float
    memory: Memory


@dataclass(frozen=True)
class Rival:
    """A dense model beside a conditional one.

    why: it is a fair comparison. step: what it costs. speedup: of the conditional model over it.
    """

    name: str
    why: str
    step: DenseStep
    speedup: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "why": self.why,
            "speedup": self.speedup,
            "latency_s": self.step.latency_s,
            "memory": self.step.memory.to_dict(),
        }


def dense_step(
    trace: Trace, target: Target, batch: int, seq: int, total: int, stored: Stored = Stored()
) -> DenseStep:
    """Predict a step of a dense model.

    trace: its programs (`condsim.capture.on_meta`). batch: sequences. seq: positions of each.
    total: positions that attention sees. stored: dtypes of weights and caches.
    Raises CondsimError where the trace has no program for such a step.
    """
    phase = "decode" if seq < total else "prefill"
    program = trace.programs[f"{DENSE}/{Regime.of_batch(phase, batch)}"]
    units, positions, seen = np.array([batch]), np.array([seq]), np.array([total])
    steps = Steps.rectangular(units, positions, seen, {}, trace.header.windows)
    runs = target.runtime.fused(program)
    if stored.weights is not None:
        runs = quantised(runs, stored.weights, ())
    if stored.caches is not None:
        runs = cached(runs, stored.caches)
    way = Way(runs, {}, {}, device_model(target))
    side = way.side(steps)
    return DenseStep(trace.name, float(side.clocked_s[0]), memory_of(side.lowered, target))
