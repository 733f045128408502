"""The verdict goes by the interval, measured rows outrank predictions, and misfits are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import condsim
from condsim.decide.advise.call import call
from condsim.predict.memory import Memory
from condsim.predict.prediction import Later
from condsim.study.answer import Answer
from condsim.trace import Trace

MEASURED = {
    "protocol": "stream",
    "measured_speedup": 0.9,
    "measured_low": 0.85,
    "measured_high": 0.95,
    "noisy": False,
    "processes": 3,
}


@pytest.fixture(scope="module")
def answered(exits: Trace) -> Answer:
    prediction = condsim.simulate(exits, "raspberry-pi-5")
    return Answer(
        prediction, {"same-params": prediction.speedup}, None, condsim.hardware("raspberry-pi-5")
    )


def with_interval(answer: Answer, interval: tuple[float, float], **changes: Any) -> Answer:
    prediction = replace(answer.prediction, speedup_interval=interval, **changes)
    return replace(answer, prediction=prediction)


@pytest.mark.parametrize(
    ("interval", "threshold", "verdict"),
    [
        ((1.1, 1.5), 1.0, "faster"),
        ((0.9, 1.5), 1.0, "too close to call"),
        ((0.5, 0.9), 1.0, "slower"),
        ((1.1, 1.5), 1.2, "too close to call"),
        ((1.1, 1.15), 1.2, "slower"),
    ],
)
def test_the_interval_decides(
    answered: Answer, interval: tuple[float, float], threshold: float, verdict: str
) -> None:
    assert call(with_interval(answered, interval), threshold).verdict == verdict


def test_a_measurement_of_the_same_question_outranks(answered: Answer) -> None:
    predicted_to_pay = with_interval(answered, (1.1, 1.5))
    said = call(replace(predicted_to_pay, measured=MEASURED))
    assert (said.verdict, said.basis, said.low) == ("slower", "measured", 0.85)


@pytest.mark.parametrize("change", [{"noisy": True}, {"processes": 1}, {"protocol": "repeat"}])
def test_a_doubtful_or_other_measurement_does_not(
    answered: Answer, change: dict[str, object]
) -> None:
    predicted_to_pay = with_interval(answered, (1.1, 1.5))
    said = call(replace(predicted_to_pay, measured=MEASURED | change))
    assert (said.verdict, said.basis) == ("faster", answered.prediction.basis)


def test_what_does_not_fit_cannot_be_said(answered: Answer) -> None:
    needs = Memory(20_000_000_000, 0, 0, 8e9)
    said = call(with_interval(answered, (1.1, 1.5), later=Later(memory=lambda: (needs, needs))))
    assert said.verdict == "cannot say"
    assert "20 GB" in said.reason
    assert "3 such devices" in said.reason


def test_what_is_mostly_extrapolated_cannot_be_said(answered: Answer) -> None:
    shares = {"extrapolated": 0.6, "calibrated": 0.4}
    said = call(with_interval(answered, (1.1, 1.5), estimated=shares))
    assert said.verdict == "cannot say"
    assert "60%" in said.reason
