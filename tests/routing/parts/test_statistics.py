"""What is known of a model's routing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from condsim.routing.parts.statistics import QUANTILES, Statistics


def of_loads(*loads: float) -> Statistics:
    return Statistics("made", "nobody", {0.0: loads})


def test_shares_rise_and_have_a_mean_of_one() -> None:
    shares = of_loads(0.5, 1.0, 2.0).shares(0.0, experts=9)
    assert shares.mean() == pytest.approx(1.0)
    assert (np.diff(shares) >= 0).all()


def test_loads_between_two_layers_are_geometric_means() -> None:
    known = Statistics("made", "nobody", {0.0: (1.0, 1.0), 1.0: (1.0, 4.0)})
    shares = known.shares(0.5, experts=2)
    assert shares[1] / shares[0] == pytest.approx(2.0)


def test_as_many_loads_as_quantiles_stand_at_the_quantiles() -> None:
    loads = np.exp(np.array(QUANTILES))
    shares = of_loads(*loads).shares(0.0, experts=5)
    assert shares[2] / shares[0] == pytest.approx(math.exp(0.5))


def test_half_the_square_of_the_spread_is_the_information() -> None:
    known = Statistics("made", "nobody", {0.0: (1.0,)}, pair_bits=0.5)
    assert known.lift_sigma**2 / 2 == pytest.approx(0.5 * math.log(2))
