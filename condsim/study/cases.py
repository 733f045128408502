"""A measured case: what tells it from others, and the prediction of exactly what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from condsim.hardware import HardwareProfile
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import simulate
from condsim.trace import DTYPES, Trace


@dataclass(frozen=True)
class Case:
    """What all rows of one case have in common, in the columns of `Trace.measurements`.

    dtype: as torch names it. fingerprint: of the machine, JSON.
    """

    strategy: str
    baseline: str
    phase: str
    batch: int
    protocol: str
    runtime: str
    dtype: str
    threads: int
    fingerprint: str

    def measured_on(self, device: HardwareProfile) -> bool:
        """Whether the case ran on the machine that a profile describes, in the dtype that is
        predicted."""
        predicted = self.dtype_on(device) or device.dtype
        if DTYPES.get(self.dtype, self.dtype) != predicted:
            return False
        if device.fingerprint is None:
            return False
        measured: dict[str, str | int] = json.loads(self.fingerprint)
        return measured == dict(device.fingerprint)

    def dtype_on(self, device: HardwareProfile) -> str | None:
        """The dtype that the case ran in, by a GPU's name for it.

        None, which stands for the profile's usual one, for a dtype that the GPU does not have and
        for other classes of devices.
        """
        dtype = DTYPES.get(self.dtype)
        if device.gpu is None or dtype not in device.peak_flops:
            return None
        return dtype

    def predict(self, trace: Trace, device: HardwareProfile, measured: pd.DataFrame) -> Prediction:
        """The prediction of the measured steps. measured: rows with a column `step`."""
        steps = sorted(int(step) for step in measured["step"].unique())
        return simulate(
            trace,
            device,
            strategy=self.strategy,
            batch=int(self.batch),
            baseline=self.baseline,
            dtype=self.dtype_on(device),
            runtime=self.runtime,
            phase=self.phase,
            protocol=self.protocol,
            steps=steps,
        )


CASE = [field.name for field in fields(Case)]


def taken_from(prediction: Prediction, names: Sequence[str]) -> dict[str, Any]:
    """Fields of a prediction, by name."""
    return {name: getattr(prediction, name) for name in names}


def measured_cases(rows: pd.DataFrame) -> Iterator[tuple[Case, pd.DataFrame]]:
    """Each case with its rows, in measured order. rows: of `Trace.measurements` or `segments`."""
    for values, group in rows.groupby(CASE, sort=False):
        case: dict[str, Any] = dict(zip(CASE, values, strict=True))
        yield Case(**case), group


def was_measured_on(trace: Trace, device: HardwareProfile) -> bool:
    """Whether a trace holds a case that ran on the machine of a profile."""
    return any(case.measured_on(device) for case, _ in measured_cases(trace.measurements))
