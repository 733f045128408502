"""The waterfall in a terminal: bars that meet, on an axis with round numbers."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.show.bars import WIDTH, waterfall_lines

FIRST_CELL = 34
WORLDS = ["flops", "gather", "launch"]
FACTORS = st.lists(st.floats(0.1, 10), min_size=3, max_size=3)


def prediction(factors: list[float]) -> Any:
    """A prediction with a waterfall of three worlds."""
    speedups = np.cumprod(factors)
    columns = {"world": WORLDS, "meaning": "", "factor": factors, "speedup": speedups}
    return SimpleNamespace(
        waterfall=pd.DataFrame(columns),
        speedup=float(speedups[-1]),
        speedup_interval=(0.9, 1.1),
    )


def drawn(factors: list[float], plain: bool, measured: float | None = None) -> list[str]:
    timed: dict[str, Any] | None = None
    if measured is not None:
        timed = {"measured_speedup": measured, "protocol": "loop"}
        timed["predicted_speedup"] = 2 * measured
    lines = waterfall_lines(prediction(factors), measured=timed, plain=plain)
    return [line.plain for line in lines]


def spans(lines: list[str], marks: str) -> list[tuple[int, int]]:
    """The first and last cell of each bar."""
    ends = []
    for line in lines:
        bar = line[FIRST_CELL : FIRST_CELL + WIDTH]
        cells = [place for place, cell in enumerate(bar) if cell in marks]
        ends.append((cells[0], cells[-1]))
    return ends


def meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two bars have an end in common."""
    return bool(set(one) & set(other))


@pytest.mark.parametrize("plain", [True, False])
@given(factors=FACTORS)
def test_each_bar_begins_where_the_one_before_ended(plain: bool, factors: list[float]) -> None:
    lines = drawn(factors, plain)
    worlds = spans(lines[2 : 2 + len(WORLDS)], "#+" if plain else "█┃")
    for before, after in itertools.pairwise(worlds):
        assert meet(before, after)


@given(factors=FACTORS)
def test_totals_begin_at_the_dense_baseline(factors: list[float]) -> None:
    lines = drawn(factors, plain=True, measured=1.1 * math.prod(factors))
    flops, *_, predicted, measured = spans(lines[2:7], "#+")
    assert set(flops) & set(predicted) & set(measured)


def test_plain_is_ascii() -> None:
    text = "".join(drawn([4.0, 0.5, 1.2], plain=True, measured=2.0))
    assert text.isascii()


def test_what_was_measured_stands_beside_what_was_predicted_of_it() -> None:
    (line,) = [line for line in drawn([4.0, 0.5, 1.2], True, measured=2.0) if "measured" in line]
    assert "x0.500" in line
    assert "both loop" in line


def test_an_effect_that_does_not_apply_says_so() -> None:
    lines = drawn([4.0, 1.0, 0.5], plain=True)
    assert "does not apply" in lines[3]
    assert "does not apply" not in lines[4]


def test_the_axis_has_round_numbers() -> None:
    header = drawn([4.0, 0.5, 1.2], plain=True)[1]
    assert "1x" in header
    assert "2x" in header


def test_divergence_is_shown_where_kernels_are_quantised() -> None:
    columns = {"world": ["flops", "efficiency", "quantisation"], "meaning": ""}
    made = prediction([2.0, 0.5, 0.5])
    made.waterfall = made.waterfall.assign(**columns)
    (last,) = [line.plain for line in waterfall_lines(made)][-1:]
    assert last == "divergence = efficiency x quantisation = x0.250"
