"""The timeline page, without a browser."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from condsim.dashboard import timeline
from condsim.study.answer import Answer


def slices(**columns: object) -> pd.DataFrame:
    """A timeline of three slices of one side."""
    table = {
        "side": ["conditional"] * 3,
        "lane": ["host"] * 3,
        "start_s": [0.0, 1e-6, 3e-6],
        "duration_s": [1e-6, 2e-6, 1e-6],
        "operator": ["linear", "relu", "linear"],
        "part": ["matmul", "traffic", "matmul"],
        "module": ["", "", ""],
        "guard": ["", "", ""],
        "basis": ["calibrated"] * 3,
    }
    return pd.DataFrame(table | columns)


def test_the_baseline_is_named_as_the_dense_model(captured: Answer) -> None:
    table = timeline.slices(captured.prediction)
    assert set(table["side"]) == {"conditional", "dense (same-params)"}


def test_a_side_ends_with_its_last_slice() -> None:
    assert timeline.ends(slices()) == ["conditional 4.00 µs in 3 kernels"]


def test_kernels_are_counted_on_the_device_where_there_is_one() -> None:
    table = slices(lane=["host", "device", "device"])
    assert timeline.several_lanes(table)
    assert timeline.ends(table) == ["conditional 4.00 µs in 2 kernels"]


def test_parts_and_length_choose_slices() -> None:
    table = slices()
    assert len(timeline.Wanted().of(table)) == 3
    assert len(timeline.Wanted(["matmul"]).of(table)) == 2
    assert len(timeline.Wanted([], 1.5).of(table)) == 1
    assert timeline.Wanted(["matmul"], 1.5).of(table).empty


def test_a_browser_is_given_the_longest_slices_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timeline, "MOST_SLICES", 2)
    table = slices(duration_s=[3e-6, 1e-6, 2e-6])
    drawn = timeline.longest(table)
    assert list(drawn.index) == [0, 2]
    said = timeline.caption(table, table, drawn)
    assert said.startswith("Showing 2 of 3 slices, the longest. Scroll")
    assert timeline.caption(table, table, table).startswith("Scroll")


def test_totals_keep_all_milliseconds() -> None:
    table = slices()
    totals = timeline.totals(table)
    assert list(totals["operator"]) == ["linear", "relu"]
    assert list(totals["slices"]) == [2, 1]
    assert totals["ms"].sum() == pytest.approx(table["duration_s"].sum() * 1e3)
    assert "lane" not in totals


def test_the_figure_names_lanes_where_a_side_has_several() -> None:
    table = slices(lane=["host", "device", "device"])
    figure = timeline.timeline_of(table, name_lanes=True)
    assert set(figure.table["lane"]) == {"conditional, host", "conditional, device"}
    assert set(timeline.timeline_of(table, name_lanes=False).table["lane"]) == {"conditional"}
    figure.chart.to_dict()


def test_the_download_opens_in_perfetto(captured: Answer) -> None:
    assert json.loads(timeline.perfetto(captured.prediction))["traceEvents"]
