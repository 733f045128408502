"""Yardsticks gate: what is disturbed is left out where there is something else."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from condsim.measure import yardsticks

CASE = {
    "strategy": "wait",
    "baseline": "same-params",
    "phase": "prefill",
    "protocol": "repeat",
    "fingerprint": "",
    "where": "caller",
}
COLUMNS = ("batch", "process", "yardstick_ratio", "yardstick_s")
PAIRS = [
    (1, 0, 1.0, 1e-5),
    (1, 1, 1.3, 1e-5),
    (8, 1, 1.3, 1e-5),
    (8, 1, 1.3, 2e-5),
    (32, 0, 1.0, 2e-5),
]


def table(pairs: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=list(COLUMNS)).assign(**CASE)


def test_noisy_rows_are_left_out_where_there_are_others() -> None:
    counting = yardsticks.quiet_rows(table(PAIRS), fast_s=1e-5)
    assert list(counting.index) == [0, 2, 4]
    noisy = {batch: yardsticks.noisy(case, 1e-5) for batch, case in counting.groupby("batch")}
    assert noisy == {1: False, 8: True, 32: True}


def test_no_measurement_counts_of_none() -> None:
    assert yardsticks.quiet_rows(table([])).empty


def test_every_case_keeps_a_row() -> None:
    slow = table([(batch, 0, 2.0, 1.0) for batch in (1, 8)] + [(1, 1, 2.0, 1e-5)])
    assert set(yardsticks.quiet_rows(slow)["batch"]) == {1, 8}


def test_a_process_is_as_noisy_as_its_slowest_yardstick() -> None:
    readings = [{"read": 1.0, "write": 2.0}, {"read": 1.2, "write": 1.6}]
    best = yardsticks.best(readings)
    assert best == {"read": 1.0, "write": 1.6}
    assert yardsticks.ratio(readings, best) == pytest.approx(1.25)
    assert yardsticks.ratio(readings[1:], {"read": 1.2, "write": 1.6}) == 1.0


def test_reading_the_memory_takes_time() -> None:
    reading = yardsticks.read()
    assert set(reading) == {"read_64mb"}
    assert reading["read_64mb"] > 0
