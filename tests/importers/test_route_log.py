"""Route logs in JSON lines."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from importers.made import (
    EXPERTS,
    SHAPE,
    drawn,
    ids_of,
    log_lines,
    noted,
    refused,
    steps_of,
    truncated,
    write_lines,
)

import condsim

ABOUT = {"model": "made", "num_experts": EXPERTS}


def test_a_log_keeps_ids_and_weights(tmp_path: Path) -> None:
    ids = drawn(6)
    trace = condsim.import_routing(write_lines(tmp_path / "a.jsonl", [ABOUT, *log_lines(ids)]))
    np.testing.assert_array_equal(ids_of(trace), ids)
    weights = trace.decisions("layers.1").weights
    assert weights is not None
    np.testing.assert_allclose(weights[3], [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-6)
    assert trace.sites[0].branches == EXPERTS
    assert noted(trace, "one sequence", "requests")


def test_interleaved_requests_are_told_apart(tmp_path: Path) -> None:
    """Two requests decode in turns, and layers come in any order."""
    one, other = log_lines(drawn(5, 0), "a"), log_lines(drawn(5, 1), "b")
    lines = [line for pair in zip(one, other, strict=True) for line in pair]
    by_token = sorted(lines, key=lambda line: (line["token_idx"], -line["layer"]))
    trace = condsim.import_routing(write_lines(tmp_path / "a.jsonl", by_token), model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), np.concatenate([drawn(5, 0), drawn(5, 1)]))
    assert steps_of(trace) == [("prefill", 1, 5, 0)] * 2
    assert not noted(trace, "one sequence")


def test_a_token_that_begins_anew_begins_a_sequence(tmp_path: Path) -> None:
    lines = [*log_lines(drawn(4, 0)), *log_lines(drawn(3, 1))]
    trace = condsim.import_routing(write_lines(tmp_path / "a.jsonl", lines), model=SHAPE)
    assert steps_of(trace) == [("prefill", 1, 4, 0), ("prefill", 1, 3, 0)]


def test_requests_of_two_files_are_others(tmp_path: Path) -> None:
    paths = [
        write_lines(tmp_path / f"{number}.jsonl", log_lines(drawn(4 + number, number)))
        for number in range(2)
    ]
    trace = condsim.import_routing(paths, model=SHAPE)
    assert steps_of(trace) == [("prefill", 1, 4, 0), ("prefill", 1, 5, 0)]


def test_dummy_batches_are_left_out(tmp_path: Path) -> None:
    """Real logs begin with thousands of equal tokens."""
    dummy = np.repeat(drawn(1, 9), 100, axis=0)
    lines = [*log_lines(dummy, "warm-up"), *log_lines(drawn(50))]
    path = write_lines(tmp_path / "a.jsonl", lines)
    trace = condsim.import_routing(path, model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), drawn(50))
    assert steps_of(trace) == [("prefill", 1, 50, 0)]
    assert noted(trace, "constant runs", "100 tokens")
    kept = condsim.import_routing(path, model=SHAPE, keep_constant=True)
    np.testing.assert_array_equal(ids_of(kept), np.concatenate([dummy, drawn(50)]))


def changed(**fields: Any) -> dict[str, Any]:
    """A line with other fields."""
    return log_lines(drawn(1))[0] | fields


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (changed(layer=None), ["line 13", "layer"]),
        (changed(layer=True), ["line 13", "layer"]),
        (changed(token_idx=-1), ["line 13", "token_idx"]),
        (changed(token_idx="x"), ["line 13", "token_idx"]),
        (changed(topk_ids=[1, 2]), ["line 13", "as long as"]),
        (changed(topk_ids=[1, 2, 3, "x"]), ["integers"]),
        (changed(topk_ids=7), ["line 13", "list"]),
        (changed(topk_weights=[1.0]), ["weights"]),
        (changed(topk_weights=None, token_idx=7), ["weights"]),
        ({"layer": 0, "token_idx": 9}, ["line 13", "topk_ids"]),
        ([1, 2], ["line 13", "no object"]),
    ],
)
def test_wrong_lines_are_refused(line: Any, words: list[str], tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [*log_lines(drawn(4)), line])
    refused(path, *words, model=SHAPE)


def test_a_log_with_holes_is_refused(tmp_path: Path) -> None:
    lines = log_lines(drawn(6))
    path = write_lines(tmp_path / "a.jsonl", lines[:-1])
    refused(path, "layer 2", "5 rows", "6", model=SHAPE)
    lines.pop(random.Random(0).randrange(3, 15))
    refused(write_lines(path, lines), "rows", model=SHAPE)
    refused(truncated(write_lines(path, lines), 0.95), "cut short", model=SHAPE)


def test_metadata_of_another_model_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [ABOUT, *log_lines(drawn(6))])
    refused(path, "16 experts", "8", model=condsim.ModelShape(experts=8))
