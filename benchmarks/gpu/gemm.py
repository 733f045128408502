"""Dense products that others measured on GPUs: which rows, and what condsim predicts of them."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

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
    """Rows of one dtype with n and k of LEAST or more; repeats of a size become their mean."""
    rows = table[(table["gemm_dtype"] == dtype) & (table["n"] >= LEAST) & (table["k"] >= LEAST)]
    return rows.groupby(KEY, as_index=False)["latency"].mean()


def sample(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """At least so many rows, as many of each (n, k), the first by hash of their size."""
    order = (
        table[KEY]
        .astype(str)
        .agg("|".join, axis=1)
        .map(lambda key: hashlib.sha256(key.encode()).hexdigest())
    )
    ranked = table.assign(_rank=order).sort_values("_rank")
    each = -(-rows // len(table.groupby(["n", "k"])))
    return (
        ranked[ranked.groupby(["n", "k"]).cumcount() < each]
        .drop(columns="_rank")
        .sort_values(KEY)
        .reset_index(drop=True)
    )


def half(rows: pd.DataFrame) -> np.ndarray:
    """0 or 1 for each row: (n, k) in rising order, in turn. int [rows]."""
    sizes = {s: i % 2 for i, s in enumerate(sorted(set(zip(rows["n"], rows["k"], strict=True))))}
    return np.array([sizes[s] for s in zip(rows["n"], rows["k"], strict=True)])


def predicted(rows: pd.DataFrame, profile: HardwareProfile, dtype: str = "bf16") -> np.ndarray:
    """Seconds of a linear layer in a CUDA graph of COPIES of it, for each row; float [rows]."""
    found = np.zeros(len(rows))
    for (n, k), at in rows.reset_index(drop=True).groupby(["n", "k"]).groups.items():
        units = rows["m"].to_numpy(int)[at]
        one = np.ones(len(units), int)
        x, y = (Tensor((ROWS_DIM, Dim(int(size))), "float") for size in (k, n))
        ops = tuple(
            Op("linear", (x, Tensor((Dim(int(n)), Dim(int(k))), "float", f"w{i}")), (y,))
            for i in range(COPIES)
        )
        program = Program("dense", "prefill-n", Scope(ops))
        lowered = lower(program, {}, {}, Steps.rectangular(units, one, one, {}))
        model = device_model(Target(profile, dtype, RUNTIMES["cuda_graphs"]))
        found[at] = Side(lowered, model).cost.seconds / COPIES
    return found


def roofline(
    rows: pd.DataFrame, profile: HardwareProfile, dtype: str = "bf16", itemsize: int = 2
) -> np.ndarray:
    """max(FLOPs / peak, bytes / bandwidth), seconds [rows]."""
    m, n, k = (rows[c].to_numpy(float) for c in ("m", "n", "k"))
    moved = itemsize * (m * k + n * k + m * n)
    return np.asarray(
        np.maximum(
            2 * m * n * k / profile.peak_flops[dtype].value, moved / profile.dram.bandwidth.value
        )
    )
