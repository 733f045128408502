"""A break-even is a line or a map."""

from __future__ import annotations

from typing import Any

import pandas as pd

from condsim.show.breakeven_figure import breakeven_figure
from condsim.study.breakeven import BATCH, SHARE, grid
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"


def labels(figure: Any) -> tuple[str, str]:
    axes = figure.axes[0]
    return axes.get_xlabel(), axes.get_ylabel()


def test_break_even_is_a_line_over_one_axis_and_a_map_over_two(trace: Trace) -> None:
    line = pd.DataFrame(grid(trace, GPU, BATCH, [1.0, 8.0]))
    assert labels(breakeven_figure(line, ("batch", None))) == ("batch", "speedup")
    points = pd.DataFrame(grid(trace, GPU, BATCH, [1.0, 8.0], SHARE, [0.1, 0.9]))
    figure = breakeven_figure(points, ("batch", "share"))
    assert labels(figure) == ("batch", "share")
    assert len(figure.axes[0].texts) == 4
