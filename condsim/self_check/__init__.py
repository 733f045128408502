"""Whether a calibration can be trusted: built-in modules, predicted and timed right after it."""
