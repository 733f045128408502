"""Figures of advice, coverage, drift and sweeps for files, drawn by Matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from condsim.show.escape import figure_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

GAIN, LOSS = "#55a868", "#c44e52"
HEIGHT_OF_A_BAR = 0.32


def bars_figure(table: pd.DataFrame, name: str, value: str, label: str) -> Figure:
    """Bars beside each other's names, green above 0 and red below.

    name, value: columns. label: of the axis of values.
    """
    from matplotlib.figure import Figure

    height = 1.0 + HEIGHT_OF_A_BAR * len(table)
    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.subplots()
    names = [figure_text(str(each)) for each in table[name]]
    values = table[value].astype(float)
    colours = [LOSS if each < 0 else GAIN for each in values]
    axes.barh(range(len(table)), values, color=colours)
    axes.set_yticks(range(len(table)), names)
    axes.invert_yaxis()
    axes.axvline(0, color="#8c8c8c", linewidth=0.8)
    axes.set_xlabel(label)
    return figure


def range_figure(table: pd.DataFrame, x: str, by: str | None, labels: tuple[str, str]) -> Figure:
    """Speedups with their intervals along an axis, a line a value of `by`. labels: of the axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    groups = [("", table)] if by is None else list(table.groupby(by, sort=False))
    for number, (name, group) in enumerate(groups):
        ordered = group.sort_values(x)
        colour, label = f"C{number % 10}", figure_text(str(name)) or None
        axes.plot(ordered[x], ordered["speedup"], marker="o", color=colour, label=label)
        axes.fill_between(ordered[x], ordered["low"], ordered["high"], alpha=0.15, color=colour)
    axes.axhline(1, color="#8c8c8c", linestyle="--", linewidth=0.8)
    axes.set_yscale("log")
    axes.set(xlabel=labels[0], ylabel=labels[1])
    if by is not None:
        axes.legend(fontsize="small")
    return figure


def against_figure(table: pd.DataFrame) -> Figure:
    """A speedup over each dense model with its interval. table: of `condsim.decide.against`."""
    from matplotlib.figure import Figure

    height = 1.2 + HEIGHT_OF_A_BAR * len(table)
    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(table.to_dict("records")):
        colour = LOSS if row["speedup"] < 1 else GAIN
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2, alpha=0.6)
        axes.plot([row["speedup"]], [place], marker="o", color=colour)
    axes.set_yticks(range(len(table)), [figure_text(each) for each in table["against"]])
    axes.invert_yaxis()
    axes.axvline(1, color="#8c8c8c", linestyle="--", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("speedup: left of 1x it does not pay")
    return figure


def moves_figure(table: pd.DataFrame, now: float) -> Figure:
    """Speedups with half and twice as much of each number of a device.

    table: of `condsim.decide.knobs.moves`. now: the speedup as it is.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(table["number"]))
    figure = Figure(figsize=(6.4, 1.2 + HEIGHT_OF_A_BAR * len(names)), layout="constrained")
    axes = figure.subplots()
    for factor in sorted(table["factor"].unique().tolist()):
        rows = table[table["factor"] == factor]
        places = [names.index(name) for name in rows["number"]]
        colour = LOSS if factor < 1 else GAIN
        axes.plot(rows["speedup"], places, "o", color=colour, label=f"x{factor:g}")
    axes.set_yticks(range(len(names)), [figure_text(name) for name in names])
    axes.invert_yaxis()
    axes.axvline(now, color="#8c8c8c", linestyle="--", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("speedup")
    axes.legend(fontsize="small")
    return figure


def memory_figure(table: pd.DataFrame) -> Figure:
    """A bar a side, cut into parts. table: side, part, bytes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(6.8, 2.6), layout="constrained")
    axes = figure.subplots()
    ends = dict.fromkeys(table["side"], 0.0)
    for part, rows in table.groupby("part", sort=False):
        starts = [ends[side] for side in rows["side"]]
        axes.barh(rows["side"], rows["bytes"], left=starts, label=figure_text(str(part)))
        for side, in_bytes in zip(rows["side"], rows["bytes"], strict=True):
            ends[side] += in_bytes
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(EngFormatter(unit="B"))
    axes.set_xlabel("bytes at the peak of a step")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure
