"""SGLang's recorder per token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from importers.made import SHAPE, drawn, ids_of, refused, steps_of

import condsim


def by_layer(ids: np.ndarray) -> np.ndarray:
    """[tokens, layers, k] as the recorder has it, [layers, tokens, k]."""
    return ids.transpose(1, 0, 2)


def test_an_array_is_a_pass(tmp_path: Path) -> None:
    passes = [drawn(7, 0), drawn(2, 1), drawn(2, 2)]
    members = {f"topk_ids_of_layer_{n}": by_layer(ids) for n, ids in enumerate(passes)}
    np.savez(tmp_path / "a.npz", **members, forward_mode=[1, 2, 2])
    trace = condsim.import_routing(tmp_path / "a.npz", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), np.concatenate(passes))
    assert steps_of(trace) == [("prefill", 1, 7, 0), ("decode", 2, 1, 0), ("decode", 2, 1, 0)]


def test_passes_go_by_number(tmp_path: Path) -> None:
    members = {f"topk_ids_of_layer_{n}": by_layer(drawn(2, n)) for n in reversed(range(11))}
    np.savez(tmp_path / "a.npz", **members)
    trace = condsim.import_routing(tmp_path / "a.npz", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), np.concatenate([drawn(2, n) for n in range(11)]))


def test_wrong_passes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, topk_ids_of_layer=drawn(4)[:, 0])
    refused(path, "[4, 4]", "[layers, tokens, k]")
    np.savez(path, topk_ids_of_layer=by_layer(drawn(4)), forward_mode=[1, 2])
    refused(path, "forward_mode", "1 passes")
    np.savez(path, topk_ids_of_layer=by_layer(drawn(4)) / 2)
    refused(path, "float64")
