"""Serving, predicted against what was measured: here, and by others."""
