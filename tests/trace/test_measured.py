"""Measured rows of two traces."""

from __future__ import annotations

import numpy as np
import pandas as pd

from condsim.trace.measured import lacking


def table(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["strategy", "seconds"])


def test_rows_of_the_same_values_are_the_same_row() -> None:
    ours = table(("a", 1.0), ("b", 2.0))
    missing = lacking(ours, table(("a", 1.0)), ["strategy", "seconds"])
    assert missing.to_numpy().tolist() == [["b", 2.0]]
    assert missing.index.tolist() == [0]


def test_a_value_that_is_missing_in_both_is_the_same() -> None:
    ours = table(("a", np.nan), ("b", np.nan))
    missing = lacking(ours, table(("a", np.nan)), ["strategy", "seconds"])
    assert missing["strategy"].tolist() == ["b"]


def test_nothing_is_missing_of_an_empty_table() -> None:
    empty = table().iloc[:0]
    assert lacking(empty, table(("a", 1.0)), ["strategy", "seconds"]).empty
