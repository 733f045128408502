"""core12345's traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from importers.made import SHAPE, drawn, ids_of, refused, selection, steps_of, truncated

import condsim


def written(folder: Path, passes: Any, name: str = "0.json") -> Path:
    """A JSON file."""
    path = folder / name
    path.write_text(json.dumps(passes))
    return path


def test_a_file_is_a_prompt_and_the_tokens_after_it(tmp_path: Path) -> None:
    ids = drawn(7)
    trace = condsim.import_routing(written(tmp_path, selection(ids, prompt=5)), model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), ids)
    assert steps_of(trace) == [("prefill", 1, 5, 0), ("decode", 1, 1, 5), ("decode", 1, 1, 6)]
    assert [site.name for site in trace.sites] == ["layers.1", "layers.2", "layers.3"]


def test_files_are_requests(tmp_path: Path) -> None:
    paths = [
        written(tmp_path, selection(drawn(4, number), prompt=3), f"{number}.json")
        for number in range(3)
    ]
    trace = condsim.import_routing(paths, model=SHAPE)
    assert len(trace.steps) == 6
    assert trace.units == 6


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        ([{"1": [[1, 2]], "2": [[1, 2], [3, 4]]}], ["pass 0", "layer 2"]),
        ([{"1": [[1, 2]]}, {"2": [[1, 2]]}], ["layer 1", "1 tokens"]),
        ([{"1": [[1, 2]]}, {"1": [[1]]}], ["1 ids", "2 before"]),
        ([{"1": [1, 2]}], ["[tokens, k]"]),
        ([{"1": [["x"]]}], ["integers"]),
        ([{"1": [[1, 2]]}, [3]], ["pass 1", "no object"]),
        ([{"1": [[1, 2]], "x": [[1, 2]]}], ["'x'"]),
        ([{"1": None}], ["no decisions"]),
    ],
)
def test_wrong_passes_are_refused(passes: Any, words: list[str], tmp_path: Path) -> None:
    refused(written(tmp_path, passes), *words)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    refused(truncated(written(tmp_path, selection(drawn(7), prompt=5))), "0.json", "cut short")
