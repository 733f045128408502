"""Price every setting and every dense rival on one device, at one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from condsim.cost.device import Target
from condsim.decide.frontier.settings import DENSE, Setting, quality_in
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.choose import strategies_on
from condsim.predict.dense import dense_step
from condsim.predict.prediction import AS_CAPTURED, Prediction
from condsim.predict.simulate import simulate
from condsim.runtimes import choose_runtime
from condsim.scenario import Scenario
from condsim.study.answer import measured_beside
from condsim.study.ranking import front
from condsim.trace import Trace

SETTING, OWN_DENSE, RIVAL = "setting", "dense", "rival"
"""What a point is: the model at a setting, its own dense network, a dense rival."""
OWN_DENSE_NAME = "dense network"
COLUMNS = [
    "profile", "kind", "batch", "point", "role", "setting", "value", "strategy", "quality", "loss",
    "loss_low", "loss_high", "equal", "latency_s", "speed", "low", "high", "measured_speed",
    "on_front", "error",
]  # fmt: skip
NINETY_PERCENT = 1.645
"""Standard errors on both sides of a mean within which it lies in 90 % of cases."""


@dataclass(frozen=True)
class Judge:
    """What quality is compared with.

    higher_is_better: of the quality. tolerance: relative loss up to which two are as good.
    reference: quality of each unit of the network that all are compared with; None for the dense
    network of each trace.
    """

    higher_is_better: bool
    tolerance: float
    reference: np.ndarray | None = None

    def of(self, quality: np.ndarray, dense: np.ndarray) -> dict[str, Any]:
        """Return the mean quality, the loss against the reference and its 90 % interval.

        The loss is relative, positive where quality is worse, over pairs of the same unit.
        quality, dense: of each unit, float [units].
        """
        against = dense if self.reference is None else self.reference
        units = min(len(quality), len(against))
        worse = against[:units] - quality[:units]
        if not self.higher_is_better:
            worse = -worse
        mean = abs(float(against[:units].mean())) or 1.0
        loss = float(worse.mean()) / mean
        error = float(worse.std()) / np.sqrt(units) / mean
        return {
            "quality": float(quality.mean()),
            "loss": loss,
            "loss_low": loss - NINETY_PERCENT * error,
            "loss_high": loss + NINETY_PERCENT * error,
            "equal": loss <= self.tolerance,
        }


@dataclass(frozen=True)
class Model:
    """What is priced: a model's settings, and the dense rivals beside it.

    trace: as captured. reference: name of the rival that speeds are over; None for the dense
    network of the model itself.
    """

    trace: Trace
    settings: Sequence[Setting]
    rivals: Mapping[str, Trace]
    judge: Judge
    reference: str | None = None


def points_on(
    model: Model, profile: HardwareProfile, batch: int | None, asked: Mapping[str, Any]
) -> pd.DataFrame:
    """Return a row a point: the model's settings, its dense network, and its rivals.

    speed: over the reference; low, high: its 90 % interval, of which that of a rival's seconds is
    left out. measured_speed: over the model's own dense network, where the setting was timed on
    the machine of the profile. equal: as good as the reference. on_front: no other point is both
    faster and better. error: why a point has no figures.
    asked: fields of a scenario beside the batch.
    """
    priced = [_Priced.of(setting, profile, batch, asked) for setting in model.settings]
    known = [each for each in priced if each.prediction is not None]
    about = {"profile": profile.name, "kind": profile.kind}
    rows = [about | each.row(model.judge) for each in priced]
    if known:
        prediction = known[0].known()
        rows.append(about | _dense_row(model, prediction))
        rows += [about | row for row in _rival_rows(model, profile, prediction)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    if model.reference is not None:
        table = _over(table, model.reference)
    return _with_front(table, model.judge.higher_is_better)


@dataclass(frozen=True)
class _Priced:
    """A setting on a device. prediction: under the fastest strategy; None with the reason why."""

    setting: Setting
    prediction: Prediction | None
    measured_speed: float | None = None
    error: str | None = None

    @classmethod
    def of(
        cls,
        setting: Setting,
        profile: HardwareProfile,
        batch: int | None,
        asked: Mapping[str, Any],
    ) -> _Priced:
        options = {**asked, "batch": batch, **setting.asked}
        strategy = options.pop("strategy", None)
        as_decided = "strategy" in setting.asked
        try:
            strategies = [strategy] if strategy else strategies_on(setting.trace, profile)
        except CondsimError as error:
            return cls(setting, None, error=str(error))
        best, why = _fastest(setting.trace, profile, strategies, options, as_decided)
        if best is None:
            return cls(setting, None, error=why)
        scenario = Scenario(best.strategy, **options)
        measured = measured_beside(setting.trace, profile, best, scenario)
        speed = None if measured is None else float(measured["measured_speedup"])
        return cls(setting, best, speed)

    def known(self) -> Prediction:
        """The prediction of a setting that has one."""
        assert self.prediction is not None
        return self.prediction

    def row(self, judge: Judge) -> dict[str, Any]:
        setting = self.setting
        row = {
            "point": setting.label,
            "role": SETTING,
            "setting": setting.name,
            "value": setting.value,
            **judge.of(setting.quality, setting.dense),
            "measured_speed": self.measured_speed,
            "error": self.error,
        }
        if self.prediction is None:
            return row
        p = self.prediction
        low, high = p.speedup_interval
        speeds = {"speed": p.speedup, "low": low, "high": high}
        return row | speeds | _of_step(p.batch, p.strategy, p.latency_s)


def _of_step(batch: int, strategy: str, latency_s: float) -> dict[str, Any]:
    return {"batch": batch, "strategy": strategy, "latency_s": latency_s}


def _fastest(
    trace: Trace,
    profile: HardwareProfile,
    strategies: Sequence[str],
    options: Mapping[str, Any],
    judged: bool,
) -> tuple[Prediction | None, str]:
    """The prediction under the fastest strategy that gives the model's own outputs; else why.

    judged: quality is that of the strategy's outputs, whatever they are.
    """
    best, why = None, "no strategy of the device gives the model's own outputs"
    for strategy in strategies:
        try:
            prediction = simulate(trace, profile, strategy, **options)
        except CondsimError as error:
            why = str(error)
            continue
        own = judged or prediction.outputs == AS_CAPTURED
        if own and (best is None or prediction.latency_s < best.latency_s):
            best = prediction
    return best, why


def _dense_row(model: Model, prediction: Prediction) -> dict[str, Any]:
    """The model's own dense network."""
    dense = model.settings[0].dense
    return {
        "point": OWN_DENSE_NAME,
        "role": OWN_DENSE,
        **model.judge.of(dense, dense),
        "speed": 1.0,
        "low": 1.0,
        "high": 1.0,
        **_of_step(prediction.batch, prediction.baseline, prediction.baseline_s),
    }


