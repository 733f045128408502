"""A calibrated CPU that does not exist: its tables follow formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from condsim.hardware import (
    FORMAT,
    Among,
    Cold,
    Curve,
    Grid,
    HardwareProfile,
    Residency,
    Scatter,
    hardware,
)

DISPATCH_S = 2e-6
FLOPS_PER_S = 5e10
S_PER_WEIGHT = 1e-10

Seconds = Callable[[float, float, float], float]


def matmul_seconds(m: float, n: float, k: float) -> float:
    """What a product takes on the made-up CPU."""
    return DISPATCH_S + 2 * m * n * k / FLOPS_PER_S + S_PER_WEIGHT * n * k


@pytest.fixture(scope="session")
def formula() -> Seconds:
    """The formula that the grids of the made-up CPU follow."""
    return matmul_seconds


@pytest.fixture(scope="session")
def profile() -> HardwareProfile:
    """The made-up CPU."""
    grid = _grid()
    blocks = hardware("nvidia-h100-sxm").model_dump() | {
        "name": "made-up",
        "format": FORMAT,
        "kind": "cpu",
        "dtype": "fp32",
        "gpu": None,
        "matmuls": {"linear": grid, "mm": grid, "attention": _attention()},
        "operators": _curves(),
        "extra_s": {
            "grouped_mm.setup": 5e-6,
            "grouped_mm.group": 1e-6,
            "grouped_mm.busy": 0.0,
            "grouped_mm.factor": 1.0,
        },
        "residency": _residency(),
        "among": _among(),
        "cold": _cold(),
    }
    return HardwareProfile.model_validate(blocks)


def _grid() -> Grid:
    rows = [1.0, 2, 4, 8, 12, 13, 14, 15, 16, 32, 64]
    columns = [8.0, 64, 256]
    depths = [8.0, 64, 256]
    seconds = [matmul_seconds(m, n, k) for m in rows for n in columns for k in depths]
    return Grid(m=rows, n=columns, k=depths, seconds=seconds, reached=2.0 * 64 * 256 * 256)


def _attention() -> Scatter:
    rng = np.random.default_rng(0)
    points = []
    for _ in range(40):
        groups, m, n = np.exp(rng.uniform(0, 5, 3)).astype(int) + 1
        points.append([float(groups), float(m), float(n), 32.0, 0.0])
    return Scatter(
        dims=["groups", "m", "n", "d", "mask"],
        points=points,
        seconds=[5e-6 + 4e-11 * p[0] * p[1] * p[2] * p[3] for p in points],
        scales=[4.0] * 5,
        noise=0.02,
    )


def _curves() -> dict[str, Curve]:
    sizes = [16.0, 1024, 65536]
    softmax = [[2e-6, 9e-6, 5e-4], [2e-6, 3e-6, 8e-5]]
    return {
        "relu": Curve(sizes=sizes, seconds=[[1e-6, 1.2e-6, 2e-5]]),
        "softmax": Curve(sizes=sizes, lengths=[4, 64], seconds=softmax),
        "elementwise": Curve(sizes=sizes, seconds=[[1e-6, 1.5e-6, 3e-5]], uncertainty=0.5),
        "view.view": Curve(sizes=[1], seconds=[[1.1e-6]]),
    }


def _residency() -> Residency:
    return Residency(
        distance=[1e6, 1e7, 1e8],
        bytes=[2e5, 4e6],
        one_row=[[0, 1e-11, 7e-11], [0, 0, 4e-11]],
        more_rows=[[0, 2e-11, 2e-10], [0, 1e-11, 1e-10]],
        spread=[1e-12, 1e-11, 4e-12],
        limit_bytes=5e5,
        others=1e9,
    )


def _among() -> Among:
    return Among(
        extra_s={
            "relu": 4e-6,
            "view.view": 3e-6,
            "linear": 6e-6,
            "linear.bias": 7e-6,
            "nonzero": 5e-6,
        },
        other_s=4e-6,
        distinct=[1, 4, 16],
        share=[0.0, 0.25, 1.0],
    )


def _cold() -> Cold:
    return Cold(
        distance=[1e6, 1e7],
        shared_s=[1e-6, 5e-6],
        share=[0.2, 1.0],
        own_s={"relu": 1e-5, "view.view": 2e-6},
        other_s=8e-6,
    )
