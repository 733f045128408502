"""Predicted over measured seconds of dense products on GPUs (bf16, 512 columns and depth or
more): rows of others, no routing, one linear layer a row.

    python -m benchmarks.gemm_tables [--only NAME ...] [--all] [--json]
    python -m benchmarks.gemm_tables --fit NAME

Without options: a sample of about 3,000 rows of each table (`benchmarks/gpu/gemm_sample.parquet`),
each predicted with no fitted constant, and with those that were fitted on half of the H100's (n,
k), scored on the other half. --all: every row; the wheel is fetched. Errors are |predicted /
measured - 1| in %, median / 90th percentile.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim
from benchmarks.gpu import gemm, wheel
from benchmarks.gpu.constants import GEMM, GEMM_NAMES
from benchmarks.gpu.report import error, named, quantiles, show_groups
from benchmarks.gpu.report import options as common_options
from condsim.calibrate.fit import fit
from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.hardware import HardwareProfile

SAMPLE = Path(__file__).with_name("gpu") / "gemm_sample.parquet"
ROWS, FIT_ROWS = 3000, 1000
TABLES = {
    "h100_sxm/vllm/0.24.0": "nvidia-h100-sxm",
    "h200_sxm/vllm/0.24.0": "nvidia-h200-sxm",
    "a100_sxm/sglang/0.5.10": "nvidia-a100-sxm-80gb",
    "l40s/vllm/0.24.0": "nvidia-l40s",
    "b200_sxm/vllm/0.24.0": "nvidia-b200",
}
"""system/engine/version → the profile of its device."""


def read(name: str, everything: bool) -> pd.DataFrame:
    """Rows of a table, from the wheel or the committed sample."""
    if not everything and SAMPLE.is_file():
        stored = pd.read_parquet(SAMPLE)
        return stored[stored["table"] == name].drop(columns="table").reset_index(drop=True)
    system, engine, version = name.split("/")
    return gemm.kept(wheel.table(system, engine, version, "gemm"), "bfloat16")


def take_sample() -> None:
    """Write the committed sample."""
    parts = []
    for name in TABLES:
        picked = gemm.sample(read(name, True), ROWS)
        parts.append(
            picked.assign(
                table=name,
                latency=picked["latency"].astype("float32"),
                **{c: picked[c].astype("int32") for c in gemm.KEY},
            )
        )
    write_whole(SAMPLE, pd.concat(parts, ignore_index=True).to_parquet(compression="zstd"))


def fitted(rows: pd.DataFrame, profile: HardwareProfile) -> np.ndarray:
    """Seconds, each half of the (n, k) with the constants of the other, float [rows]."""
    halves, seconds = gemm.half(rows), np.zeros(len(rows))
    for i, constants in enumerate(GEMM):
        seconds[halves != i] = gemm.predicted(rows[halves != i], profile.replace(**constants))
    return seconds


def report(name: str, everything: bool = False) -> dict[str, Any]:
    """All figures of one table."""
    rows, profile = read(name, everything), condsim.hardware(TABLES[name])
    m = rows["m"].to_numpy()
    groups = {
        "all": m > 0,
        "m <= 64": m <= 64,
        "65 to 1,024": (m > 64) & (m <= 1024),
        "> 1,024": m > 1024,
    }
    said = {
        "no fitted constant": gemm.predicted(rows, profile),
        "constants of the H100": fitted(rows, profile),
        "roofline": gemm.roofline(rows, profile),
    }
    return {
        "table": name,
        "profile": profile.name,
        "rows": len(rows),
        "groups": {
            way: {g: quantiles(error(seconds, rows), at) for g, at in groups.items()}
            for way, seconds in said.items()
        },
    }


def show(result: dict[str, Any]) -> None:
    print(f"\ndense bf16 products, {result['table']} on {result['profile']}: {result['rows']} rows")
    show_groups(result["groups"])


def main() -> None:
    parser = common_options(__doc__)
    options = parser.parse_args()
    try:
        if options.sample:
            take_sample()
        elif options.fit:
            name = named(TABLES, [options.fit])[0]
            rows = read(name, False)
            for i in (0, 1):
                part = gemm.sample(rows[gemm.half(rows) == i], FIT_ROWS)
                found = fit(
                    partial(gemm.predicted, part),
                    part["latency"].to_numpy() * 1e-3,
                    condsim.hardware(TABLES[name]),
                    GEMM_NAMES,
                )
                print(f"half {i}: {found}", flush=True)
        else:
            results = [report(name, options.all) for name in named(TABLES, options.only)]
            if options.json:
                print(json.dumps(results))
            else:
                for result in results:
                    show(result)
    except CondsimError as e:
        raise SystemExit(f"{parser.prog}: {e}") from None


if __name__ == "__main__":
    main()
