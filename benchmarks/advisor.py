"""The advisor's record: its calls against all that was measured and is kept in this repository.

    python -m benchmarks.advisor [--anew] [--json] [--write]

A call is *pays*, *does not pay* or *too close to call*, by the 90 % interval of the predicted
speedup against 1, and never knows what was measured. Judged against: every case of the runs of this
repository on CPUs (`benchmarks/runs`), mixture-of-experts layers on GPUs beside dense products of
the same width (`benchmarks/gpu`, where both were measured by one engine at exactly these sizes),
and published speedups (`benchmarks/literature`).

--anew: predict the cases of the runs again; their models are captured first, which takes minutes.
Without it, the intervals are those that `benchmarks.accuracy` wrote last. --write: put the table
into docs/advise.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim
from benchmarks import published
from benchmarks.gpu.layer import Layer, trace
from benchmarks.gpu.predict import TILES
from benchmarks.gpu.routing import BALANCED, counts
from benchmarks.gpu.rows import UNGATED
from benchmarks.tables import markdown, replace_between
from condsim.cost.gpu.device import UNCERTAINTY_OF_PRODUCTS
from condsim.hardware.quantity import UNCERTAINTY
from condsim.predict.intervals import SideSeconds, Spread, intervals
from condsim.predict.verdict import FASTER, SLOWER, TOO_CLOSE, verdict_of

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "advise.md"
FAR = 0.15
"""A measured speedup so far from 1, as a ratio, should not be too close to call."""
BARS = {"right": 0.95, "too close": 0.15}
COLUMNS = ["where", "of", "case", "low", "high", "verdict", "measured", "noisy"]
GPU_TABLES = {
    "h100_sxm/vllm/0.24.0": "nvidia-h100-sxm",
    "h200_sxm/vllm/0.24.0": "nvidia-h200-sxm",
    "l40s/vllm/0.24.0": "nvidia-l40s",
    "a100_sxm/sglang/0.5.10": "nvidia-a100-sxm-80gb",
}
"""Tables that have both mixtures of experts and dense products → profile."""
DRAWS = 5
GPU = "nvidia"
"""How the names of GPUs begin among published rows."""


def runs(anew: bool) -> Iterator[dict[str, Any]]:
    """Every case that was measured on a CPU."""
    for folder in sorted((HERE / "runs").iterdir()):
        for case in _cases(folder, anew).to_dict("records"):
            yield {
                "where": "CPUs",
                "of": folder.name,
                "case": f"{case['trace']} {case['strategy']} {case['phase']} "
                f"{case['batch']} {case['baseline']}",
                "low": case["low"],
                "high": case["high"],
                "verdict": verdict_of((case["low"], case["high"])),
                "measured": case["measured_speedup"],
                "noisy": bool(case["noisy"]),
            }


def _cases(folder: Path, anew: bool) -> pd.DataFrame:
    if anew:
        from benchmarks.suite.run import traces

        return condsim.compare(traces(folder))
    file = folder / "cases.parquet"
    return pd.read_parquet(file) if file.exists() else pd.DataFrame()


# GPUs


def layers() -> Iterator[dict[str, Any]]:
    """Mixture-of-experts layers beside the dense layer of as many columns, both measured."""
    moe = pd.read_parquet(HERE / "gpu" / "sample.parquet")
    dense = pd.read_parquet(HERE / "gpu" / "gemm_sample.parquet")
    seconds = {(r.table, r.n, r.k, r.m): r.latency * 1e-3 for r in dense.itertuples()}
    for row in moe.itertuples():
        table = row.table.rpartition("/")[0]
        if table not in GPU_TABLES or row.table.rpartition("/")[2] != "bfloat16":
            continue
        layer = _layer(row)
        for baseline, experts in (("same-params", layer.here), ("same-flops", layer.top_k)):
            wide = seconds.get((table, layer.wide * experts, layer.hidden, row.num_tokens))
            back = seconds.get((table, layer.hidden, layer.inner * experts, row.num_tokens))
            if wide is not None and back is not None:
                yield _judged_layer(row, layer, table, baseline, wide + back)


def _layer(row: Any) -> Layer:
    gated = (row.hidden_size, row.inter_size) not in UNGATED
    inner = int(row.inter_size // row.moe_tp_size)
    here = int(row.num_experts // row.moe_ep_size)
    return Layer(int(row.hidden_size), inner, int(row.num_experts), int(row.topk), here, gated)


@lru_cache
def _profile(table: str, experts: int) -> Any:
    profile = condsim.hardware(GPU_TABLES[table])
    engine = table.split("/")[1]
    return (
        profile.replace(**{"gpu.grouped_tiles": TILES[engine](experts)})
        if engine in TILES
        else profile
    )


def _judged_layer(
    row: Any, layer: Layer, table: str, baseline: str, dense_s: float
) -> dict[str, Any]:
    """One layer, predicted through `condsim.simulate`."""
    rng = np.random.default_rng(int(row.num_tokens))
    draws = [
        counts(
            row.distribution, row.num_tokens, layer.experts, layer.top_k, int(row.moe_ep_size), rng
        )
        for _ in range(1 if row.distribution == BALANCED else DRAWS)
    ]
    traced = trace(layer, [(int(row.num_tokens), rows) for rows in draws])
    steps = list(range(len(draws)))
    options = {"dtype": "bf16", "runtime": "cuda_graphs", "steps": steps}
    said = condsim.simulate(traced, _profile(table, layer.experts), baseline=baseline, **options)
    low, high = said.speedup_interval
    return {
        "where": "GPUs",
        "of": table,
        "case": f"{layer} {row.num_tokens} tokens {row.distribution} {baseline}",
        "low": low,
        "high": high,
        "verdict": said.verdict,
        "measured": dense_s / (row.latency * 1e-3),
        "noisy": False,
    }


# What others published


def literature() -> Iterator[dict[str, Any]]:
    """Published speedups that a prediction stands beside."""
    table = published.rows()
    judged = table[table["published_speedup"].notna() & table["predicted_speedup"].notna()]
    for row in judged.itertuples():
        low, high = _interval_of(row.predicted_speedup, row.device)
        yield {
            "where": "published",
            "of": row.device,
            "case": row.id,
            "low": low,
            "high": high,
            "verdict": verdict_of((low, high)),
            "measured": row.published_speedup,
            "noisy": False,
        }


def _interval_of(speedup: float, device: str) -> tuple[float, float]:
    """The interval of a quotient of two sides that are estimated whole, by the advisor's own rule.

    It is that of an operator which nobody measured, on a GPU that of its products.
    """
    uncertainty = UNCERTAINTY["estimated"]
    if device.startswith(GPU):
        uncertainty = max(UNCERTAINTY_OF_PRODUCTS.values())
    sides = SideSeconds({"all": 1.0}), SideSeconds({"all": speedup})
    interval, _ = intervals(*sides, Spread({"all": uncertainty}))
    return interval


# The record


def record(anew: bool = False) -> pd.DataFrame:
    """Every judged case: a row each of `COLUMNS`."""
    rows = [*runs(anew), *layers(), *literature()]
    return pd.DataFrame(rows, columns=COLUMNS)


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """How many calls were right, and how many too close where the truth is not."""
    says = table["verdict"]
    definite = says != TOO_CLOSE
    pays = (says == FASTER) & (table["measured"] > 1)
    does_not = (says == SLOWER) & (table["measured"] < 1)
    right = pays | does_not
    far = np.abs(np.log(table["measured"].to_numpy(float))) > np.log(1 + FAR)
    return {
        "cases": len(table),
        "definite": int(definite.sum()),
        "right": float(right[definite].mean()) if definite.any() else None,
        "wrong": int((definite & ~right).sum()),
        "far from 1": int(far.sum()),
        "too close there": float((~definite)[far].mean()) if far.any() else None,
        "interval, median": f"{np.exp(_half_width(table).median()):.2f}x",
        "errors, 90 %": f"{np.exp(_log_error(table).quantile(0.9)):.2f}x",
    }


def _half_width(table: pd.DataFrame) -> pd.Series:
    """Half of each interval's width in logarithms: from its middle it reaches so many times up
    and down."""
    return np.log(table["high"] / table["low"]) / 2


def _log_error(table: pd.DataFrame) -> pd.Series:
    """How far each measurement is from the middle of its interval, in logarithms."""
    middle = np.sqrt(table["low"] * table["high"])
    return np.abs(np.log(table["measured"] / middle))


def summaries(table: pd.DataFrame) -> pd.DataFrame:
    """The summary of everything, of each kind of source, and of each run or device."""
    rows = [{"measured": "all", **summary(table)}]
    for where, part in table.groupby("where", sort=False):
        rows.append({"measured": where, **summary(part)})
        for of, own in part.groupby("of", sort=False):
            rows.append({"measured": f"{where}: {of}", **summary(own)})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    table = record(options.anew)
    found = summaries(table)
    if options.json:
        print(json.dumps({"summary": found.to_dict("records"), "cases": table.to_dict("records")}))
        return
    print(markdown(found))
    wrong = table[
        (table["verdict"] == FASTER) & (table["measured"] <= 1)
        | (table["verdict"] == SLOWER) & (table["measured"] >= 1)
    ]
    print("\nwrong calls\n" + wrong.to_string(index=False))
    if options.write:
        replace_between(DOCS, "advisor", markdown(found))


if __name__ == "__main__":
    main()
