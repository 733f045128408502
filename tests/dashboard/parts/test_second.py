"""A second scenario beside the first."""

from __future__ import annotations

import pytest

from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.second import phase_like


@pytest.mark.parametrize(
    ("phase", "phases", "expected"),
    [
        (None, ["prefill"], None),
        (None, ["prefill", "decode"], "prefill"),
        ("decode", ["prefill", "decode"], "decode"),
        ("decode", ["prefill"], None),
        ("prefill", ["prefill"], "prefill"),
    ],
)
def test_the_phase_is_that_of_the_first_where_the_trace_has_it(
    phase: str | None, phases: list[str], expected: str | None
) -> None:
    assert phase_like(Scenario(name="mine", where="mine", phase=phase), phases) == expected
