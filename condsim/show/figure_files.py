"""Figures as files: the same figure gives the same bytes, written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from condsim.files import is_stream, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("svg", "pdf", "png")
"""Of files that figures can be written to."""


def save_figure(figure: Figure, path: Path) -> Path:
    kind = path.suffix.lower().removeprefix(".")
    if is_stream(path) and kind not in KINDS:
        kind = "svg"
    return write_whole(path, rendered(figure, kind))


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as the bytes of a file. kind: svg, pdf or png.

    The same figure gives the same bytes.
    """
    import matplotlib

    no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "condsim"}):
        figure.savefig(file, format=kind, dpi=150, metadata=no_date.get(kind, {}))
    return file.getvalue()
