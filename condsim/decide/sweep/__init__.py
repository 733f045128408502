"""Sweeps: every point of a grid, on one machine or a cluster, into one table."""
