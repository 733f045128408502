"""What is padding, a dummy batch or unset, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from importers.made import EXPERTS, SHAPE, TOP_K, drawn, ids_of, noted, refused, steps_of

import condsim
from condsim.importers.parts import tidy


def imported(folder: Path, ids: np.ndarray, **asked: object) -> condsim.trace.Trace:
    """The trace of an array."""
    np.save(folder / "a.npy", ids)
    return condsim.import_routing(folder / "a.npy", model=SHAPE, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("fill", [0, 3, tidy.FILL, -1])
def test_what_was_never_filled_in_is_unset(fill: int, tmp_path: Path) -> None:
    """Ids of a token that are all alike are what a buffer held before."""
    ids = drawn(10)
    ids[4, 1] = fill
    trace = imported(tmp_path, ids)
    assert (trace.decisions("layers.1").ids[4] == -1).all()
    assert noted(trace, "unset", "4 ids")
    assert not noted(trace, "out of range")


def test_layers_that_were_never_filled_in_are_left_out(tmp_path: Path) -> None:
    """The first layers of many models are dense."""
    ids = drawn(10)
    ids[:, 0] = 0
    trace = imported(tmp_path, ids)
    assert [site.name for site in trace.sites] == ["layers.1", "layers.2"]
    assert noted(trace, "layers 0 hold no decisions")


def test_a_few_ids_out_of_range_are_unset(tmp_path: Path) -> None:
    ids = drawn(100)
    ids[7, 2, 0], ids[8, 0, 1] = EXPERTS, -7
    trace = imported(tmp_path, ids)
    assert noted(trace, "out of range", "2 ids")
    found = ids_of(trace)
    assert found[7, 2, 0] == found[8, 0, 1] == -1
    assert (found != ids).sum() == 2


@pytest.mark.parametrize("beyond", [EXPERTS, 1000])
def test_ids_of_another_model_are_refused(beyond: int, tmp_path: Path) -> None:
    ids = drawn(100)
    ids[:10, :, 0] = beyond
    np.save(tmp_path / "a.npy", ids)
    refused(tmp_path / "a.npy", "30 of 1,200", "16 experts", "--experts", model=SHAPE)


def test_huge_ids_stay_out_of_range(tmp_path: Path) -> None:
    ids = drawn(200).astype(np.int64)
    ids[0, 0, 0] = 2**32 + 1
    trace = imported(tmp_path, ids)
    assert ids_of(trace)[0, 0, 0] == -1


def test_layers_that_repeat_are_named(tmp_path: Path) -> None:
    ids = drawn(10, layers=5)
    ids[:, 3:] = ids[:, :2]
    np.save(tmp_path / "a.npy", ids)
    trace = condsim.import_routing(tmp_path / "a.npy")
    assert noted(trace, "repeat: 3-4", "of 0-1")
    assert len(trace.sites) == 5


def test_a_row_that_names_an_expert_twice_is_counted(tmp_path: Path) -> None:
    ids = drawn(10)
    ids[3, 1, 1] = ids[3, 1, 0]
    assert noted(imported(tmp_path, ids), "1 rows name an expert twice")


@pytest.mark.parametrize("length", [tidy.CONSTANT_RUN - 1, tidy.CONSTANT_RUN, 300])
@pytest.mark.parametrize("start", [0, 3, 20])
def test_constant_runs_are_left_out_wherever_they_are(
    length: int, start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they go over blocks of reading."""
    monkeypatch.setattr(tidy, "MOST_IDS", 60)
    run = np.repeat(drawn(1, 5), length, axis=0)
    ids = np.concatenate([drawn(20)[:start], run, drawn(20)[start:]])
    trace = imported(tmp_path, ids)
    if length < tidy.CONSTANT_RUN:
        np.testing.assert_array_equal(ids_of(trace), ids)
    else:
        np.testing.assert_array_equal(ids_of(trace), drawn(20))
        assert noted(trace, "constant runs", f"{length:,} tokens")


def test_runs_of_one_layer_are_no_dummies(tmp_path: Path) -> None:
    ids = drawn(20)
    ids[:, 0] = ids[0, 0]
    np.testing.assert_array_equal(ids_of(imported(tmp_path, ids)), ids)


def test_nothing_but_dummies_is_refused(tmp_path: Path) -> None:
    ids = np.repeat(drawn(1), 20, axis=0)
    np.save(tmp_path / "a.npy", ids)
    refused(tmp_path / "a.npy", "no token is left", "--keep-constant")
    np.testing.assert_array_equal(ids_of(imported(tmp_path, ids, keep_constant=True)), ids)
    np.save(tmp_path / "a.npy", np.full((20, 3, TOP_K), -1))
    refused(tmp_path / "a.npy", "no token is left")


def test_notes_say_which_file_it_was(tmp_path: Path) -> None:
    paths = []
    for number in range(8):
        padded = np.concatenate([np.full((number, 3, TOP_K), -1), drawn(5, number)])
        paths.append(tmp_path / f"{number}.npy")
        np.save(paths[-1], padded)
    trace = condsim.import_routing(paths, model=SHAPE)
    assert noted(trace, "28 tokens", "1.npy 1, 2.npy 2,", "5.npy 5 and 2 more files")


def test_steps_that_lose_all_tokens_are_gone(tmp_path: Path) -> None:
    ids = np.full((3, 4, 3, TOP_K), -1)
    ids[0], ids[2] = drawn(4), drawn(4, 1)
    assert steps_of(imported(tmp_path, ids)) == [("prefill", 2, 4, 0)]
