"""The frontier as a figure: quality against speed, on a device of each kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from condsim.show.escape import figure_text
from condsim.show.figure_files import save_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from condsim.decide.frontier.frontier import Frontier

PANELS = 4
COLOURS = {"setting": "#4c72b0", "dense": "#222222", "rival": "#dd8452"}
TICKS = (0.5, 0.7, 1.0, 1.3, 2.0, 3.0)
MARKS = (("dense", "*", "own dense network"), ("rival", "s", "dense rivals"))
"""Roles of points that no line joins: their marker, and what they are called."""


def save_frontier(found: Frontier, path: Path) -> Path:
    """Write `frontier_figure` to a file."""
    return save_figure(frontier_figure(found), path)


def frontier_figure(found: Frontier) -> Figure:
    """Quality against speed on a device of each kind, drawn by Matplotlib."""
    from matplotlib.figure import Figure

    devices = _shown_devices(found)
    figure = Figure(figsize=(3.4 * len(devices), 3.6), layout="constrained")
    row: Any = figure.subplots(1, len(devices), sharey=True, squeeze=False)[0]
    for axes, device in zip(row, devices, strict=True):
        of_device = found.points[found.points["profile"] == device]
        size = of_device["batch"].dropna().iloc[0]
        _draw(axes, of_device[of_device["batch"] == size], found)
        axes.set_title(figure_text(f"{device}, batch {size:.0f}"), fontsize="small")
    row[0].set_ylabel(figure_text(found.quality_name))
    row[0].legend(fontsize="x-small")
    return figure


def _shown_devices(found: Frontier) -> list[str]:
    """The first device, and one of each other kind."""
    priced = found.points[found.points["latency_s"].notna()]
    shown: list[str] = priced.drop_duplicates("kind")["profile"].tolist()
    return shown[:PANELS]


def _draw(axes: Axes, points: pd.DataFrame, found: Frontier) -> None:
    """One device: settings as a line, dense networks as points, what is claimed as a corner."""
    settings = points[points["role"] == "setting"].sort_values("speed")
    colour = COLOURS["setting"]
    axes.plot(settings["speed"], settings["quality"], "o-", ms=4, color=colour, label="settings")
    timed = settings[settings["measured_speed"].notna()]
    if len(timed):
        axes.plot(
            timed["measured_speed"], timed["quality"], "x", color=colour, label="settings, measured"
        )
    for role, marker, label in MARKS:
        of_role = points[points["role"] == role]
        if len(of_role):
            axes.plot(
                of_role["speed"], of_role["quality"], marker, color=COLOURS[role], label=label
            )
    axes.axvline(found.target, color="#c44e52", linestyle="--", linewidth=0.9)
    worst = points.loc[points["equal"].astype(bool), "quality"]
    if len(worst):
        edge = worst.min() if found.higher_is_better else worst.max()
        axes.axhline(edge, color="#8c8c8c", linestyle=":", linewidth=0.9)
    axes.set_xscale("log")
    axes.set_xlabel("speed, times the reference")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    if not found.higher_is_better and not axes.yaxis_inverted():
        axes.invert_yaxis()
