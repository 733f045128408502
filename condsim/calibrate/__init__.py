"""Measuring the machine at hand: micro-benchmarks only, never a model that is to be predicted.

`cpu` measures a CPU and `cpu_profile` makes its profile of what was measured; `accelerator` does
both for a GPU. Every other module is one kind of micro-benchmark, or what several share.
"""

from condsim.calibrate.cpu import calibrate

__all__ = ["calibrate"]
