"""Packing by load, and copies for what is heaviest."""

from __future__ import annotations

import numpy as np


def packed(loads: np.ndarray, packs: int) -> np.ndarray:
    """Return (pack, place in it) of each item, int [items, 2].

    All packs hold equally many. The heaviest item is put first, each onto the lightest pack that
    has room, the first of equals; an item a pack is left in order.
    loads: float [items], a multiple of `packs`.
    """
    items = len(loads)
    room = items // packs
    found = np.zeros((items, 2), np.int64)
    if room == 1:
        found[:, 0] = np.arange(items)
        return found
    pack_load = np.zeros(packs, np.float32)
    held = np.zeros(packs, np.int64)
    for item in np.argsort(-np.asarray(loads, np.float32), kind="stable"):
        with_room = np.where(held < room, pack_load, np.inf)
        pack = int(np.argmin(with_room))
        found[item] = pack, held[pack]
        pack_load[pack] += np.float32(loads[item])
        held[pack] += 1
    return found


def slots_in_order(pack_and_place: np.ndarray, packs: int) -> np.ndarray:
    """Return the item of each slot, int [items]: the packs one after the other.

    pack_and_place: of `packed`.
    """
    room = len(pack_and_place) // packs
    slot = pack_and_place[:, 0] * room + pack_and_place[:, 1]
    item_of = np.empty(len(slot), np.int64)
    item_of[slot] = np.arange(len(slot))
    return item_of


def with_copies(loads: np.ndarray, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (item of each slot, int [slots]; slots of each item, int [items]).

    Each item has a slot; each further slot goes to the item of the highest load a slot, the first
    of equals. loads: float [items], at most `slots`.
    """
    items = len(loads)
    item_of = np.arange(slots)
    copies = np.ones(items, np.int64)
    loads = np.asarray(loads, np.float32)
    for slot in range(items, slots):
        heaviest = int(np.argmax(loads / copies))
        item_of[slot] = heaviest
        copies[heaviest] += 1
    return item_of, copies
