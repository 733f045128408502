"""An array for each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from importers.made import SHAPE, drawn, ids_of, noted, refused, steps_of

import condsim


def test_a_member_is_a_layer(tmp_path: Path) -> None:
    ids = drawn(12)
    members = {f"decoder.layers.{layer + 1}.router": ids[:, layer] for layer in (2, 0, 1)}
    np.savez(tmp_path / "replay.npz", **members)
    trace = condsim.import_routing(tmp_path / "replay.npz", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), ids)
    assert [site.name for site in trace.sites] == ["layers.1", "layers.2", "layers.3"]


def test_unset_entries_stay_unset(tmp_path: Path) -> None:
    ids = drawn(12)
    ids[3:5, 1] = -1
    np.savez(tmp_path / "a.npz", **{f"layer_{layer}": ids[:, layer] for layer in range(3)})
    trace = condsim.import_routing(tmp_path / "a.npz", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), ids)
    assert noted(trace, "unset", "8 ids")
    assert trace.unit_counts("layers.1").sum() == 10 * 4


def test_a_file_is_a_microbatch(tmp_path: Path) -> None:
    for number in range(2):
        ids = drawn(4 + number, seed=number)
        np.savez(tmp_path / f"{number}.npz", **{f"{n}": ids[:, n] for n in range(3)})
    trace = condsim.import_routing([tmp_path / "0.npz", tmp_path / "1.npz"], model=SHAPE)
    assert steps_of(trace) == [("prefill", 1, 4, 0), ("prefill", 1, 5, 0)]


def test_what_is_no_array_of_a_layer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, layer_0=drawn(5)[:, 0], layer_1=drawn(4)[:, 0])
    refused(path, "a.npz", "layer 1", "4 tokens")
    np.savez(path, layer_0=np.zeros((5, 4)))
    refused(path, "float64")
    np.savez(path, router=drawn(5)[:, 0])
    refused(path, "no layout")
    refused(path, "layer's number", format="layer-arrays")
