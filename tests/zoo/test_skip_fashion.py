"""skip-fashion: in training, most images enter every block first, a quarter later."""

from __future__ import annotations

import pytest

from condsim.zoo.skip_fashion import BLOCKS, COST_WEIGHT, block_costs, open_share


def test_the_open_share_falls_until_half_of_the_training() -> None:
    assert open_share(0, 100) == 0.75
    assert open_share(25, 100) == pytest.approx(0.5)
    assert open_share(50, 100) == open_share(99, 100) == 0.25


def test_costs_of_all_blocks_sum_up_to_their_weight() -> None:
    assert len(block_costs()) == BLOCKS
    assert block_costs().sum().item() == pytest.approx(COST_WEIGHT)
