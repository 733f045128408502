"""Figures of predictions beside measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from condsim.show.accuracy_figures import accuracy_figure, layers_figure, residual_figure
from condsim.study.compare import compare
from condsim.trace import Trace


def test_accuracy_shows_other_machines_hollow(trace: Trace) -> None:
    here, elsewhere = compare(trace), compare(trace, "nvidia-h100-sxm")
    filled = accuracy_figure(here, "strategy").axes[0].collections
    hollow = accuracy_figure(elsewhere, "strategy").axes[0].collections
    assert any(len(points.get_facecolors()) for points in filled[1:2])
    assert not len(hollow[1].get_facecolors())


@pytest.mark.parametrize("draw", [layers_figure, residual_figure])
def test_errors_have_a_colour_a_group(draw: Callable[..., Any]) -> None:
    columns = {"batch": [1, 2], "error": [0.1, -0.1], "group": ["a", "b"]}
    table = pd.DataFrame(columns | {"predicted_s": [1.0, 2.0], "measured_s": [1.1, 2.1]})
    axes = draw(table, "group").axes[0]
    assert len(axes.get_legend().texts) == 2
