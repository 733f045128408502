"""Predictions stay as they are: a sample of the kept ones (`python -m benchmarks.golden`: all)."""

from __future__ import annotations

import pandas as pd

from benchmarks.golden import QUESTION, TABLE, compare, differences, sample

SAMPLED = 60


def test_a_sample_of_the_predictions_is_what_it_was() -> None:
    expected = sample(pd.read_parquet(TABLE), SAMPLED)
    assert len(expected) >= SAMPLED
    different = compare(expected)
    assert different.empty, different.to_string()


def test_a_change_in_the_ninth_digit_is_told() -> None:
    expected = sample(pd.read_parquet(TABLE), SAMPLED)
    found = expected.copy()
    found.loc[3, "latency_s"] *= 1 + 1e-8
    different = differences(expected, found)
    assert different["column"].tolist() == ["latency_s"]
    assert different[QUESTION].iloc[0].tolist() == expected[QUESTION].iloc[3].tolist()


def test_an_answer_that_became_an_error_is_told() -> None:
    expected = sample(pd.read_parquet(TABLE), SAMPLED)
    answered = expected.index[expected["error"] == ""][0]
    found = expected.copy()
    found.loc[answered, "error"] = "no such strategy"
    assert "error" in set(differences(expected, found)["column"])
