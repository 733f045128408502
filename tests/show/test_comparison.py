"""A row for each case that was measured, with what cannot be trusted of it."""

from __future__ import annotations

import pandas as pd
import pytest
from show.printed import printed

from condsim.show.comparison import comparison_table
from condsim.study.compare import compare
from condsim.trace import Trace


@pytest.fixture(scope="module")
def compared(trace: Trace) -> pd.DataFrame:
    return compare(trace)


def test_a_comparison_is_a_row_a_case(compared: pd.DataFrame) -> None:
    lines = printed(comparison_table(compared))
    assert len(lines) == 1 + len(compared)


@pytest.mark.parametrize(
    ("changed", "remark"),
    [
        ({"same_machine": False, "noisy": True}, "another machine"),
        ({"same_machine": True, "noisy": True}, "noisy machine"),
    ],
)
def test_what_cannot_be_trusted_is_remarked(
    compared: pd.DataFrame, changed: dict[str, bool], remark: str
) -> None:
    _, *rows = printed(comparison_table(compared.assign(**changed)))
    assert all(row.rstrip().endswith(remark) for row in rows)


@pytest.mark.parametrize(
    ("error", "style"), [(0.05, "green"), (-0.2, "yellow"), (0.5, "red"), (-0.5, "red")]
)
def test_an_error_has_the_colour_of_its_size(
    compared: pd.DataFrame, error: float, style: str
) -> None:
    table = comparison_table(compared.iloc[:1].assign(error=error, same_machine=True))
    (cell,) = table.columns[10].cells
    assert cell.style == style  # type: ignore[union-attr]
