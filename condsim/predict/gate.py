"""The one gate on the way out: an answer that is not a finite number above 0 is an error."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.predict.prediction import Prediction

ABOVE_ZERO = ("speedup", "latency_s", "baseline_s", "flops_ratio", "baseline_flops", "energy_j")
"""Fields of a prediction; also `baseline_energy_j`, both ends of intervals, and every step."""
NOT_BELOW_ZERO = ("executed_flops", "prepare_s", "graphs")
"""A model may execute no product at all, and a device may prepare nothing."""


@contextlib.contextmanager
def answering(trace: str, profile: str) -> Iterator[None]:
    """Turn arithmetic that has no result into a CondsimError; NumPy says nothing meanwhile.

    trace, profile: their names, for the error.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except ArithmeticError as error:
        raise _refusal(trace, profile, f"it has no result ({error})") from error


def checked(prediction: Prediction) -> Prediction:
    """Return a prediction. Raises CondsimError where it is none: NaN, infinite, or not above 0."""
    p = prediction
    numbers = {name: getattr(p, name) for name in (*ABOVE_ZERO, "baseline_energy_j")}
    for name in ("speedup_interval", "latency_interval"):
        numbers[f"low end of {name}"], numbers[f"high end of {name}"] = getattr(p, name)
    numbers |= {f"rivals.{name}": value for name, value in p.rivals.items()}
    numbers["least conditional_s of a step"] = float(p.of_steps.conditional.min())
    numbers["least baseline_s of a step"] = float(p.of_steps.baseline.min())
    for name, value in numbers.items():
        _check(p, name, value, zero=False)
    for name in NOT_BELOW_ZERO:
        _check(p, name, getattr(p, name), zero=True)
    for name, share in p.estimated.items():
        _check(p, f"share that is {name}", share, zero=True)
    return p


def checked_peaks(prediction: Prediction, peaks: tuple[int, int]) -> tuple[int, int]:
    """Return (conditional, baseline) peak bytes. Raises CondsimError where one is below 0."""
    for name, value in zip(("peak_bytes", "baseline_peak_bytes"), peaks, strict=True):
        _check(prediction, name, value, zero=True)
    return peaks


def checked_waterfall(prediction: Prediction, chain: pd.DataFrame) -> pd.DataFrame:
    """Return a waterfall. Raises CondsimError where a factor or a speedup is not above 0."""
    for column in ("factor", "speedup", "alone", "without"):
        by_world: Mapping[str, float] = dict(zip(chain["world"], chain[column], strict=True))
        for world, value in by_world.items():
            _check(prediction, f"{column} of {world}", value, zero=False)
    return chain


def _check(prediction: Prediction, name: str, value: float, zero: bool) -> None:
    if math.isfinite(value) and (value > 0 or (zero and value == 0)):
        return
    said = f"{name} would be {value:.3g}"
    raise _refusal(prediction.trace, prediction.profile, said)


def _refusal(trace: str, profile: str, said: str) -> CondsimError:
    return CondsimError(
        f"trace {trace!r} on {profile!r} has no answer: {said}; the numbers in one of the two are "
        "out of range"
    )
