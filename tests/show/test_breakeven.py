"""A break-even in words."""

from __future__ import annotations

import pandas as pd
import pytest

from condsim.show.breakeven import where_it_pays, without_effect_line

PAYS, UNSURE, LOSES = "faster", "too close to call", "slower"


def points(*verdicts: str, y: float | None = None) -> pd.DataFrame:
    """A line of points at 1, 2, 4, ..."""
    x = [2.0**place for place in range(len(verdicts))]
    return pd.DataFrame({"x": x, "y": y, "speedup": 1.0, "verdict": verdicts})


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([PAYS, PAYS], "It pays everywhere on this line (2 of 2 points)."),
        ([LOSES, LOSES], "It pays nowhere on this line (2 of 2 points)."),
        ([UNSURE], "It is too close to call everywhere on this line (1 of 1 points)."),
        (
            [LOSES, UNSURE, PAYS, PAYS],
            "By batch: it does not pay at 1, is too close to call at 2, pays from 4 to 8.",
        ),
        (
            [PAYS, LOSES] * 3,
            "Of 6 points it pays at 3, does not pay at 3.",
        ),
    ],
)
def test_a_line_is_told_zone_by_zone(verdicts: list[str], said: str) -> None:
    assert where_it_pays(points(*verdicts), "batch", len(verdicts)) == said


def test_a_map_is_counted() -> None:
    both = pd.concat([points(PAYS, UNSURE, y=1.0), points(PAYS, LOSES, y=2.0)])
    said = "Of 4 of 6 points it pays at 2, is too close to call at 1, does not pay at 1."
    assert where_it_pays(both, "batch", 6) == said


def test_a_line_that_was_stopped_says_how_far_it_came() -> None:
    said = where_it_pays(points(LOSES, PAYS), "batch", 7)
    assert said == "By batch: it does not pay at 1, pays at 2 (2 of 7 points)."


def test_what_has_no_effect_is_named_with_what_stays() -> None:
    line = without_effect_line(points(PAYS, PAYS), ["peak_flops.fp32, times what it is"])
    assert "peak_flops.fp32, times what it is has no effect here" in line
    assert line.endswith("the speedup stays 1.00x.")
