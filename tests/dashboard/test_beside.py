"""Two scenarios side by side, without a browser."""

from __future__ import annotations

from dataclasses import replace

from condsim.dashboard import beside
from condsim.dashboard.parts.scenario import Scenario
from condsim.study.answer import Answer


def test_two_alike_are_divided_and_two_unlike_are_not(captured: Answer) -> None:
    p = captured.prediction
    faster = replace(p, latency_s=p.latency_s / 2, profile="another")
    assert beside.which(p, faster).startswith("The second one is 2.00x as fast a unit")
    assert beside.which(p, p) == "Both take the same time."
    assert "bf16 against fp32" in beside.which(
        replace(p, dtype="fp32"), replace(p, dtype="bf16")
    ) or ("fp32 against bf16" in beside.which(p, replace(p, dtype="bf16")))


def test_the_second_device_is_another_one_at_first(scenario: Scenario) -> None:
    first, other = beside.FIRST_CHOICES
    assert beside.other_device(scenario) == first
    assert beside.other_device(replace(scenario, device=first)) == other


def test_a_row_a_number(captured: Answer) -> None:
    p = captured.prediction
    rows = list(beside.rows(p, p))
    assert all(row["first"] == row["second"] for row in rows)
    assert rows[0] == {"number": "verdict", "first": "pays", "second": "pays"}
