"""Placements: every expert has a slot, loads add up, and the balancer does what its authors say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import condsim.parallel  # noqa: F401 - registers the placers
from condsim.errors import CondsimError
from condsim.parallel.placement import PLACERS, Cluster, Placement, place


def test_in_order_and_by_load() -> None:
    counts = np.array([10, 1, 2, 9])
    cluster = Cluster(ranks=2, slots=4)
    in_order = place("in-order", counts, cluster)
    by_load = place("by-load", counts, cluster)
    assert in_order.expert_of.tolist() == [0, 1, 2, 3]
    assert by_load.expert_of.tolist() == [0, 1, 3, 2]  # 10 and 9 apart, then 2 beside 9
    assert in_order.loads(counts).tolist() == [11, 11]
    assert by_load.imbalance(counts) == pytest.approx(1.0)


def test_copies_go_to_the_highest_load_a_copy() -> None:
    """Worked by hand. 90 rows get a second slot (45 each), then a third (30 each, above 40 / 1 it
    is 45 that is highest). Slots hold 30, 10, 20, 40, 30, 30; heaviest first onto the lightest of
    two packs of three: 40 | 30 30 | 30 beside 40 | 20 fills the second | 10 the first."""
    counts = np.array([90, 10, 20, 40])
    placement = place("eplb", counts, Cluster(ranks=2, slots=6))
    assert placement.expert_of.tolist() == [3, 0, 1, 0, 0, 2]
    assert placement.loads(counts).tolist() == [80, 80]


def test_groups_stay_on_their_node() -> None:
    """Worked by hand.

    Groups of one expert: 40 and 10 go to the first node, 30 and 20 to the second. On the first 40
    takes both spare slots, on the second each expert takes one.
    """
    cluster = Cluster(ranks=4, slots=8, nodes=2, groups=4)
    placement = place("eplb", np.array([40, 30, 20, 10]), cluster)
    assert placement.expert_of.tolist() == [0, 0, 0, 3, 1, 2, 1, 2]


def test_nodes_that_do_not_divide_the_groups_are_ignored() -> None:
    counts = np.array([40, 30, 20, 10])
    one_group = place("eplb", counts, Cluster(ranks=4, slots=8, nodes=2, groups=1))
    one_node = place("eplb", counts, Cluster(ranks=4, slots=8))
    assert one_group.expert_of.tolist() == one_node.expert_of.tolist()


@st.composite
def clusters(draw: st.DrawFn) -> tuple[np.ndarray, Cluster]:
    ranks = draw(st.sampled_from([1, 2, 4]))
    experts = ranks * draw(st.integers(1, 5))
    slots = experts + ranks * draw(st.integers(0, 3))
    counts = draw(st.lists(st.integers(0, 1000), min_size=experts, max_size=experts))
    return np.array(counts), Cluster(ranks, slots)


@settings(max_examples=60)
@given(clusters())
def test_every_expert_has_a_slot_and_no_row_is_lost(case: tuple[np.ndarray, Cluster]) -> None:
    counts, cluster = case
    for name in PLACERS:
        if name != "eplb" and cluster.slots != len(counts):
            continue
        placement = place(name, counts, cluster)
        assert (placement.copies >= 1).all()
        assert placement.copies.sum() == cluster.slots
        assert placement.loads(counts).sum() == pytest.approx(counts.sum())
        assert placement.imbalance(counts) >= 1 - 1e-9


def test_a_stale_placement_costs() -> None:
    """Made from one trace, judged on another whose popular experts are others."""
    before, now = np.array([100, 1, 1, 1]), np.array([1, 1, 1, 100])
    placement = place("eplb", before, Cluster(ranks=2, slots=6))
    assert placement.imbalance(before) < placement.imbalance(now)


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (Cluster(ranks=8, slots=8), "8 ranks are more than the 4 experts"),
        (Cluster(ranks=2, slots=5), "choose slots=6"),
        (Cluster(ranks=2, slots=2), "fewer than the 4 experts"),
        (Cluster(ranks=2, slots=6, groups=3), "do not divide into 3 groups"),
    ],
)
def test_what_no_cluster_could_be(cluster: Cluster, says: str) -> None:
    with pytest.raises(CondsimError, match=says):
        place("eplb", np.ones(4), cluster)


def test_redundant_slots_need_a_placer_that_fills_them() -> None:
    with pytest.raises(CondsimError, match="choose placement eplb"):
        place("in-order", np.ones(4), Cluster(ranks=2, slots=6))


@pytest.mark.parametrize(
    ("slots", "says"),
    [([0, 1, 2, 2], "expert 3 has no slot"), ([0, 1, 2, 4], "no expert 4"), ([0, 1, 2, 3, 0], "5")],
)
def test_a_given_placement_is_checked(slots: list[int], says: str) -> None:
    with pytest.raises(CondsimError, match=says):
        Placement(np.array(slots), ranks=2, experts=4)
