"""Exchanges between devices and placements of experts against published measurements.

    python -m benchmarks.clusters FOLDER [--placements FOLDER]

FOLDER holds `alltoall.csv` and `collectives.csv`: rows of ai-dynamo/aiconfigurator's tables in SI
units. Rows that their source doubts (spikes, masked routes, slow fabric) are left out. The
constants of `condsim.parallel.exchanges` and of the fabric nvlink-4 are least squares on these
rows, so what is printed is how well the forms fit; shapes that are not among them are predictions.
--placements: a folder of `cases.csv` and `CASE.npz` (counts, phy2log): what DeepSeek's load
balancer gave; slots must be equal.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim.parallel.exchange import (
    EXCHANGES,
    Sent,
    all_gather_seconds,
    all_reduce_seconds,
)
from condsim.parallel.fabric import fabric
from condsim.parallel.placement import Cluster, place

KERNELS = {"deepep_low_latency": "deepep-low-latency", "deepep_normal": "deepep-normal"}
BARS = {"deepep_low_latency": (0.03, 0.08), "deepep_normal": (0.10, 0.30), "nccl": (0.10, 0.30)}
"""Kernel → largest median and 90th percentile of |error|."""
DOUBTS = "masked|slow_fabric|spike|unstable|incast|same_work"
BYTES = {"dispatch": 1 + 1 / 32, "combine": 2.0}
"""Bytes an element: fp8 with a scale for each 128, and bf16."""
SMS = 20


def evenly_sent(row: Any, nodes: int) -> Sent:
    """Return what random routing sends where each rank has as many tokens."""
    ranks, tokens = int(row.ranks), float(row.tokens_per_rank)
    held = row.experts / ranks
    routes = np.full((1, ranks, ranks), tokens * row.top_k / ranks)
    copies = np.full((1, ranks, ranks), tokens * _reached(row, held))
    node_copies = np.full((1, ranks, nodes), tokens * _reached(row, held * ranks / nodes))
    own = np.full((1, ranks), tokens)
    size = BYTES[row.phase]
    sent = (own, routes, copies, node_copies)
    return Sent(*sent, int(row.hidden), size, int(row.top_k), int(row.experts))


def _reached(row: Any, held: float) -> float:
    """Probability that a token goes to someone who holds so many experts."""
    missed = 1.0
    for chosen in range(int(row.top_k)):
        missed *= max(row.experts - held - chosen, 0.0) / (row.experts - chosen)
    return 1 - missed


def exchanges(folder: Path) -> pd.DataFrame:
    """Return a row a measured exchange: kernel, shape, measured and predicted seconds."""
    table = pd.read_csv(folder / "alltoall.csv")
    table = table[table["kernel"].isin(list(KERNELS)) & _undoubted(table)]
    table = table[table["sms"].isna() | (table["sms"] == SMS)].copy()
    links = fabric("nvlink-4")
    predicted = []
    for row in table.itertuples():
        sent = evenly_sent(row, links.nodes(int(str(row.ranks))))
        seconds = EXCHANGES[KERNELS[str(row.kernel)]].seconds(sent, str(row.phase), links)
        predicted.append(float(seconds[0]))
    return table.assign(predicted_s=predicted)


def collectives(folder: Path) -> pd.DataFrame:
    """Return a row a measured collective of NCCL on one node, measured and predicted seconds."""
    table = pd.read_csv(folder / "collectives.csv")
    table = table[table["implementation"].str.startswith("nccl") & _undoubted(table)]
    link = fabric("nvlink-4").inside
    predicted = []
    for row in table.itertuples():
        law = all_reduce_seconds if row.collective == "all_reduce" else all_gather_seconds
        size = np.array(float(str(row.bytes)))
        predicted.append(float(law(size, int(str(row.ranks)), link)))
    return table.assign(kernel="nccl", phase=table["collective"], predicted_s=predicted)


def _undoubted(table: pd.DataFrame) -> pd.Series:
    return ~table["doubt"].fillna("").str.contains(DOUBTS)


def print_errors(table: pd.DataFrame) -> bool:
    """Print |error| a kernel and phase, and a kernel against its bar; return whether all hold."""
    table = table.assign(error=(table["predicted_s"] / table["latency_s"] - 1).abs())
    holds = True
    for (kernel, phase, ranks), rows in table.groupby(["kernel", "phase", "ranks"]):
        print(f"  {kernel} {phase}, {ranks} ranks: {_said(rows['error'])}")
    for kernel, rows in table.groupby("kernel"):
        median, high = BARS[str(kernel)]
        inside = rows["error"].median() <= median and rows["error"].quantile(0.9) <= high
        holds = holds and bool(inside)
        bar = f"bar {median:.0%} / {high:.0%}, {'holds' if inside else 'MISSED'}"
        print(f"{kernel}: {_said(rows['error'])}, {bar}")
    return holds


def _said(error: pd.Series) -> str:
    median, high = error.median(), error.quantile(0.9)
    return f"median {median:.1%}, p90 {high:.1%} of {len(error)}"


def print_placements(folder: Path) -> bool:
    """Print whether each case's slots are those of DeepSeek's load balancer."""
    all_equal = True
    for case in pd.read_csv(folder / "cases.csv").itertuples():
        stored = np.load(folder / f"{case.case}.npz")
        numbers = (case.gpus, case.replicas, case.nodes, case.groups)
        cluster = Cluster(*[int(str(number)) for number in numbers])
        placed = [place("eplb", counts, cluster).expert_of for counts in stored["counts"]]
        equal = bool((np.array(placed) == stored["phy2log"]).all())
        all_equal = all_equal and equal
        print(f"placement {case.case}: {'equal slot by slot' if equal else 'DIFFERS'}")
    return all_equal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--placements", type=Path)
    asked = parser.parse_args()
    if not (asked.folder / "alltoall.csv").is_file():
        print(f"skipped: {asked.folder} has no alltoall.csv; make it from aiconfigurator's tables")
        return 0
    holds = print_errors(pd.concat([exchanges(asked.folder), collectives(asked.folder)]))
    if asked.placements is not None:
        holds = print_placements(asked.placements) and holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
