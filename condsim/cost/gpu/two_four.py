"""Products with a 2:4 sparse matrix: of each four elements of its rows two are kept.

Tensor cores skip the others.

    arithmetic = tiles of half the depth, at 2 / times of a dense product's rate
    bytes of the sparse matrix = half + 2 bits an element kept
    sizes = padded to what the instruction takes

Source: Mishra et al., "Accelerating sparse deep neural networks", 2021 (arXiv 2104.08378); minimum
shapes: PyTorch, torch/sparse/semi_structured.py.
Not true of kernels that are not tuned for a shape: up to 1.7 times is what pytorch/ao reports on an
A100.
"""

from __future__ import annotations

from typing import Any

from condsim.cost.rounding import round_up
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.hardware.gpu import TwoFour

NAME = "two_four_linear"
"""The operator."""
INDEX_BITS = 2
"""What says where a kept element stood."""
LIMITS_ITEMSIZE = 2
"""Bytes of the elements that a profile's limits count."""


def two_four_of(profile: HardwareProfile) -> TwoFour:
    """What a device has for 2:4 sparse products. Raises CondsimError where it has nothing."""
    if profile.gpu is None or profile.gpu.two_four is None:
        raise CondsimError(
            f"{profile.name} multiplies no 2:4 sparse matrices "
            "(its profile has no gpu.two_four); NVIDIA's GPUs do from Ampere on"
        )
    return profile.gpu.two_four


def padded(
    m: Any, n: Any, depth: Any, itemsize: int, sparse: int, limits: TwoFour
) -> tuple[Any, Any, Any]:
    """(m, n, depth) of the product that runs; numbers or arrays.

    depth: of the dense operand. sparse: the operand with the zeros, 0 = of m rows, 1 = of n rows.
    """
    scale = max(LIMITS_ITEMSIZE // itemsize, 1)
    block_of_m = limits.rows * scale
    block_of_n = limits.columns * scale
    if sparse != 0:
        block_of_m, block_of_n = block_of_n, block_of_m
    whole_depth = round_up(depth, limits.depth * scale)
    return round_up(m, block_of_m), round_up(n, block_of_n), whole_depth


def sparse_bytes(rows: Any, depth: Any, itemsize: int) -> Any:
    """Bytes of the sparse matrix [rows, depth] as it is stored: what is kept, and where it stood.

    9/16 of a dense one of 2 bytes an element.
    """
    kept = rows * depth / 2
    return kept * (itemsize + INDEX_BITS / 8)
