"""What the decisions ask for, and what others would estimate."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.predict.baselines import Rivals, dropped, without_imbalance
from condsim.resources import resource
from condsim.steps.rebatch import rebatch
from condsim.trace import Trace


@pytest.fixture(scope="module")
def moe() -> Trace:
    return condsim.load(resource("traces") / "moe-bytes")


def test_rows_without_imbalance_are_as_many_on_as_many_experts(moe: Trace) -> None:
    steps = rebatch(moe, batch=4, phase="prefill").steps
    even = without_imbalance(moe, steps)
    for site, counts in steps.counts.items():
        np.testing.assert_array_equal(even.counts[site].sum(1), counts.sum(1))
        np.testing.assert_array_equal((even.counts[site] > 0).sum(1), (counts > 0).sum(1))
        touched = np.where(even.counts[site] > 0, even.counts[site], counts.max())
        assert (even.counts[site].max(1) - touched.min(1) <= 1).all()


def test_what_is_over_the_capacity_is_dropped(moe: Trace) -> None:
    steps = rebatch(moe, batch=4, phase="prefill").steps
    over, every = dropped(moe, steps)
    assert 0 < over < every == sum(int(counts.sum()) for counts in steps.counts.values())


def test_rivals_of_several_devices_are_sums() -> None:
    together = Rivals.together([Rivals(1e9, 2.0, 3.0), Rivals(3e9, 2.0, 9.0)])
    assert together == Rivals(4e9, 4.0, 12.0)
    assert together.of_flops(8e9) == {"flop_ratio": 2.0, "roofline": 3.0}
