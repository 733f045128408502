"""Arrays of ids in NPY and NPZ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from importers.made import (
    EXPERTS,
    LAYERS,
    SHAPE,
    TOP_K,
    drawn,
    ids_of,
    noted,
    refused,
    steps_of,
    truncated,
)

import condsim


def test_an_array_is_one_sequence(tmp_path: Path) -> None:
    ids = drawn(20)
    np.save(tmp_path / "a.npy", ids)
    trace = condsim.import_routing(tmp_path / "a.npy", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), ids)
    assert steps_of(trace) == [("prefill", 1, 20, 0)]
    assert [site.name for site in trace.sites] == ["layers.0", "layers.1", "layers.2"]
    assert {(site.branches, site.top_k) for site in trace.sites} == {(EXPERTS, TOP_K)}
    assert trace.name == "a"
    assert not trace.header.has_programs
    assert not trace.header.notes


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_any_integers_are_ids(dtype: type, tmp_path: Path) -> None:
    ids = drawn(5)
    np.save(tmp_path / "a.npy", ids.astype(dtype))
    trace = condsim.import_routing(tmp_path / "a.npy", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), ids)


def test_the_order_in_memory_does_not_matter(tmp_path: Path) -> None:
    ids = drawn(20)
    np.savez(tmp_path / "a.npz", np.asfortranarray(ids))
    np.save(tmp_path / "a.npy", np.asfortranarray(ids))
    for name in ("a.npz", "a.npy"):
        trace = condsim.import_routing(tmp_path / name, model=SHAPE)
        np.testing.assert_array_equal(ids_of(trace), ids)


def test_a_file_is_a_request(tmp_path: Path) -> None:
    lengths = (5, 9, 2)
    paths = [tmp_path / f"{number}.npy" for number in range(3)]
    for number, length in enumerate(lengths):
        np.save(paths[number], drawn(length, seed=number))
    trace = condsim.import_routing(paths, model=SHAPE, name="served")
    assert steps_of(trace) == [("prefill", 1, length, 0) for length in lengths]
    expected = np.concatenate([drawn(length, seed=n) for n, length in enumerate(lengths)])
    np.testing.assert_array_equal(ids_of(trace), expected)
    assert trace.name == "served"


def test_a_member_is_a_request(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", r0=drawn(5), r1=drawn(3, seed=1))
    trace = condsim.import_routing(tmp_path / "a.npz", model=SHAPE)
    assert steps_of(trace) == [("prefill", 1, 5, 0), ("prefill", 1, 3, 0)]


def test_other_arrays_do_not_matter_beside_routed_experts(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", routed_experts=drawn(5), prompt_ids=np.arange(5))
    trace = condsim.import_routing(tmp_path / "a.npz", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), drawn(5))


def test_a_padded_batch_loses_its_padding(tmp_path: Path) -> None:
    """Tunix: prompts end, and completions begin, at one column; -1 stands for nothing."""
    padded = np.full((2, 8, LAYERS, TOP_K), -1)
    padded[0, 1:6], padded[1, 3:8] = drawn(5), drawn(5, seed=1)
    np.save(tmp_path / "a.npy", padded)
    trace = condsim.import_routing(tmp_path / "a.npy", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), np.concatenate([drawn(5), drawn(5, seed=1)]))
    assert steps_of(trace) == [("prefill", 2, 5, 0)]
    assert noted(trace, "padding", "6 tokens")


def test_units_that_lose_unlike_numbers_of_tokens_are_steps_of_their_own(tmp_path: Path) -> None:
    padded = np.full((2, 4, LAYERS, TOP_K), -1)
    padded[0, :4], padded[1, :2] = drawn(4), drawn(2)
    np.save(tmp_path / "a.npy", padded)
    trace = condsim.import_routing(tmp_path / "a.npy", model=SHAPE)
    assert steps_of(trace) == [("prefill", 1, 4, 0), ("prefill", 1, 2, 0)]


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, drawn(5)[:, 0])
    refused(path, "a.npy", "[5, 4]", "[tokens, layers, k]")
    np.save(path, drawn(5).astype(np.float32))
    refused(path, "float32", "integers")
    np.save(path, drawn(0))
    refused(path, "no decisions")
    np.save(path, np.array([{"a": 1}], dtype=object))
    refused(path, "pickle")
    np.savez(tmp_path / "a.npz", routed_experts=np.array([[1], [2, 3]], dtype=object))
    refused(tmp_path / "a.npz", "pickle")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("share", [0.01, 0.6, 0.999])
def test_truncated_files_are_refused(name: str, share: float, tmp_path: Path) -> None:
    save = np.save if name == "a.npy" else np.savez
    save(tmp_path / name, drawn(50))
    refused(truncated(tmp_path / name, share), "a.np")


def test_other_layers_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", drawn(5))
    np.save(tmp_path / "b.npy", drawn(5, layers=2))
    refused([tmp_path / "a.npy", tmp_path / "b.npy"], "b.npy", "layer 2")
    np.save(tmp_path / "b.npy", drawn(5)[..., :2])
    refused([tmp_path / "a.npy", tmp_path / "b.npy"], "b.npy", "2 ids", "4 before")
