"""Kernel → seconds and joules on a profile: pure functions on arrays, one file an effect.

Nothing here needs PyTorch.
"""
