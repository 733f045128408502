"""Figures can be drawn of what the library returns."""

from __future__ import annotations

from typing import Any

import pandas as pd

from condsim.predict.prediction import Prediction
from condsim.show.plots import (
    lines_figure,
    load_figure,
    pareto_figure,
    timeline_figure,
    waterfall_figure,
)
from condsim.study import routing
from condsim.trace import Trace


def labels(figure: Any) -> tuple[str, str]:
    axes = figure.axes[0]
    return axes.get_xlabel(), axes.get_ylabel()


def test_a_waterfall_has_a_bar_a_world_and_the_totals(prediction: Prediction) -> None:
    measured = {"measured_speedup": 1.5, "protocol": "repeat"}
    axes = waterfall_figure(prediction, measured, title="mine").axes[0]
    assert len(axes.patches) == len(prediction.waterfall) + 2
    assert axes.get_yscale() == "log"
    assert axes.get_title(loc="left").startswith("mine · ")


def test_loads_are_a_cell_a_branch(trace: Trace) -> None:
    table = routing.load(trace)
    figure = load_figure(table, "share")
    (image,) = figure.axes[0].images
    assert image.get_array().size == len(table)
    assert labels(figure) == ("branch", "site")


def test_lines_are_one_a_site_and_a_level_each(trace: Trace) -> None:
    table = routing.touched(trace, [1, 2, 4])
    level = table[table["batch"] == 4]
    figure = lines_figure(table, "batch", "touched", "site", ("x", "y"), True, level)
    assert len(figure.axes[0].lines) == 2 * len(trace.sites)
    assert labels(figure) == ("x", "y")


def test_a_timeline_has_a_slice_a_kernel(prediction: Prediction) -> None:
    timeline = prediction.timeline
    axes = timeline_figure(timeline).axes[0]
    assert len(axes.patches) == len(timeline) + timeline["part"].nunique()


def test_the_front_is_joined_and_named() -> None:
    columns = {"x": [1.0, 2.0, 3.0], "y": [3.0, 1.0, 2.0], "front": [True, True, False]}
    table = pd.DataFrame(columns | {"name": ["a", "b", "c"]})
    axes = pareto_figure(table, "x", "y", ("s", "J")).axes[0]
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    assert axes.lines[0].get_xdata().tolist() == [1.0, 2.0]