def _rival_rows(
    model: Model, profile: HardwareProfile, prediction: Prediction
) -> Iterator[dict[str, Any]]:
    """Dense rivals on the same device."""
    dense = model.settings[0].dense
    runtime = choose_runtime(prediction.runtime, profile)
    target = Target(profile, prediction.dtype, runtime)
    for name, rival in model.rivals.items():
        quality = quality_in(rival, DENSE)[: len(dense)]
        row = {"point": name, "role": RIVAL, **model.judge.of(quality, dense)}
        try:
            latency_s = _rival_s(model.trace, rival, target, prediction)
        except (CondsimError, KeyError) as error:
            yield {**row, "error": str(error)}
            continue
        speed = prediction.baseline_s / latency_s
        speeds = {"speed": speed, "low": speed, "high": speed}
        yield row | speeds | _of_step(prediction.batch, DENSE, latency_s)


def _rival_s(trace: Trace, rival: Trace, target: Target, prediction: Prediction) -> float:
    """Seconds of a step of a rival, as large as the model's first one of the phase."""
    steps = trace.steps[trace.steps["phase"] == prediction.phase]
    seq, past = int(steps["seq"].iloc[0]), int(steps["past"].iloc[0])
    return dense_step(rival, target, prediction.batch, seq, seq + past).latency_s


def _over(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The table with speeds over a rival instead of the model's own dense network.

    None of these was measured: nobody timed the two beside each other.
    """
    of_reference = table.loc[table["point"] == reference, "speed"]
    if of_reference.empty:
        return table
    factor = 1.0 / float(of_reference.iloc[0])
    over = table.copy()
    for column in ("speed", "low", "high"):
        over[column] = over[column].astype(float) * factor
    return over.assign(measured_speed=None)


def _with_front(table: pd.DataFrame, higher_is_better: bool) -> pd.DataFrame:
    """The table, which of whose points no other one beats."""
    known = table["latency_s"].notna().to_numpy()
    worse = table["quality"].to_numpy(float) * (-1.0 if higher_is_better else 1.0)
    on_front = np.zeros(len(table), bool)
    if known.any():
        on_front[known] = front(table["latency_s"].to_numpy(float)[known], worse[known])
    return table.assign(on_front=on_front)
