"""Packing by load: equally many in each pack, and copies for the heaviest."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.parallel.packing import packed, slots_in_order, with_copies


@pytest.mark.parametrize("packs", [1, 2, 4, 8])
def test_all_packs_hold_equally_many_in_places_of_their_own(packs: int) -> None:
    loads = np.random.default_rng(0).integers(0, 100, 16)
    found = packed(loads, packs)
    assert np.bincount(found[:, 0]).tolist() == [16 // packs] * packs
    assert len({tuple(place) for place in found.tolist()}) == 16


def test_the_heaviest_goes_first_onto_the_lightest() -> None:
    found = packed(np.array([9.0, 8.0, 2.0, 1.0]), 2)
    assert found.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]


def test_slots_name_the_items_of_each_pack_in_turn() -> None:
    found = packed(np.array([9.0, 8.0, 2.0, 1.0]), 2)
    assert slots_in_order(found, 2).tolist() == [0, 3, 1, 2]


def test_copies_go_to_the_item_of_the_highest_load_a_slot() -> None:
    item_of, copies = with_copies(np.array([10.0, 3.0, 4.0]), 6)
    assert copies.tolist() == [3, 1, 2]
    assert item_of.tolist() == [0, 1, 2, 0, 0, 2]
    assert np.bincount(item_of).tolist() == copies.tolist()
