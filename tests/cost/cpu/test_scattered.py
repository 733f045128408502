"""Tables of points: a function that gives back what it was made of."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost.cpu.scattered import FEATURES, SCALES, choose_scales, rates, scatter_seconds
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Scatter


@pytest.fixture(scope="module")
def attention(profile: HardwareProfile) -> Scatter:
    table = profile.matmuls["attention"]
    assert isinstance(table, Scatter)
    return table


def test_a_scatter_gives_back_what_it_was_made_of(attention: Scatter) -> None:
    points = np.array(attention.points)
    columns = {name: points[:, i] for i, name in enumerate(attention.dims)}
    seconds, outside = scatter_seconds("attention", attention, columns)
    np.testing.assert_allclose(seconds, attention.seconds, rtol=0.03)
    assert not outside.any()
    _, far_outside = scatter_seconds("attention", attention, columns | {"groups": 1e5})
    assert far_outside.all()


def test_rates_are_found_again() -> None:
    """Times that are made of two features have those two rates."""
    rng = np.random.default_rng(0)
    points = rng.integers(1, 200, (60, 4)).astype(float)
    groups, m, n, k = points.T
    seconds = 1e-6 + 3e-11 * groups * m * n * k
    fitted = rates("bmm", points, seconds, ["groups", "m", "n", "k"])
    assert fitted[0] == pytest.approx(1e-6, rel=1e-3)
    assert fitted[2] == pytest.approx(3e-11, rel=1e-3)
    assert (fitted >= 0).all()


def test_scales_that_are_chosen_leave_no_larger_error_than_any_that_are_equal(
    attention: Scatter,
) -> None:
    points, seconds = np.array(attention.points), np.array(attention.seconds)
    bumpy = seconds * np.exp(0.1 * np.sin(points[:, 1]))
    scales, error = choose_scales("attention", attention.dims, points, bumpy, 0.02)
    assert set(scales) <= set(SCALES)
    again, same_error = choose_scales("attention", attention.dims, points, bumpy, 0.02)
    assert (again, same_error) == (scales, error)
    assert 0 < error < 1


def test_an_unknown_family_is_an_error() -> None:
    with pytest.raises(CondsimError, match="unknown matmul family 'conv3d'; did you mean 'conv2d"):
        FEATURES["conv3d"]
