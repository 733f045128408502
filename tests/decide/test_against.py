"""Every dense model that an answer holds its model against is a row."""

from __future__ import annotations

import math
from dataclasses import replace

from condsim.decide.advise.call import call
from condsim.decide.against import SAYS, against
from condsim.hardware import hardware
from condsim.study.answer import answer
from condsim.trace import Trace


def test_the_baseline_stands_first_and_what_was_measured_beside_it(exits: Trace) -> None:
    answered = answer(exits)
    table = against(answered, call(answered))
    assert table["speedup"].iloc[0] == answered.prediction.speedup
    assert answered.measured is not None
    assert table["speedup"].iloc[1] == answered.measured["measured_speedup"]
    assert table["against"].iloc[2] == SAYS["same-flops"]
    assert math.isnan(table["low"].iloc[2])
    unmeasured = replace(answered, measured=None)
    assert len(against(unmeasured, call(unmeasured))) == len(table) - 1


def test_a_baseline_that_is_chosen_stands_first(exits: Trace) -> None:
    answered = answer(exits, hardware("raspberry-pi-5"), baseline="same-flops")
    table = against(answered, call(answered))
    assert list(table["against"]) == [SAYS["same-flops"], SAYS["same-params"]]
