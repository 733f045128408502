"""A trace survives a folder; damage gives one clear line and a failed save leaves nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_traces import make_trace

import condsim
from condsim.errors import CondsimError


def test_decisions_are_stored_without_nulls_and_ids_to_be_read_fast(tmp_path: Path) -> None:
    folder = make_trace().save(tmp_path / "t")
    for path in (folder / "decisions").iterdir():
        file = pq.ParquetFile(path)
        assert not any(field.nullable for field in file.schema_arrow)
        for number, name in enumerate(file.schema_arrow.names):
            packed = name == "depth" or name.startswith("id_")
            codec = file.metadata.row_group(0).column(number).compression
            assert codec == ("LZ4" if packed else "ZSTD"), name


def test_round_trip_of_all_encodings(tmp_path: Path) -> None:
    trace = make_trace()
    again = condsim.load(trace.save(tmp_path / "t"))
    assert again.header == trace.header
    pd.testing.assert_frame_equal(again.steps, trace.steps)
    for site in trace.sites:
        a, b = trace.decisions(site.name), again.decisions(site.name)
        for x, y in ((a.ids, b.ids), (a.weights, b.weights), (a.scores, b.scores)):
            assert (x is None) == (y is None), site.name
            if x is not None and y is not None:
                np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(trace.unit_counts(site.name), again.unit_counts(site.name))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _newer(folder: Path) -> None:
    data = json.loads((folder / "trace.json").read_text())
    (folder / "trace.json").write_text(json.dumps({**data, "schema_version": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_newer, "schema version 99 is newer"),
        (lambda f: _truncate(f / "trace.json"), "trace.json is damaged"),
        (lambda f: _truncate(f / "programs.json.gz"), "programs.json.gz is damaged"),
        (lambda f: (f / "programs.json.gz").unlink(), "programs.json.gz"),
        (lambda f: _truncate(f / "steps.parquet"), "steps.parquet is damaged"),
        (lambda f: _truncate(f / "decisions" / "exits.parquet"), "exits.parquet is damaged"),
        (lambda f: (f / "decisions" / "blocks.parquet").unlink(), "blocks.parquet is missing"),
        (lambda f: (f / "trace.json").write_text("[]"), "trace.json"),
        (lambda f: (f / "trace.json").write_bytes(b"\xff\xfe\x00"), "trace.json"),
        (lambda f: (f / "trace.json").unlink(), "is not a trace"),
    ],
)
def test_damage_is_one_clear_line(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = make_trace().save(tmp_path / "t")
    damage(folder)
    with pytest.raises(CondsimError, match=message) as error:
        condsim.load(folder)
    assert "\n" not in str(error.value)


def test_a_failed_save_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    good = make_trace("good")
    folder = good.save(tmp_path / "t")

    def broken(_: str) -> object:
        raise OSError("disk full")

    bad = dataclasses.replace(make_trace("bad"), reader=broken)  # type: ignore[arg-type]
    for target in (folder, tmp_path / "new"):
        with pytest.raises(OSError, match="disk full"):
            bad.save(target)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t"]
    assert condsim.load(folder).name == "good"


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(CondsimError, match="is not a trace"):
        make_trace().save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"
