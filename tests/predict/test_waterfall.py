"""The chain of worlds: exact product, exactly 1 where an effect does not apply."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.predict.waterfall import SPARED, WORLDS, switched_off, waterfall

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


@given(sides, sides, st.floats(0.0, 1.0))
def test_uneven_rows_that_are_cheaper_spare_no_more_than_products_lose(
    conditional: dict[str, float], baseline: dict[str, float], share: float
) -> None:
    """All speedups stay above 0: alone, without any effect, and with any switched off."""
    lost = sum(conditional.get(world, 0.0) for world in SPARED)
    conditional["imbalance"] = -share * lost
    baseline.pop("imbalance", None)
    table = waterfall(conditional, baseline)
    numbers = table[["factor", "speedup", "alone", "without"]]
    assert (numbers > 0).all(axis=None)
    by_world = table.set_index("world")
    assert by_world.loc["imbalance", "alone"] == pytest.approx(1.0)
    for world in WORLDS[1:]:
        less = switched_off(table, [world])
        assert (less[["factor", "speedup", "alone", "without"]] > 0).all(axis=None)
        assert less["speedup"].iloc[-1] == pytest.approx(by_world.loc[world, "without"])


def test_what_is_not_lost_is_not_spared() -> None:
    side = {"flops": 1.0, "weight_traffic": 1.0, "efficiency": 4.0, "imbalance": -3.0}
    table = waterfall(side, {"flops": 6.0}).set_index("world")
    assert table.loc["imbalance", "alone"] == 1.0
    assert table.loc["imbalance", "without"] == pytest.approx(1.0)
    assert table.loc["efficiency", "without"] == pytest.approx(3.0)
    assert table.loc["weight_traffic", "without"] == pytest.approx(2.0)
    both = switched_off(table.reset_index(), SPARED)
    assert both["speedup"].iloc[-1] == pytest.approx(6.0)
