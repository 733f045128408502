"""Generators from published statistics."""

from __future__ import annotations

import numpy as np

import condsim
from condsim.routing.named import routing_for


def test_a_generator_has_the_shape_of_a_traces_mixtures() -> None:
    trace = condsim.load("traces/moe-bytes")
    experts = trace.sites[0].branches
    assert trace.sites[0].top_k is not None
    found = routing_for(trace, "olmoe", seed=3)
    same = condsim.routing(
        "olmoe", layers=len(trace.sites), experts=experts, top_k=trace.sites[0].top_k, seed=3
    )
    np.testing.assert_array_equal(found.shares, same.shares)
    assert found.top_k == same.top_k
