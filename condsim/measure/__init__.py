"""Measure: time a captured model on this machine, beside its baselines.

`measure` does so in fresh processes, for a trace whose spec can rebuild the model; `measure_live`
in the calling process; `measure_segments` in a fresh process, operator by operator. Importing this
package needs no torch, and neither do `measure` and `measure_segments`: the processes do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from condsim.measure.fresh import measure, measure_segments

if TYPE_CHECKING:
    from condsim.measure.in_process import measure_live as measure_live

__all__ = ["measure", "measure_live", "measure_segments"]


def __getattr__(name: str) -> Any:
    """`measure_live` is imported when it is asked for: it needs torch."""
    if name != "measure_live":
        known = ", ".join(__all__)
        raise AttributeError(f"module 'condsim.measure' has no attribute {name!r}; it has {known}")
    return importlib.import_module("condsim.measure.in_process").measure_live
