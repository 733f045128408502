"""Responses of servers."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from importers.made import (
    LAYERS,
    SHAPE,
    TOP_K,
    base64_response,
    drawn,
    ids_of,
    refused,
    steps_of,
    truncated,
    write_lines,
)

import condsim


def written(folder: Path, document: Any) -> Path:
    """A JSON file."""
    path = folder / "response.json"
    path.write_text(json.dumps(document))
    return path


def test_base64_of_int32_has_the_shape_of_the_model(tmp_path: Path) -> None:
    path = written(tmp_path, base64_response(drawn(9)))
    trace = condsim.import_routing(path, model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), drawn(9))
    assert steps_of(trace) == [("prefill", 1, 9, 0)]


def test_the_numbers_of_tokens_say_the_layers_and_the_steps(tmp_path: Path) -> None:
    path = written(tmp_path, [base64_response(drawn(9), prompt=7)])
    trace = condsim.import_routing(path, model=condsim.ModelShape(top_k=TOP_K))
    np.testing.assert_array_equal(ids_of(trace), drawn(9))
    assert steps_of(trace) == [("prefill", 1, 7, 0), ("decode", 1, 1, 7), ("decode", 1, 1, 8)]
    whole = condsim.import_routing(path, model=SHAPE, phase="prefill")
    assert steps_of(whole)[0] == ("prefill", 1, 7, 0)


def test_ids_that_no_layer_can_have_are_refused(tmp_path: Path) -> None:
    ids = drawn(3).astype(np.int32)
    ids[0, 0, 0] = 2**31 - 1
    path = written(tmp_path, base64_response(ids))
    shape = condsim.ModelShape(layers=LAYERS, top_k=TOP_K)
    refused(path, "2,147,483,647", "at most 65,536", model=shape)


def test_a_line_is_a_response(tmp_path: Path) -> None:
    lines = [base64_response(drawn(3, 0)), base64_response(drawn(4, 1))]
    trace = condsim.import_routing(write_lines(tmp_path / "a.jsonl", lines), model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), np.concatenate([drawn(3, 0), drawn(4, 1)]))


def test_lines_may_be_longer_than_what_is_looked_at(tmp_path: Path) -> None:
    lines = [base64_response(drawn(1500, 0)), base64_response(drawn(1500, 1))]
    path = write_lines(tmp_path / "a.jsonl", lines)
    trace = condsim.import_routing(path, model=SHAPE)
    assert steps_of(trace) == [("prefill", 1, 1500, 0)] * 2
    pretty = tmp_path / "pretty.json"
    pretty.write_text(json.dumps(lines[0], indent=2))
    assert steps_of(condsim.import_routing(pretty, model=SHAPE)) == [("prefill", 1, 1500, 0)]


def test_lists_and_npy_bring_their_shape(tmp_path: Path) -> None:
    """vLLM's server; SGLang's OpenAI routes have the field deeper."""
    data = io.BytesIO()
    np.save(data, drawn(3, 1))
    choices = [
        {"index": 0, "routed_experts": drawn(3, 0).tolist()},
        {"index": 1, "routed_experts": base64.b64encode(data.getvalue()).decode()},
        {"index": 2, "routed_experts": None},
    ]
    usage = {"prompt_tokens": 2, "completion_tokens": 2}
    trace = condsim.import_routing(written(tmp_path, {"choices": choices, "usage": usage}))
    np.testing.assert_array_equal(ids_of(trace), np.concatenate([drawn(3, 0), drawn(3, 1)]))
    assert steps_of(trace) == [("prefill", 1, 2, 0), ("decode", 1, 1, 2)] * 2


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("@@@", ["no base64"]),
        ("AAAAAAA=", ["5 bytes"]),
        ("AAAA" * 12, ["no whole tokens"]),
        ([[1, 2], [3, 4]], ["2 axes"]),
        ([[[1, 2]], [[3]]], ["integers"]),
        ([[[1.5]]], ["integers"]),
        ([[["a"]]], ["integers"]),
        (7, ["integers"]),
        (base64.b64encode(b"\x93NUMPY\x01").decode(), ["damaged"]),
    ],
)
def test_wrong_values_are_refused(value: Any, words: list[str], tmp_path: Path) -> None:
    refused(written(tmp_path, {"routed_experts": value}), *words, model=SHAPE)


def test_what_cannot_be_known_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, base64_response(drawn(9)))
    refused(path, "--top-k")
    refused(path, "--layers", model=condsim.ModelShape(top_k=TOP_K))
    refused(path, "no whole tokens", model=condsim.ModelShape(layers=LAYERS + 2, top_k=TOP_K))


def test_truncated_and_empty_responses_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, base64_response(drawn(9)))
    refused(truncated(path), "response.json", "cut short", model=SHAPE)
    lines = write_lines(tmp_path / "a.jsonl", [base64_response(drawn(3))] * 2)
    refused(truncated(lines, 0.9), "line 2", "cut short", model=SHAPE)
    refused(written(tmp_path, {"routed_experts": None}), "--enable-return-routed-experts")
