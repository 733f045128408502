"""The chain of worlds: exact product, exactly 1 where an effect does not apply."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.predict.waterfall import WORLDS, waterfall

seconds = st.floats(1e-6, 1.0)
sides = st.fixed_dictionaries({"flops": seconds}, optional=dict.fromkeys(WORLDS[1:], seconds))


@given(sides, sides)
def test_the_product_is_the_speedup(
    conditional: dict[str, float], baseline: dict[str, float]
) -> None:
    table = waterfall(conditional, baseline)
    predicted = sum(baseline.values()) / sum(conditional.values())
    assert table["factor"].prod() == pytest.approx(predicted, rel=1e-12)
    assert table["speedup"].iloc[-1] == pytest.approx(predicted, rel=1e-12)
    assert list(table["world"]) == list(WORLDS)


@given(sides, sides)
def test_an_effect_that_does_not_apply_is_exactly_one(
    conditional: dict[str, float], baseline: dict[str, float]
) -> None:
    table = waterfall(conditional, baseline).set_index("world")
    for world in WORLDS[1:]:
        if world not in conditional and world not in baseline:
            assert table.loc[world, "factor"] == 1.0
            assert table.loc[world, "alone"] == 1.0


def test_without_and_alone() -> None:
    table = waterfall({"flops": 1.0, "launch": 1.0}, {"flops": 4.0}).set_index("world")
    assert table.loc["launch", "without"] == pytest.approx(4.0)
    assert table.loc["flops", "without"] == pytest.approx(0.5)
    assert table.loc["launch", "alone"] == pytest.approx(0.5)
    assert np.isclose(table["speedup"].iloc[-1], 2.0)


def test_a_world_of_training_has_a_row_where_there_is_some() -> None:
    side = {"flops": 1.0, "gather": 0.5}
    assert "stacked_gradients" not in list(waterfall(side, side)["world"])
    table = waterfall(side | {"stacked_gradients": 2.0}, side).set_index("world")
    assert list(table.index)[3:5] == ["gather", "stacked_gradients"]
    assert table.loc["stacked_gradients", "factor"] < 1
