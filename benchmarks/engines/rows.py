"""Which measured rows are taken, and what is left out."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.gpu.wheel import wheel

INSIDE = "aiconfigurator_core/systems/silicon_sample.csv"
MODELS = {"meta-llama/Llama-3.1-70B": "llama-3.1-70b", "openai/gpt-oss-120b": "gpt-oss-120b"}
"""Names of the file → of the catalogue."""
DEVICES = {
    "h100_sxm": "nvidia-h100-sxm",
    "h200_sxm": "nvidia-h200-sxm",
    "b200_sxm": "nvidia-b200",
}
MXFP4 = "gpt-oss-120b"
"""The model whose published weights are in mxfp4, whatever the file calls them."""


def rows(path: Path | None, tensor: bool = False) -> tuple[pd.DataFrame, Counter[str]]:
    """(rows that can be predicted, in the order of their hash, reason → rows that are left out).

    path: None for the wheel's. tensor: rows of several devices that share every layer, instead of
    those of one.
    """
    table = pd.read_csv(io.BytesIO(_text(path)))
    names = [name for name in table if name not in ("id", "silicon_data_source")]
    table = table[table["mode"] == "agg"].drop_duplicates(names)
    asked = table[_sharing_layers(table) if tensor else _alone(table)]
    left_out = Counter({"another number of devices": len(table) - len(asked)})
    reasons = [_left_out(row) for row in asked.itertuples()]
    left_out.update(reason for reason in reasons if reason)
    taken = asked[[not reason for reason in reasons]]
    by_hash = taken["id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    return taken.loc[by_hash.sort_values().index], left_out


def _alone(table: pd.DataFrame) -> pd.Series:
    """Which rows are of one device."""
    return (table["tp_size"] == 1) & (table["attention_dp_size"] <= 1)


def _sharing_layers(table: pd.DataFrame) -> pd.Series:
    """Which rows are of devices that share every layer, experts too, and nothing else."""
    shares_layers = (table["tp_size"] > 1) & (table["moe_tp_size"] == table["tp_size"])
    alone_otherwise = (table["attention_dp_size"] <= 1) & (table["pp_size"] <= 1)
    return shares_layers & alone_otherwise


def _text(path: Path | None) -> bytes:
    if path is not None:
        return path.read_bytes()
    with zipfile.ZipFile(wheel()) as archive:
        return archive.read(INSIDE)


def _left_out(row: Any) -> str:
    if row.model_path not in MODELS:
        return f"model {row.model_path}"
    if row.system not in DEVICES:
        return f"device {row.system}"
    known = row.precision == "fp8" or MODELS[row.model_path] == MXFP4
    return "" if known else f"weights in {row.gemm_quant_mode}"
