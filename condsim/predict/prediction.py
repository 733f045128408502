"""What a simulation says, with its interval, its basis and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from condsim.predict.gate import answering, checked_peaks, checked_waterfall
from condsim.predict.intervals import Sources
from condsim.predict.memory import Memory
from condsim.predict.training_memory import memory_waterfall
from condsim.predict.verdict import verdict_of
from condsim.predict.waterfall import losses

NO_MEMORY = Memory(0, 0, 0, 0.0)
PERCENTILES = (50, 95, 99)
AS_CAPTURED = "as captured"
"""The outputs of a strategy that computes what the model does."""

PLAIN_FIELDS = (
    "trace", "mechanism", "strategy", "runtime", "dtype", "weights", "caches", "phase", "batch",
    "baseline", "profile", "protocol", "basis", "speedup", "speedup_interval", "verdict",
    "latency_s", "latency_interval",
    "baseline_s", "energy_j", "baseline_energy_j", "peak_bytes", "baseline_peak_bytes",
    "flops_ratio", "executed_flops", "baseline_flops", "main_loss", "graphs", "prepare_s", "notes",
    "outputs",
)  # fmt: skip


@dataclass(frozen=True)
class StepSeconds:
    """Seconds of both sides.

    numbers: of the steps in the trace, int [steps]. conditional, baseline: of each, float [steps].
    """

    numbers: np.ndarray
    conditional: np.ndarray
    baseline: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def table(self) -> pd.DataFrame:
        """Return a row a step: step, conditional_s, baseline_s."""
        columns = {
            "step": self.numbers,
            "conditional_s": self.conditional,
            "baseline_s": self.baseline,
        }
        return pd.DataFrame(columns)


@dataclass(frozen=True)
class Later:
    """What a prediction computes when it is asked for.

    memory: of the conditional model and of the baseline. waterfall, timeline, segments, devices:
    tables. sources: what the seconds rest on; None where that is not known.
    """

    memory: Callable[[], tuple[Memory, Memory]] = lambda: (NO_MEMORY, NO_MEMORY)
    waterfall: Callable[[], pd.DataFrame] = pd.DataFrame
    timeline: Callable[[], pd.DataFrame] = pd.DataFrame
    segments: Callable[[], pd.DataFrame] = pd.DataFrame
    devices: Callable[[], pd.DataFrame] = pd.DataFrame
    sources: Callable[[], Sources | None] = lambda: None


@dataclass(frozen=True)
class Prediction:
    """One configuration: one forward of one batch, the mean over the trace's steps.

    Every number is finite, and above 0 where 0 would mean nothing (`condsim.predict.gate`).

    protocol: what runs between two runs of a step, name in `condsim.protocols`.
    speedup: Σ baseline / Σ conditional seconds over the steps. speedup_interval: 90 %.
    estimated: basis word → share of the conditional time that rests on it.
    of_steps: seconds of each step; `steps` is their table.
    rivals: speedups as others would estimate them.
    graphs: how many graphs a device of prepared graphs compiles for all steps.
    prepare_s: how long it compiles them, once; in no other number.
    weights: dtype of the weights of layers' products. caches: of keys and values that are kept.
    outputs: how the strategy's outputs differ from the model's, "as captured" where they do not.
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
    protocol: str
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
    of_steps: StepSeconds
    rivals: Mapping[str, float]
    notes: tuple[str, ...] = ()
    graphs: int = 0
    prepare_s: float = 0.0
    basis: str = "calibrated"
    outputs: str = AS_CAPTURED
    weights: str = ""
    caches: str = ""
    later: Later = field(default_factory=Later, repr=False, compare=False)

    @property
    def verdict(self) -> str:
        """ "faster", "slower" or "too close to call", by the speedup's interval."""
        return verdict_of(self.speedup_interval)

    @property
    def main_loss(self) -> str:
        """The world of the waterfall that took most of the FLOP saving; "" where none took any."""
        worst = losses(self.waterfall, 1)
        return str(worst["world"].iloc[0]) if len(worst) else ""

    @cached_property
    def steps(self) -> pd.DataFrame:
        """A row a step: its number, conditional_s, baseline_s."""
        return self.of_steps.table()

    @cached_property
    def memories(self) -> tuple[Memory, Memory]:
        """(conditional, baseline): weights + the largest sum of live tensors, and the device's."""
        with answering(self.trace, self.profile):
            memories = self.later.memory()
            checked_peaks(self, (memories[0].needed_bytes, memories[1].needed_bytes))
            return memories

    @property
    def memory(self) -> Memory:
        """What the conditional model needs, and what the device has."""
        return self.memories[0]

    @property
    def peak_bytes(self) -> int:
        return self.memories[0].needed_bytes

    @property
    def baseline_peak_bytes(self) -> int:
        return self.memories[1].needed_bytes

    @cached_property
    def memory_waterfall(self) -> pd.DataFrame:
        """A row a part of a training step's memory, dense beside conditional, in bytes
        (`condsim.predict.training_memory`); empty for any other step."""
        conditional, dense = (memory.training for memory in self.memories)
        if conditional is None or dense is None:
            return pd.DataFrame()
        return memory_waterfall(conditional, dense)

    @cached_property
    def waterfall(self) -> pd.DataFrame:
        """A row a world (`condsim.predict.waterfall`)."""
        with answering(self.trace, self.profile):
            return checked_waterfall(self, self.later.waterfall())

    @cached_property
    def timeline(self) -> pd.DataFrame:
        """A row a kernel of one step, both sides (`condsim.predict.timeline`)."""
        return self.later.timeline()

    @cached_property
    def segments(self) -> pd.DataFrame:
        """Seconds by side, segment and operator, which sum up to the latency.

        Raises CondsimError on a device that is not a CPU.
        """
        return self.later.segments()

    @cached_property
    def devices(self) -> pd.DataFrame:
        """A row a rank, where the model is spread over several: units, rows and tokens of a step,
        seconds, seconds that it waits for slower ones, peak bytes. Empty on one device."""
        return self.later.devices()

    @cached_property
    def sources(self) -> Sources | None:
        """What the seconds of both sides rest on, and how far each may be off; None where that is
        not known, as where a model is spread over devices."""
        return self.later.sources()

    @property
    def bases(self) -> dict[str, str]:
        """What each number rests on: measured, calibrated, sourced, estimated or extrapolated.

        `estimated` says how much of the time rests on another word.
        """
        of_time = dict.fromkeys(("speedup", "latency_s", "peak_bytes"), self.basis)
        return {**of_time, "energy_j": "estimated"}

    def percentile(self, q: float, side: str = "conditional_s") -> float:
        """Return the latency of a step at percentile q (0 to 100), seconds.

        side: conditional_s or baseline_s.
        """
        return float(np.percentile(self.steps[side], q))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in SI units, for JSON."""
        plain = {name: getattr(self, name) for name in PLAIN_FIELDS}
        for q in PERCENTILES:
            plain[f"latency_p{q}_s"] = self.percentile(q)
        plain["bases"] = self.bases
        plain["estimated"] = dict(self.estimated)
        plain["rivals"] = dict(self.rivals)
        plain["memory"] = self.memory.to_dict()
        plain["waterfall"] = self.waterfall.to_dict(orient="records")
        if len(self.memory_waterfall):
            plain["memory_waterfall"] = self.memory_waterfall.to_dict(orient="records")
        plain["steps"] = len(self.of_steps)
        if len(self.devices):
            plain["devices"] = self.devices.to_dict(orient="records")
        return plain
