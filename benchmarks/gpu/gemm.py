"""Dense products that others measured on GPUs: which rows, and what condsim predicts of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.gpu.rows import hashes
from condsim.cost.cost_model import device_model
from condsim.cost.device import Target
from condsim.hardware import HardwareProfile
from condsim.lower import lower
from condsim.predict.side import Side
from condsim.program import Dim, Op, Program, Scope, Tensor
from condsim.runtimes import RUNTIMES
from condsim.steps.extents import Steps

KEY = ["n", "k", "m"]
LEAST = 512  # columns and depth: smaller ones are other kernels, and mostly launch
ROWS_DIM = Dim.product(1, "batch")
COPIES = 6
"""Layers with weights of their own that were run in turn, so that L2 keeps less
(ai-dynamo/aiconfigurator, collector/vllm/collect_gemm.py, also sglang's)."""


def kept(table: pd.DataFrame, dtype: str) -> pd.DataFrame:
    """Keep the rows of one dtype with n and k of LEAST or more.

    Repeats of a size become their mean.
    """
    large = (table["n"] >= LEAST) & (table["k"] >= LEAST)
    rows = table[(table["gemm_dtype"] == dtype) & large]
    return rows.groupby(KEY, as_index=False)["latency"].mean()


def sample(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Pick at least so many rows, as many of each (n, k), the first by hash of their size."""
    ranked = table.assign(_rank=hashes(table, KEY)).sort_values("_rank")
    each = -(-rows // len(table.groupby(["n", "k"])))
    place = ranked.groupby(["n", "k"]).cumcount()
    picked = ranked[place < each].drop(columns="_rank")
    return picked.sort_values(KEY).reset_index(drop=True)


def half(rows: pd.DataFrame) -> np.ndarray:
    """Return the half of each row, int [rows] of 0 and 1: (n, k) in rising order, in turn."""
    sizes = list(zip(rows["n"], rows["k"], strict=True))
    in_turn = {size: place % 2 for place, size in enumerate(sorted(set(sizes)))}
    return np.array([in_turn[size] for size in sizes])


def predicted(rows: pd.DataFrame, profile: HardwareProfile, dtype: str = "bf16") -> np.ndarray:
    """Return the seconds of a linear layer in a CUDA graph of COPIES of it; float [rows]."""
    found = np.zeros(len(rows))
    model = device_model(Target(profile, dtype, RUNTIMES["cuda_graphs"]))
    for (n, k), at in rows.reset_index(drop=True).groupby(["n", "k"]).groups.items():
        units = rows["m"].to_numpy(int)[at]
        one = np.ones(len(units), int)
        steps = Steps.rectangular(units, one, one, {})
        lowered = lower(_copies(int(n), int(k)), {}, {}, steps)
        found[at] = Side(lowered, model).cost.seconds / COPIES
    return found


def _copies(n: int, k: int) -> Program:
    """Return COPIES linear layers, each with a weight [n, k] of its own."""
    x, y = Tensor((ROWS_DIM, Dim(k)), "float"), Tensor((ROWS_DIM, Dim(n)), "float")
    ops = []
    for copy in range(COPIES):
        weight = Tensor((Dim(n), Dim(k)), "float", f"w{copy}")
        ops.append(Op("linear", (x, weight), (y,)))
    return Program("dense", "prefill-n", Scope(tuple(ops)))


def roofline(
    rows: pd.DataFrame, profile: HardwareProfile, dtype: str = "bf16", itemsize: int = 2
) -> np.ndarray:
    """Return max(FLOPs / peak, bytes / bandwidth), seconds [rows]."""
    m, n, k = (rows[c].to_numpy(float) for c in ("m", "n", "k"))
    moved_bytes = itemsize * (m * k + n * k + m * n)
    arithmetic_s = 2 * m * n * k / profile.peak_flops[dtype].value
    traffic_s = moved_bytes / profile.dram.bandwidth.value
    return np.asarray(np.maximum(arithmetic_s, traffic_s))
