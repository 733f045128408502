"""Predict the built-in modules on a profile that was just calibrated, and time them.

They are captured, timed and compared as any user's model is, in this process. A calibration never
sees them, so what it says of them is as far off as what it says of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch

from condsim.capture import Labels, capture_trace
from condsim.hardware import UNDISTURBED, CheckedCase, HardwareProfile, SelfCheck
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.measure.plan import Plan
from condsim.measure.protocol import measure_cases
from condsim.protocols import LOOP, REPEAT
from condsim.self_check.modules import MODULES, BuiltIn
from condsim.study.compare import compare
from condsim.timing.cases import Progress, no_progress
from condsim.trace import Trace

PROTOCOLS = (REPEAT, LOOP)
"""Both time one step again and again, so a few inputs are enough."""
BATCHES = (1, None)
"""One unit a step, where dispatch is most of the time, and the captured batch."""
PAIRS, STEPS = {REPEAT: 12, LOOP: 4}, 2
PATIENCE_S = 0.3
BASELINE = "same-params"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class AsCaptured(LiveModel):
    """A model of which only what is timed is recorded: as it is written, and dense."""

    def assignments(self) -> list[dict[str, str]]:
        return [self.captured, dict.fromkeys(self.captured, BASELINE)]


def check(profile: HardwareProfile, progress: Progress = no_progress) -> SelfCheck:
    """Return how far off a calibrated profile is on each built-in module.

    profile: of this machine. progress: called with what is done, and the share of it.
    """
    tables = []
    disturbed = []
    for number, (name, make) in enumerate(MODULES.items()):
        progress("self-check", number / len(MODULES))
        trace = timed(make(), name, profile)
        tables.append(compare(trace))
        limit_s = UNDISTURBED * (profile.yardstick_s or float("inf"))
        disturbed.append(trace.measurements["yardstick_s"] > limit_s)
    cases = list(_cases(pd.concat(tables)))
    return SelfCheck(cases=cases, disturbed=float(pd.concat(disturbed).mean()))


def timed(built: BuiltIn, name: str, profile: HardwareProfile) -> Trace:
    """Return the trace of a built-in module with its measurements, and the profile."""
    dtype = DTYPES[profile.dtype]
    model = built.model.to(dtype).eval()
    batches = as_batches([batch.to(dtype) for batch in built.inputs], sequence_axis=None)
    live = AsCaptured.of(model)
    trace = capture_trace(live, batches, Labels(name=name))
    for protocol in PROTOCOLS:
        plan = Plan(
            batch_sizes=BATCHES,
            baselines=(BASELINE,),
            protocol=protocol.name,
            pairs=PAIRS[protocol],
            steps=STEPS,
            yardstick_s=profile.yardstick_s,
            patience_s=PATIENCE_S,
            threads=profile.threads,
        )
        measured = measure_cases(trace, live, batches, plan)
        table = measured.table(process=0, yardstick_ratio=1.0)
        trace = trace.with_measurements(table, profile)
    return trace


def _cases(table: pd.DataFrame) -> Iterator[CheckedCase]:
    """Yield the cases of a table of `condsim.compare`."""
    for row in table.to_dict("records"):
        yield CheckedCase(
            module=row["trace"],
            batch=row["batch"],
            protocol=row["protocol"],
            measured_s=_rounded(row["measured_latency_s"]),
            latency=_ratio(row, "latency_s"),
            baseline=_ratio(row, "baseline_s"),
            speedup=_ratio(row, "speedup"),
        )


def _ratio(row: dict[Any, Any], what: str) -> float:
    """Return predicted / measured."""
    return _rounded(row[f"predicted_{what}"] / row[f"measured_{what}"])


def _rounded(value: float) -> float:
    """Return a number to four digits, which is more than it is worth."""
    return float(f"{value:.4g}")
