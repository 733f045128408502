"""The two halves of one trace."""

from __future__ import annotations

import numpy as np
import pytest
from made_traces import make_trace

from condsim.decide.drift.halves import halves, of_steps
from condsim.errors import CondsimError


def test_halves_hold_all_decisions_once_and_in_order() -> None:
    trace = make_trace()
    first, second = halves(trace)
    assert first.units + second.units == trace.units
    for site in trace.sites:
        whole = trace.decisions(site.name).ids
        parts = [half.decisions(site.name).ids for half in (first, second)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_trace_of_one_step_has_no_halves() -> None:
    with pytest.raises(CondsimError, match="it has no halves"):
        halves(of_steps(make_trace(), slice(0, 1)))
