"""Figures for files: Matplotlib, the same numbers as in the terminal and in the browser."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condsim.files import is_stream, write_whole
from condsim.predict.waterfall import bars

if TYPE_CHECKING:
    import pandas as pd

    from condsim.predict.prediction import Prediction

KINDS = ("svg", "pdf", "png")
COLOURS = {
    "total": "#4c72b0",
    "gain": "#55a868",
    "loss": "#c44e52",
    "none": "#8c8c8c",
    "measured": "#8172b3",
}
"""Of a waterfall's bars; they read on white and on black."""


def waterfall_figure(prediction: Prediction, measured: float | None = None, title: str = "") -> Any:
    """The waterfall of a prediction on a log axis, a matplotlib Figure. Totals start at 1x, the dense baseline; equal heights are equal factors.

    measured: a last bar, None for none. title: default says what was predicted.
    """
    p = prediction
    rows = bars(p.waterfall, p.speedup, p.speedup_interval, measured)
    figure, axes = _empty(10.5, 4.2)
    for x, row in enumerate(rows.to_dict("records")):
        axes.bar(
            x,
            abs(row["end"] - row["start"]),
            bottom=min(row["start"], row["end"]),
            width=0.72,
            color=COLOURS[row["kind"]],
        )
        top = max(row["start"], row["end"])
        if row["effect"] == "predicted":
            axes.plot([x, x], [row["low"], row["high"]], color="black", linewidth=1.2)
            top = max(top, row["high"])
        axes.annotate(
            row["label"],
            (x, top),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    _times_axis(axes.yaxis)
    values = [1.0, *p.speedup_interval, *rows["start"], *rows["end"]]
    axes.set_ylim(min(values) / 1.12, max(values) * 1.22)
    axes.set_xticks(range(len(rows)), [e.replace("_", "\n") for e in rows["effect"]], fontsize=8)
    axes.set_ylabel(f"speedup over {p.baseline}")
    axes.set_title(
        f"{title or p.trace} · {p.profile} · {p.strategy} · batch {p.batch} · {p.dtype}",
        fontsize=10,
        loc="left",
    )
    return figure


def accuracy_figure(table: pd.DataFrame, by: str = "mechanism", band: float = 0.1) -> Any:
    """Predicted against measured speedup on log axes. table: of `condsim.compare`. Hollow: measured on another machine than the profile's."""
    figure, axes = _empty(5.6, 5.2)
    for i, (name, group) in enumerate(table.groupby(by)):
        for same, face in ((True, None), (False, "none")):
            part = group[group["same_machine"].astype(bool) == same]
            if len(part):
                error = [
                    part["predicted_speedup"] - part["low"],
                    part["high"] - part["predicted_speedup"],
                ]
                colour = f"C{i}"
                axes.errorbar(
                    part["measured_speedup"],
                    part["predicted_speedup"],
                    error,
                    fmt="none",
                    ecolor=colour,
                    alpha=0.3,
                    linewidth=0.8,
                )
                axes.scatter(
                    part["measured_speedup"],
                    part["predicted_speedup"],
                    18,
                    edgecolors=colour,
                    facecolors=face or colour,
                    label=name if same else None,
                )
    values = [*table["measured_speedup"], *table["low"], *table["high"]]
    ends = [min(values) / 1.1, max(values) * 1.1]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.fill_between(
        ends,
        [e * (1 - band) for e in ends],
        [e * (1 + band) for e in ends],
        color="black",
        alpha=0.07,
    )
    for axis in (axes.set_xscale, axes.set_yscale):
        axis("log")
    _times_axis(axes.xaxis)
    _times_axis(axes.yaxis)
    axes.set(xlabel="measured speedup", ylabel="predicted speedup", xlim=ends, ylim=ends)
    axes.legend(frameon=False, fontsize=8)
    return figure


def layers_figure(table: pd.DataFrame, by: str, band: float = 0.1) -> Any:
    """Predicted against measured seconds on log axes. table: predicted_s, measured_s and the column `by`."""
    figure, axes = _empty(5.6, 5.2)
    for name, group in table.groupby(by):
        axes.scatter(group["measured_s"], group["predicted_s"], 10, label=name)
    values = table[["predicted_s", "measured_s"]].to_numpy()
    ends = [values.min() / 1.1, values.max() * 1.1]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.fill_between(
        ends,
        [e * (1 - band) for e in ends],
        [e * (1 + band) for e in ends],
        color="black",
        alpha=0.07,
    )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="measured, s",
        ylabel="predicted, s",
        xlim=ends,
        ylim=ends,
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


def residual_figure(table: pd.DataFrame, by: str = "mechanism", x: str = "batch") -> Any:
    """Error of a prediction against batch. table: columns batch, error and `by`. x: what the axis is called."""
    figure, axes = _empty(6.4, 3.6)
    for name, group in table.groupby(by):
        axes.scatter(group["batch"], group["error"] * 100, 18, label=name)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set(xlabel=x, ylabel="predicted / measured - 1 (%)")
    axes.legend(frameon=False, fontsize=8)
    return figure


def load_figure(table: pd.DataFrame, value: str = "relative") -> Any:
    """Load of each branch at each site, a heat map. table: of `condsim.study.routing.load`. value: relative (to the mean) or share."""
    sites = list(dict.fromkeys(table["site"]))
    grid = table.pivot(index="site", columns="branch", values=value).reindex(sites)
    figure, axes = _empty(min(2.5 + 0.12 * grid.shape[1], 16), min(1.6 + 0.18 * len(sites), 12))
    scale = (
        {"cmap": "RdBu_r", "vmin": 0, "vmax": 2}
        if value == "relative"
        else {"cmap": "viridis", "vmin": 0, "vmax": 1}
    )
    image = axes.imshow(grid.to_numpy(float), aspect="auto", interpolation="nearest", **scale)
    axes.set(xlabel="branch", ylabel="site")
    axes.set_yticks(range(len(sites)), sites, fontsize=6 if len(sites) > 20 else 8)
    figure.colorbar(image, label="load / mean" if value == "relative" else "share of rows")
    return figure


def lines_figure(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    labels: tuple[str, str],
    log2: bool = False,
    level: pd.DataFrame | None = None,
) -> Any:
    """One line a value of `by`. level: dashed lines to compare with, a row a value of `by`."""
    figure, axes = _empty(6.4, 3.6)
    for i, (name, group) in enumerate(table.groupby(by, sort=False)):
        axes.plot(
            group[x], group[y], marker="o", markersize=3, linewidth=1, label=name, color=f"C{i}"
        )
        for value in () if level is None else level.loc[level[by] == name, y]:
            axes.axhline(value, linewidth=0.8, linestyle="--", color=f"C{i}")
    if log2:
        axes.set_xscale("log", base=2)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    if table[by].nunique() <= 12:
        axes.legend(frameon=False, fontsize=7)
    return figure


def timeline_figure(table: pd.DataFrame) -> Any:
    """Slices of a step. table: rows of a prediction's timeline with a lane."""
    lanes = list(dict.fromkeys(table["lane"]))
    figure, axes = _empty(10.5, 1.2 + 0.6 * len(lanes))
    parts = list(dict.fromkeys(table["part"]))
    for row in table.to_dict("records"):
        colour = f"C{parts.index(row['part'])}"
        axes.barh(
            lanes.index(row["lane"]),
            row["duration_s"] * 1e3,
            left=row["start_s"] * 1e3,
            color=colour,
            height=0.7,
            linewidth=0,
        )
    for i, part in enumerate(parts):
        axes.barh(0, 0, color=f"C{i}", label=part)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.invert_yaxis()
    axes.set(xlabel="ms")
    axes.legend(
        frameon=False, fontsize=8, ncols=len(parts), loc="upper right", bbox_to_anchor=(1, 1.25)
    )
    return figure


def pareto_figure(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str]) -> Any:
    """Every row as a point, the ones that no other beats joined. table: with a bool column `front`, and `name`."""
    figure, axes = _empty(7.2, 4.4)
    axes.scatter(table[x], table[y], 16, color="#8c8c8c")
    best = table[table["front"]].sort_values(x)
    axes.plot(best[x], best[y], marker="o", markersize=4, linewidth=1, color=COLOURS["total"])
    for row in best.itertuples():
        axes.annotate(
            row.name,
            (getattr(row, x), getattr(row, y)),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set(xscale="log", yscale="log", xlabel=labels[0], ylabel=labels[1])
    return figure


def breakeven_figure(points: pd.DataFrame, labels: tuple[str, str | None]) -> Any:
    """A line with its interval, or a map of the speedup with what is too close to call hatched. points: rows of `condsim.study.breakeven.grid`."""
    known = points.dropna(subset=["speedup"])
    figure, axes = _empty(7.2, 4.4)
    if labels[1] is None:
        line = known.sort_values("x")
        axes.fill_between(line["x"], line["low"], line["high"], alpha=0.2)
        axes.plot(line["x"], line["speedup"], marker="o", markersize=4)
        axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
        axes.set(yscale="log", xlabel=labels[0], ylabel="speedup")
        if (line["x"] > 0).all():
            axes.set_xscale("log")
        _times_axis(axes.yaxis)
        return figure
    grid = known.pivot(index="y", columns="x", values="speedup")
    limit = max(abs(math.log2(v)) for v in known["speedup"]) or 1.0
    image = axes.imshow(
        grid.map(math.log2).to_numpy(float),
        aspect="auto",
        origin="lower",
        cmap="RdBu",
        vmin=-limit,
        vmax=limit,
    )
    unsure = known.pivot(index="y", columns="x", values="verdict") == "too close to call"
    cells = grid.to_numpy(float)
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            if grid.notna().iloc[i, j]:
                axes.text(
                    j,
                    i,
                    f"{cells[i, j]:.2f}" + ("?" if unsure.iloc[i, j] else ""),
                    ha="center",
                    va="center",
                    fontsize=7,
                )
    axes.set_xticks(range(grid.shape[1]), [f"{float(v):g}" for v in grid.columns.tolist()])
    axes.set_yticks(range(grid.shape[0]), [f"{float(v):g}" for v in grid.index.tolist()])
    axes.set(xlabel=labels[0], ylabel=labels[1])
    figure.colorbar(image, label="log2 of the speedup; ?: too close to call")
    return figure


def _empty(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _times_axis(axis: Any) -> None:
    """Ticks of a log axis as 1x, 2x, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}x"))
    axis.set_minor_formatter(NullFormatter())


def save_waterfall(
    prediction: Prediction, path: Path, measured: float | None = None, title: str = ""
) -> Path:
    """Write the waterfall to a file (.svg, .pdf or .png), whole or not at all.

    The same prediction gives the same bytes. A device or a pipe whose name says no kind gets SVG.
    Raises CondsimError where it cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    if is_stream(path) and kind not in KINDS:
        kind = "svg"
    return write_whole(path, rendered(waterfall_figure(prediction, measured, title), kind))


def rendered(figure: Any, kind: str) -> bytes:
    """A figure as the bytes of a file. kind: svg, pdf or png. The same figure gives the same bytes."""
    import matplotlib

    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "condsim"}):
        figure.savefig(file, format=kind, dpi=150, metadata=metadata)
    return file.getvalue()
