"""The sampling unit: a sequence or an image, never a token."""

from __future__ import annotations

import numpy as np
from made_traces import make_trace

from condsim.decide.units import Units


def test_rows_of_one_sequence_are_one_unit() -> None:
    trace = make_trace()
    units = Units.of(trace)
    assert units.count == len(np.unique(units.of_step))
    assert len(units.of_step) == trace.units
    for site in trace.sites:
        rows = units.of_rows(trace, site)
        assert len(rows) == len(trace.decisions(site.name).ids)
        assert set(rows.tolist()) == set(units.of_step.tolist())


def test_the_word_follows_the_length() -> None:
    assert Units.of(make_trace()).word == "sequence"
