"""Figures: they can be drawn of what the library returns, and give the same bytes every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import condsim
from condsim.predict.prediction import Prediction
from condsim.resources import resource
from condsim.show import plots
from condsim.study import routing
from condsim.study.breakeven import BATCH, SHARE, grid
from condsim.study.compare import compare
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "skip-fashion")


@pytest.fixture(scope="module")
def prediction(trace: Trace) -> Prediction:
    return condsim.simulate(trace, GPU, batch=8)


def labels(figure: Any) -> tuple[str, str]:
    axes = figure.axes[0]
    return axes.get_xlabel(), axes.get_ylabel()


def test_a_waterfall_has_a_bar_a_world_and_the_totals(prediction: Prediction) -> None:
    measured = {"measured_speedup": 1.5, "protocol": "repeat"}
    axes = plots.waterfall_figure(prediction, measured, title="mine").axes[0]
    assert len(axes.patches) == len(prediction.waterfall) + 2
    assert axes.get_yscale() == "log"
    assert axes.get_title(loc="left").startswith("mine · ")


def test_accuracy_shows_other_machines_hollow(trace: Trace) -> None:
    here, elsewhere = compare(trace), compare(trace, GPU)
    filled = plots.accuracy_figure(here, "strategy").axes[0].collections
    hollow = plots.accuracy_figure(elsewhere, "strategy").axes[0].collections
    assert any(len(points.get_facecolors()) for points in filled[1:2])
    assert not len(hollow[1].get_facecolors())


def test_loads_are_a_cell_a_branch(trace: Trace) -> None:
    table = routing.load(trace)
    figure = plots.load_figure(table, "share")
    (image,) = figure.axes[0].images
    assert image.get_array().size == len(table)
    assert labels(figure) == ("branch", "site")


def test_lines_are_one_a_site_and_a_level_each(trace: Trace) -> None:
    table = routing.touched(trace, [1, 2, 4])
    level = table[table["batch"] == 4]
    figure = plots.lines_figure(table, "batch", "touched", "site", ("x", "y"), True, level)
    assert len(figure.axes[0].lines) == 2 * len(trace.sites)
    assert labels(figure) == ("x", "y")


def test_a_timeline_has_a_slice_a_kernel(prediction: Prediction) -> None:
    timeline = prediction.timeline
    axes = plots.timeline_figure(timeline).axes[0]
    assert len(axes.patches) == len(timeline) + timeline["part"].nunique()


def test_the_front_is_joined_and_named() -> None:
    columns = {"x": [1.0, 2.0, 3.0], "y": [3.0, 1.0, 2.0], "front": [True, True, False]}
    table = pd.DataFrame(columns | {"name": ["a", "b", "c"]})
    axes = plots.pareto_figure(table, "x", "y", ("s", "J")).axes[0]
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    assert axes.lines[0].get_xdata().tolist() == [1.0, 2.0]


def test_break_even_is_a_line_over_one_axis_and_a_map_over_two(trace: Trace) -> None:
    line = pd.DataFrame(grid(trace, GPU, BATCH, [1.0, 8.0]))
    assert labels(plots.breakeven_figure(line, ("batch", None))) == ("batch", "speedup")
    points = pd.DataFrame(grid(trace, GPU, BATCH, [1.0, 8.0], SHARE, [0.1, 0.9]))
    figure = plots.breakeven_figure(points, ("batch", "share"))
    assert labels(figure) == ("batch", "share")
    assert len(figure.axes[0].texts) == 4


@pytest.mark.parametrize("draw", [plots.layers_figure, plots.residual_figure])
def test_errors_have_a_colour_a_group(draw: Callable[..., Any]) -> None:
    columns = {"batch": [1, 2], "error": [0.1, -0.1], "group": ["a", "b"]}
    table = pd.DataFrame(columns | {"predicted_s": [1.0, 2.0], "measured_s": [1.1, 2.1]})
    axes = draw(table, "group").axes[0]
    assert len(axes.get_legend().texts) == 2


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_same_figure_gives_the_same_bytes(prediction: Prediction, kind: str) -> None:
    first = plots.rendered(plots.waterfall_figure(prediction), kind)
    again = plots.rendered(plots.waterfall_figure(prediction), kind)
    assert first == again


@pytest.mark.parametrize(
    ("name", "begin"), [("w.svg", b"<?xml"), ("w.pdf", b"%PDF"), ("W.PNG", b"\x89PNG")]
)
def test_a_file_is_of_the_kind_of_its_name(
    prediction: Prediction, tmp_path: Path, name: str, begin: bytes
) -> None:
    file = plots.save_waterfall(prediction, tmp_path / name)
    assert file.read_bytes().startswith(begin)
    assert list(tmp_path.iterdir()) == [file]
