"""Decisions on disk while they are imported."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.importers.parts.spool import LARGEST, Spool


def test_what_was_added_is_read_back_in_parts() -> None:
    spool = Spool()
    spool.step(seq=3)
    spool.add(4, np.array([[1, 2], [3, 4]]))
    spool.add(4, np.array([[5, 6]]))
    spool.finish()
    layer = spool.layers[4]
    assert layer.read("ids").tolist() == [[1, 2], [3, 4], [5, 6]]
    assert layer.read("ids", 1, 2).tolist() == [[3, 4]]
    assert layer.read("ids", 2, 99).tolist() == [[5, 6]]


def test_rows_are_put_into_another_order_with_all_that_they_have() -> None:
    spool = Spool()
    spool.add(0, np.array([[1], [2]]), weights=np.array([[0.5], [0.25]]))
    layer = spool.layers[0]
    layer.close()
    layer.sort(np.array([1, 0]))
    assert layer.read("ids").tolist() == [[2], [1]]
    assert layer.read("weights").tolist() == [[0.25], [0.5]]


def test_an_id_that_no_integer_holds_stays_out_of_range() -> None:
    spool = Spool()
    spool.add(0, np.array([[2**40]]))
    spool.layers[0].close()
    assert spool.layers[0].read("ids").tolist() == [[LARGEST]]


def test_rows_that_do_not_fit_those_before_are_refused() -> None:
    spool = Spool()
    spool.begin_file("a.npy")
    spool.add(0, np.array([[1, 2]]))
    with pytest.raises(CondsimError, match=r"a.npy: layer 0 has 1 ids a token where it had 2"):
        spool.add(0, np.array([[1]]))
    with pytest.raises(CondsimError, match="some tokens of layer 0 have weights"):
        spool.add(0, np.array([[1, 2]]), weights=np.array([[0.5, 0.5]]))


def test_a_layer_of_fewer_tokens_than_the_steps_is_refused() -> None:
    spool = Spool()
    spool.step(seq=2)
    spool.add(0, np.array([[1]]))
    with pytest.raises(CondsimError, match="layer 0 has decisions of 1 tokens"):
        spool.finish()


def test_files_know_their_tokens_and_sequences() -> None:
    spool = Spool()
    spool.begin_file("a")
    spool.step(seq=3)
    spool.begin_file("b")
    spool.step(units=2)
    assert list(spool.file_ranges()) == [("a", 0, 3, 1), ("b", 3, 5, 2)]
