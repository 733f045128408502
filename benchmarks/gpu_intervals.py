"""How wide the intervals of a GPU's products must be, by products that others measured.

    python -m benchmarks.gpu_intervals [--write]

Every device weighs the same. *Asks for* is the relative standard deviation with which 90 % of a
device's own rows lie inside of their intervals (split-conformal: Vovk, Gammerman, Shafer, 2005),
*others ask for* that of the other devices, which is what a device that nobody measured would get,
and *holds with it* how many of its rows then lie inside. --write: put the table into docs/gpu.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

import condsim
from benchmarks import gemm_tables, gpu_tables
from benchmarks.gpu import gemm
from benchmarks.tables import markdown, replace_between

DOCS = Path(__file__).parents[1] / "docs" / "gpu.md"
HELD = 0.9
"""Share of the rows that an interval holds."""
ROWS = 700
"""Rows of a table, about."""
HALF_WIDTH = float(norm.ppf((1 + HELD) / 2))
"""Standard deviations from the middle of an interval to its end."""
Scores = Mapping[str, Sequence[np.ndarray]]
"""Device → of each of its tables how far each row is off, |ln(measured / predicted)|."""


def grouped_products() -> dict[str, list[np.ndarray]]:
    """Layers of experts in bf16 on one rank."""
    found: dict[str, list[np.ndarray]] = {}
    for table in gpu_tables.TABLES:
        if table.dtype != "bfloat16":
            continue
        rows = gpu_tables.beside(table, ROWS)
        alone = rows[(rows["tp"] == 1) & (rows["ep"] == 1)]
        found.setdefault(table.profile, []).append(_off(alone["predicted_s"], alone["measured_s"]))
    return found


def dense_products() -> dict[str, list[np.ndarray]]:
    """Linear layers in bf16."""
    found: dict[str, list[np.ndarray]] = {}
    for name, profile in gemm_tables.TABLES.items():
        every = gemm_tables.read(name, everything=False)
        rows = every.iloc[:: max(len(every) // ROWS, 1)].reset_index(drop=True)
        predicted_s = gemm.predicted(rows, condsim.hardware(profile))
        found.setdefault(profile, []).append(_off(predicted_s, rows["latency"] * 1e-3))
    return found


def _off(predicted_s: Any, measured_s: Any) -> np.ndarray:
    ratio = np.asarray(measured_s, float) / np.asarray(predicted_s, float)
    off: np.ndarray = np.abs(np.log(ratio))
    return off


def asked_for(devices: Sequence[Sequence[np.ndarray]]) -> float:
    """Return the relative standard deviation that intervals need to hold `HELD` of the rows.

    devices: scores of the tables of each; a device weighs as much as another, and so does a table
    of a device.
    """
    scores, weights = [], []
    for tables in devices:
        for of_table in tables:
            scores.append(of_table)
            share = 1 / (len(devices) * len(tables) * len(of_table))
            weights.append(np.full(len(of_table), share))
    score, weight = np.concatenate(scores), np.concatenate(weights)
    order = np.argsort(score)
    wanted = min(HELD * (1 + 1 / len(score)), 1.0)
    place = int(np.searchsorted(np.cumsum(weight[order]), wanted - 1e-12))
    return float(score[order[min(place, len(order) - 1)]]) / HALF_WIDTH


def holds(tables: Sequence[np.ndarray], deviation: float) -> float:
    """Return the share of a device's rows inside of intervals of a relative deviation."""
    shares = [float((of_table <= HALF_WIDTH * deviation).mean()) for of_table in tables]
    return float(np.mean(shares))


def rows_of(what: str, scores: Scores) -> list[dict[str, Any]]:
    """A row a device, and one of all."""
    found = []
    for device, tables in scores.items():
        others = [scores[other] for other in scores if other != device]
        of_others = asked_for(others)
        found.append(
            {
                "products": what,
                "device": device,
                "rows": sum(map(len, tables)),
                "asks for": asked_for([tables]),
                "others ask for": of_others,
                "holds with it": holds(tables, of_others),
            }
        )
    total = sum(row["rows"] for row in found)
    everything = asked_for(list(scores.values()))
    whole = {"products": what, "device": "all", "rows": total, "asks for": everything}
    return [*found, whole | {"others ask for": None, "holds with it": None}]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows = [*rows_of("grouped", grouped_products()), *rows_of("dense", dense_products())]
    table = markdown(pd.DataFrame(rows))
    print(table)
    if options.write:
        replace_between(DOCS, "gpu intervals", table)


if __name__ == "__main__":
    main()
