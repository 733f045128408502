"""The storages of a recording: numbers, deaths, bytes at once."""

from __future__ import annotations

import torch

from condsim.record.storages import Storages, is_dense, storage_key


def test_views_share_the_number_of_their_storage() -> None:
    storages = Storages()
    tensor = torch.zeros(4, 4)
    assert storages.known(tensor) is None
    assert storages.number(tensor) == 1
    assert storages.number(tensor[1:]) == 1
    assert storages.number(torch.zeros(2)) == 2


def test_a_storage_that_died_gives_its_bytes_back_and_is_forgotten() -> None:
    storages = Storages()
    died: list[str] = []
    tensor = torch.zeros(8)
    storages.number(tensor)
    storages.born(tensor, lambda: died.append("tensor"))
    storages.note_peak()
    assert (storages.live_bytes, storages.peak_bytes, died) == (32, 32, [])
    del tensor
    assert (storages.live_bytes, storages.peak_bytes, died) == (0, 32, ["tensor"])
    assert storages.number(torch.zeros(8)) == 2


def test_bytes_that_are_not_counted_can_make_a_peak() -> None:
    storages = Storages()
    storages.note_peak(more_bytes=8)
    assert (storages.live_bytes, storages.peak_bytes) == (0, 8)


def test_storages_without_elements_are_told_apart() -> None:
    one, other = torch.zeros(0), torch.zeros(0)
    assert storage_key(one) != storage_key(other)


def test_dense_is_each_place_once_in_any_order_of_dimensions() -> None:
    whole = torch.zeros(3, 4)
    assert is_dense(whole)
    assert is_dense(whole.t())
    assert not is_dense(whole[:, :2])
    assert not is_dense(torch.zeros(1).expand(3))
