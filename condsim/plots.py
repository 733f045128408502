"""Figures for files: Matplotlib, the same numbers as in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from condsim.summarise import Prediction

TOTAL, GAIN, LOSS, MEASURED = "#4c72b0", "#55a868", "#c44e52", "#8172b3"


def waterfall_figure(prediction: Prediction, measured: float | None = None, title: str = "") -> Any:
    """The waterfall of a prediction on a log axis, a matplotlib Figure. Totals start at 1x, the dense baseline; equal heights are equal factors.

    measured: a last bar, None for none. title: default says what was predicted.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    rows = prediction.waterfall.to_dict("records")
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    axes = figure.subplots()
    before, names = 1.0, []
    for x, row in enumerate(rows):
        after = row["speedup"]
        first = row["world"] == "flops"
        _bar(axes, x, 1.0 if first else before, after, TOTAL if first else LOSS if after < before else GAIN)
        label = f"{after:.2f}x" if first else f"x{row['factor']:.2f}" if row["factor"] != 1.0 else "x1"
        _label(axes, x, max(after, before if not first else 1.0), label)
        names.append(str(row["world"]).replace("_", "\n"))
        before = after
    at = len(rows)
    low, high = prediction.speedup_interval
    _bar(axes, at, 1.0, prediction.speedup, TOTAL)
    axes.plot([at, at], [low, high], color="black", linewidth=1.2)
    _label(axes, at, max(prediction.speedup, high, 1.0), f"{prediction.speedup:.2f}x")
    names.append("predicted")
    if measured:
        _bar(axes, at + 1, 1.0, measured, MEASURED)
        _label(axes, at + 1, max(measured, 1.0), f"{measured:.2f}x")
        names.append("measured")
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}x"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    values = [1.0, low, high, prediction.speedup, *(r["speedup"] for r in rows), *([measured] if measured else [])]
    axes.set_ylim(min(values) / 1.12, max(values) * 1.22)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_ylabel(f"speedup over {prediction.baseline}")
    p = prediction
    axes.set_title(f"{title or p.trace} · {p.profile} · {p.strategy} · batch {p.batch} · {p.dtype}", fontsize=10, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def save_waterfall(prediction: Prediction, path: Path, measured: float | None = None, title: str = "") -> Path:
    """Write the waterfall to a file (.svg, .pdf or .png), whole or not at all; the same prediction gives the same bytes."""
    import matplotlib

    part = path.with_name(f".{path.stem}.part{path.suffix}")
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
    try:
        with matplotlib.rc_context({"svg.hashsalt": "condsim"}):
            waterfall_figure(prediction, measured, title).savefig(part, dpi=150, metadata=metadata)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _bar(axes: Any, x: int, start: float, end: float, colour: str) -> None:
    axes.bar(x, abs(end - start), bottom=min(start, end), width=0.72, color=colour)


def _label(axes: Any, x: int, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8)
