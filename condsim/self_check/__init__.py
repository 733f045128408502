"""Whether a calibration can be trusted: built-in modules, predicted and timed right after it."""

from condsim.self_check.check import check

__all__ = ["check"]
