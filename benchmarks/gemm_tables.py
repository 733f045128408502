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
        types = {**dict.fromkeys(gemm.KEY, "int32"), "latency": "float32"}
        parts.append(picked.astype(types).assign(table=name))
    together = pd.concat(parts, ignore_index=True)
    write_whole(SAMPLE, together.to_parquet(compression="zstd"))


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
    found = {}
    for way, seconds in said.items():
        errors = error(seconds, rows)
        found[way] = {group: quantiles(errors, where) for group, where in groups.items()}
    return {"table": name, "profile": profile.name, "rows": len(rows), "groups": found}


def show(result: dict[str, Any]) -> None:
    print(f"\ndense bf16 products, {result['table']} on {result['profile']}: {result['rows']} rows")
    show_groups(result["groups"])


def fit_halves(name: str) -> None:
    """Fit the constants of a table on each half of its (n, k), and print them."""
    rows, profile = read(name, False), condsim.hardware(TABLES[name])
    for number in (0, 1):
        part = gemm.sample(rows[gemm.half(rows) == number], FIT_ROWS)
        measured_s = part["latency"].to_numpy() * 1e-3
        found = fit(partial(gemm.predicted, part), measured_s, profile, GEMM_NAMES)
        print(f"half {number}: {found}", flush=True)


def main() -> None:
    """Read the options, then print the tables, fit constants or take the sample."""
    parser = common_options(__doc__)
    options = parser.parse_args()
    try:
        if options.sample:
            take_sample()
        elif options.fit:
            fit_halves(named(TABLES, [options.fit])[0])
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
