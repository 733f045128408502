"""Rows of a table → seconds that condsim predicts, through `condsim.simulate` alone."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import condsim
from benchmarks.gpu.layer import Layer, trace
from benchmarks.gpu.routing import BALANCED, counts
from benchmarks.gpu.rows import SHAPE, SPLIT, UNGATED
from condsim.hardware import HardwareProfile
from condsim.runtimes.quantised import WEIGHT_DTYPES
from condsim.trace import Trace

DRAWS = 5  # of a skewed row, as in the measurement
TILES: dict[str, Callable[[int], list[dict[str, int]]]] = {
    "sglang": lambda experts: [{"m": 16, "n": 32, "rows": experts}, {"m": 64, "n": 64}],
}
"""Engine → its default rule, by the experts of the layer; vLLM's is that of the profiles.

Source: github.com/sgl-project/sglang, get_default_config.
"""
SCALED, ROWS_DTYPE = "fp8_block", "bf16"
"""Weights whose products compute in a dtype of their own, and the dtype of all else there."""
Case = tuple[Trace, np.ndarray, np.ndarray]
"""A trace, and for each of its steps the row of the table and the tokens."""


def cases(rows: pd.DataFrame, even: bool = False) -> list[Case]:
    """One trace for each shape and split, a step a draw.

    even: no drawn routing but as many experts as can be, each with as many rows.
    """
    found = []
    for key, part in rows.groupby(SHAPE + SPLIT):
        hidden, inter, experts, top_k, tp, ep = (int(k) for k in key)
        gated = (hidden, inter) not in UNGATED
        layer = Layer(hidden, inter // tp, experts, top_k, experts // ep, gated)
        draws: list[Drawn] = []
        for row in part.itertuples():
            draws += _draws(row, key, layer, even)
        draws.sort(key=lambda drawn: drawn.tokens)
        made = trace(layer, [(drawn.tokens, drawn.rows) for drawn in draws])
        of_table = np.array([drawn.row for drawn in draws])
        tokens = np.array([drawn.tokens for drawn in draws])
        found.append((made, of_table, tokens))
    return found


@dataclass(frozen=True)
class Drawn:
    """One draw of the routing of a row of the table. rows: of each expert, int [experts]."""

    tokens: int
    row: int
    rows: np.ndarray


def _draws(row: Any, key: tuple[Any, ...], layer: Layer, even: bool) -> list[Drawn]:
    """Return the draws of a row; one where its routing is balanced."""
    seed = zlib.crc32(repr((key, row.num_tokens, row.distribution)).encode())
    rng = np.random.default_rng(seed)
    distribution = BALANCED if even else row.distribution
    ranks = layer.experts // layer.here
    found = []
    for _ in range(1 if distribution == BALANCED else DRAWS):
        rows = counts(distribution, row.num_tokens, layer.experts, layer.top_k, ranks, rng)
        found.append(Drawn(row.num_tokens, row.Index, rows))
    return found


def predicted(
    of: list[Case], rows: pd.DataFrame, profile: HardwareProfile, dtype: str, engine: str = "vllm"
) -> np.ndarray:
    """Seconds of each row, float [rows]: the mean over its draws.

    rows: those that the cases were made of. dtype: of the arithmetic, or `SCALED`. engine: whose
    rule for tiles is used.
    """
    total, number = np.zeros(len(rows)), np.zeros(len(rows))
    place = {index: i for i, index in enumerate(rows.index)}
    asked = {"dtype": dtype}
    if dtype == SCALED:
        asked = {"dtype": ROWS_DTYPE, "weights": dtype}
    for case, index, _ in of:
        device = profile
        if engine != "vllm":
            tiles = TILES[engine](case.sites[0].branches)
            device = profile.replace(**{"gpu.grouped_tiles": tiles})
        steps = list(range(len(index)))
        prediction = condsim.simulate(case, device, runtime="cuda_graphs", steps=steps, **asked)
        at = np.array([place[i] for i in index])
        np.add.at(total, at, prediction.steps["conditional_s"].to_numpy())
        np.add.at(number, at, 1)
    return total / number


def roofline(
    rows: pd.DataFrame, profile: HardwareProfile, dtype: str, itemsize: int, touched: bool
) -> np.ndarray:
    """What others would say, seconds [rows]: max(FLOPs / peak, weights / bandwidth) with all
    weights here, or those of min(experts, tokens * top_k) experts."""
    arithmetic = WEIGHT_DTYPES[SCALED].computes_in if dtype == SCALED else dtype
    inner = rows.inter_size / rows.moe_tp_size
    sizes = zip(rows.hidden_size, rows.inter_size, strict=True)
    matrices = np.where([size in UNGATED for size in sizes], 2, 3)
    hit = rows.num_experts / rows.moe_ep_size
    if touched:
        hit = np.minimum(rows.num_experts, rows.num_tokens * rows.topk) / rows.moe_ep_size
    assigned = 2.0 * rows.num_tokens * rows.topk / rows.moe_ep_size
    flops = assigned * rows.hidden_size * inner * matrices
    weight_bytes = hit * rows.hidden_size * inner * matrices * itemsize
    arithmetic_s = flops / profile.peak_flops[arithmetic].value
    traffic_s = weight_bytes / profile.dram.bandwidth.value
    return np.asarray(np.maximum(arithmetic_s, traffic_s))
