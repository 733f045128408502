"""How fast condsim is: the table says what was measured, and the large trace is what it says."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import condsim
from benchmarks import speed
from benchmarks.speed import Figure, Row

SECONDS = Figure("s", "something", "s", 3)
A_SECOND = Figure("a_second", "something else", "/s", 300, more_is_better=True)


def test_a_row_shows_the_median_and_whether_it_meets_the_bar() -> None:
    shown = speed.as_line(Row(SECONDS, [9.0, 8.0, 10.0], [1.0, 2.0, 2.5])).split("  ")
    assert [cell.strip() for cell in shown if cell.strip()] == [
        "something",
        "≤ 3 s",
        "9 s (8 to 10)",
        "2 s (1 to 2.5)",
        "yes",
    ]


def test_more_is_better_where_a_figure_says_so() -> None:
    assert A_SECOND.met(300)
    assert not A_SECOND.met(299)
    assert SECONDS.met(3)
    assert not SECONDS.met(3.1)
    assert Figure("s", "", "s").met(1) is None


def test_json_holds_all_values() -> None:
    (found,) = json.loads(speed.as_json([Row(A_SECOND, [], [100.0, 200.0])]))
    assert found["before"] == []
    assert found["after"] == [100.0, 200.0]
    assert found["met"] is False


def test_growth_is_of_the_longer_trace_over_the_shorter_one() -> None:
    short = speed.replay(speed.TOKENS, "grouped", 3).figures[1]
    long = speed.replay(speed.LONG, "grouped", None).figures[1]
    (row,) = speed.growth([Row(short, [1.0], [2.0]), Row(long, [3.0], [2.2])])
    assert row.before == [3.0]
    assert row.after == [1.1]
    assert speed.growth([Row(short, [1.0], [2.0])]) == []


def test_a_folder_without_condsim_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        speed.arguments(["--before", str(tmp_path)])


def test_a_part_is_measured_where_its_trace_is_in_a_process_of_its_own(tmp_path: Path) -> None:
    part = speed.one("branch-fashion")
    (row,) = speed.measured(part, {"before": tmp_path, "after": speed.ROOT}, repeats=1)
    assert row.before == []
    assert len(row.after) == 1
    assert row.after[0] > 0


def test_large_trace_has_all_its_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(speed.MEASURE.parent))
    large = importlib.import_module("large")

    large.built(4 * large.SEQ).save(tmp_path / "trace")
    trace = condsim.load(tmp_path / "trace")
    assert len(trace.sites) == large.LAYERS
    assert len(trace.steps) == 4
    for site in trace.sites:
        counts = trace.unit_counts(site.name)
        np.testing.assert_array_equal(counts.sum(axis=1), large.SEQ * large.TOP_K)
        ids = trace.decisions(site.name).ids
        assert (ids[:, 0] != ids[:, 1]).all()
    assert condsim.simulate(trace, "intel-i7-8700", "grouped", 1).speedup > 0
