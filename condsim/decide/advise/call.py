"""The call: does it pay, does it not, is it too close to call, or can nobody say?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from condsim.predict.prediction import Prediction
from condsim.predict.verdict import CANNOT_SAY, verdict_of
from condsim.study.answer import Answer

MOST_EXTRAPOLATED = 0.5
"""Share of the time that may rest on sizes outside of what was measured."""
LEAST_PROCESSES = 2
"""Fresh processes that a measurement has, whose spread is its interval."""
MEASURED = "measured"
GB = 1e9


@dataclass(frozen=True)
class Call:
    """A verdict. basis: "measured", or the prediction's word. low, high: the interval that decides,
    of the speedup. reason: why nothing can be said; empty where something can."""

    verdict: str
    speedup: float
    low: float
    high: float
    threshold: float
    basis: str
    reason: str = ""

    @property
    def definite(self) -> bool:
        """Whether it says that it pays, or that it does not."""
        return self.verdict not in (CANNOT_SAY, "too close to call")


def call(answer: Answer, threshold: float = 1.0) -> Call:
    """Return the verdict on an answer: by an interval against the threshold, never by a point.

    What was measured of the same question on the same device outranks what is predicted, where it
    was measured in several processes on a quiet machine.
    """
    measured = answer.measured
    prediction = answer.prediction
    if measured is not None and _decides(answer):
        interval = measured["measured_low"], measured["measured_high"]
        verdict = verdict_of(interval, threshold)
        return Call(verdict, measured["measured_speedup"], *interval, threshold, MEASURED)
    interval = prediction.speedup_interval
    reason = "; ".join(_reasons(prediction))
    verdict = CANNOT_SAY if reason else verdict_of(interval, threshold)
    of = prediction.speedup, *interval
    return Call(verdict, *of, threshold, prediction.basis, reason)


def _decides(answer: Answer) -> bool:
    """Whether a measurement outranks the prediction."""
    measured = answer.measured
    assert measured is not None
    same_question = measured["protocol"] == answer.prediction.protocol
    quiet = not measured["noisy"]
    return same_question and quiet and measured["processes"] >= LEAST_PROCESSES


def _reasons(prediction: Prediction) -> Iterator[str]:
    """Why nothing can be said."""
    memory = prediction.memory
    if not memory.fits:
        needed = f"{memory.needed_bytes / GB:.3g} GB"
        ways = ", ".join(memory.ways_out)
        yield (
            f"it needs {needed} of memory and {prediction.profile} has "
            f"{memory.device_bytes / GB:.3g} GB; what would make it fit: {ways}"
        )
    extrapolated = prediction.estimated.get("extrapolated", 0.0)
    if extrapolated > MOST_EXTRAPOLATED:
        yield (
            f"{extrapolated:.0%} of its time rests on sizes outside of what {prediction.profile} "
            "was calibrated for: condsim calibrate --full"
        )
