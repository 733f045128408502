"""Arrays in NPY and NPZ files, a block at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.importers.parts.npy import ArrayFile


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_hold_the_whole_array_in_order(tmp_path: Path, order: str) -> None:
    file = tmp_path / "a.npy"
    values = np.arange(21).reshape(7, 3)
    np.save(file, np.asarray(values, order=order))
    with ArrayFile(file) as opened:
        blocks = list(opened.array().blocks(rows=2))
    np.testing.assert_array_equal(np.concatenate(blocks), values)


def test_members_are_opened_by_name(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, ids=np.arange(3), weights=np.ones(3))
    with ArrayFile(file) as opened:
        assert opened.names == ("ids", "weights")
        assert opened.array("ids").whole().tolist() == [0, 1, 2]
        with pytest.raises(CondsimError, match="expert ids are integers"):
            opened.array("weights").check_integers()
        with pytest.raises(CondsimError, match="is damaged or truncated"):
            opened.array("missing")


def test_an_array_of_objects_is_a_pickle_and_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.array([{}], object), allow_pickle=True)
    with ArrayFile(file) as opened, pytest.raises(CondsimError, match="holds Python objects"):
        opened.array()


def test_a_file_that_ends_too_soon_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.arange(100))
    file.write_bytes(file.read_bytes()[:-8])
    with ArrayFile(file) as opened, pytest.raises(CondsimError, match="it ends too soon"):
        list(opened.array().blocks(rows=100))
