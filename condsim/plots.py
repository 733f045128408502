"""Figures for files: Matplotlib, the same numbers as in the terminal and in the browser."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condsim.waterfall import bars

if TYPE_CHECKING:
    from condsim.summarise import Prediction

COLOURS = {"total": "#4c72b0", "gain": "#55a868", "loss": "#c44e52", "none": "#8c8c8c", "measured": "#8172b3"}
"""Of a waterfall's bars; they read on white and on black."""


def waterfall_figure(prediction: Prediction, measured: float | None = None, title: str = "") -> Any:
    """The waterfall of a prediction on a log axis, a matplotlib Figure. Totals start at 1x, the dense baseline; equal heights are equal factors.

    measured: a last bar, None for none. title: default says what was predicted.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    p = prediction
    rows = bars(p.waterfall, p.speedup, p.speedup_interval, measured)
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for x, row in enumerate(rows.to_dict("records")):
        axes.bar(x, abs(row["end"] - row["start"]), bottom=min(row["start"], row["end"]), width=0.72, color=COLOURS[row["kind"]])
        top = max(row["start"], row["end"])
        if row["effect"] == "predicted":
            axes.plot([x, x], [row["low"], row["high"]], color="black", linewidth=1.2)
            top = max(top, row["high"])
        axes.annotate(row["label"], (x, top), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}x"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    values = [1.0, *p.speedup_interval, *rows["start"], *rows["end"]]
    axes.set_ylim(min(values) / 1.12, max(values) * 1.22)
    axes.set_xticks(range(len(rows)), [e.replace("_", "\n") for e in rows["effect"]], fontsize=8)
    axes.set_ylabel(f"speedup over {p.baseline}")
    axes.set_title(f"{title or p.trace} · {p.profile} · {p.strategy} · batch {p.batch} · {p.dtype}", fontsize=10, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def save_waterfall(prediction: Prediction, path: Path, measured: float | None = None, title: str = "") -> Path:
    """Write the waterfall to a file (.svg, .pdf or .png), whole or not at all; the same prediction gives the same bytes."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        part.write_bytes(rendered(waterfall_figure(prediction, measured, title), path.suffix.lower().removeprefix(".")))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def rendered(figure: Any, kind: str) -> bytes:
    """A figure as the bytes of a file. kind: svg, pdf or png. The same figure gives the same bytes."""
    import matplotlib

    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "condsim"}):
        figure.savefig(file, format=kind, dpi=150, metadata=metadata)
    return file.getvalue()
