"""Counts become tokens whose loads are the counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importers.made import EXPERTS, SHAPE, TOP_K, drawn, ids_of, noted, refused

import condsim
from condsim.importers.counts import _add_step, _rows
from condsim.importers.parts.spool import Spool

TOP = condsim.ModelShape(top_k=TOP_K)


def counted(ids: np.ndarray) -> np.ndarray:
    """How often each expert was chosen, int [layers, experts]."""
    of_layers = np.moveaxis(ids, 1, 0)
    return np.stack([np.bincount(layer.ravel(), minlength=EXPERTS) for layer in of_layers])


def test_each_count_is_a_step_of_its_load(tmp_path: Path) -> None:
    counts = np.stack([counted(drawn(tokens, tokens)) for tokens in (30, 4, 17)])
    np.savez(tmp_path / "a.npz", logical_count=counts)
    trace = condsim.import_routing(tmp_path / "a.npz", model=SHAPE)
    assert len(trace.steps) == 3
    for layer in range(3):
        np.testing.assert_array_equal(trace.unit_counts(f"layers.{layer}"), counts[:, layer])
    assert noted(trace, "a.npz holds counts", "not known")
    assert not noted(trace, "dummy")


def test_a_row_of_a_table_is_a_count_or_an_activation(tmp_path: Path) -> None:
    ids = drawn(30)
    rows = [(layer, id) for of_token in ids for layer in range(3) for id in of_token[layer]]
    activations = tmp_path / "activations.csv"
    activations.write_text("layer,expert\n" + "".join(f"{a},{b}\n" for a, b in rows))
    table = tmp_path / "counts.csv"
    lines = [f"{a},{b},{n}\n" for (a, b), n in np.ndenumerate(counted(ids))]
    table.write_text("layer_id,expert_id,count\n" + "".join(lines))
    for path in (activations, table):
        trace = condsim.import_routing(path, model=TOP)
        for layer in range(3):
            found = trace.unit_counts(f"layers.{layer}")[0]
            np.testing.assert_array_equal(found, counted(ids)[layer])


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=1, max_size=3),
    st.integers(1, 6),
)
def test_no_token_takes_an_expert_twice(counts: list[list[int]], top_k: int) -> None:
    step = np.array(counts)
    tokens = _rows(step, top_k)
    spool = Spool()
    _add_step(step, tokens, top_k, spool)
    for layer, of_layer in spool.layers.items():
        of_layer.close()
        if not tokens:
            continue
        ids = of_layer.read("ids")
        taken = ids[ids >= 0]
        np.testing.assert_array_equal(np.bincount(taken, minlength=6), step[layer])
        for row in ids:
            chosen = row[row >= 0].tolist()
            assert len(set(chosen)) == len(chosen)


def test_layers_without_counts_are_left_out(tmp_path: Path) -> None:
    counts = counted(drawn(30))
    counts[0] = 0
    np.savez(tmp_path / "a.npz", logical_count=counts)
    trace = condsim.import_routing(tmp_path / "a.npz", model=TOP)
    assert [site.name for site in trace.sites] == ["layers.1", "layers.2"]
    assert noted(trace, "layers 0 hold no decisions")
    assert ids_of(trace).shape[0] == 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer,expert\n0,-1\n", ["column expert"]),
        ("layer,expert\n0,x\n", ["column expert"]),
        ("layer,expert\n0\n", ["a.csv", "damaged"]),
        ("layer,expert,count\n0,1,2.5\n", ["column count"]),
        ("layer,expert\n0,99999999\n", ["column expert"]),
        ("layer,expert\n99999,99999\n", ["layers up to 99,999", "which no model has"]),
        (f"layer,expert,count\n0,1,{2**62}\n0,1,{2**62}\n", ["column count"]),
        ("layer,expert\n", ["no decisions"]),
    ],
)
def test_wrong_tables_are_refused(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    refused(path, *words, model=TOP)


def test_counts_need_top_k_and_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, logical_count=counted(drawn(30)))
    refused(path, "--top-k")
    np.savez(path, logical_count=counted(drawn(30)) * 10**9)
    refused(path, "more than 1,000,000,000", model=TOP)
    np.savez(path, logical_count=-counted(drawn(30)))
    refused(path, "negative", model=TOP)
    np.savez(path, logical_count=np.zeros(4, int))
    refused(path, "[steps, layers, experts]", model=TOP)
    np.savez(path, logical_count=np.full((1, 1, 4), 2**62))
    refused(path, "a count of", model=TOP)
