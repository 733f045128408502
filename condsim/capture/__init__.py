"""Capture: probe what a model executes, observe what it decides, and give both as a trace."""

from condsim.capture.capture_trace import Progress, capture_trace
from condsim.capture.header import Labels
from condsim.capture.observe import Quality

__all__ = ["Labels", "Progress", "Quality", "capture_trace"]
