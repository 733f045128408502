"""Over what is it faster: every dense model that an answer holds its model against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from condsim.decide.advise.call import MEASURED, Call
from condsim.study.answer import Answer

COLUMNS = ["against", "speedup", "low", "high", "basis"]
SAYS = {
    "same-params": "the same weights, all used",
    "same-flops": "a dense model of the same compute",
}
"""Baseline → what it is, for a person."""
NO_INTERVAL = float("nan")


def against(answer: Answer, said: Call) -> pd.DataFrame:
    """Return a row a dense model: against, speedup, low and high (NaN where there is no interval),
    basis. said: of `condsim.decide.advise.call`; its baseline comes first, predicted, and measured
    where it was.
    """
    return pd.DataFrame(list(_rows(answer, said)), columns=COLUMNS)


def _rows(answer: Answer, said: Call) -> Iterator[tuple[Any, ...]]:
    p = answer.prediction
    yield SAYS[p.baseline], p.speedup, *p.speedup_interval, p.basis
    measured = answer.measured
    if measured is not None:
        ends = measured["measured_low"], measured["measured_high"]
        speedup = measured["measured_speedup"]
        decides = "measured, decides" if said.basis == MEASURED else "measured"
        yield f"{SAYS[p.baseline]}, timed", speedup, *ends, decides
    for baseline, speedup in answer.speedups.items():
        if baseline != p.baseline:
            yield SAYS[baseline], speedup, NO_INTERVAL, NO_INTERVAL, p.basis
    for rival in answer.rivals:
        yield rival.name, rival.speedup, NO_INTERVAL, NO_INTERVAL, p.basis
