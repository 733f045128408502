"""What a trace's model decided: load of each branch, branches touched at a batch size, and how alike steps are. Tables for a page or a notebook."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.steps.rebatch import rebatch
from condsim.trace import Trace

LAGS = (1, 2, 4, 8, 16)


def load(trace: Trace) -> pd.DataFrame:
    """A row a site and branch: rows that took it, share (of the rows that decided there; sparse_activation: of the rows in which the block runs), and
    relative (load / mean load over the site's branches)."""
    tables = []
    for site in trace.sites:
        rows = trace.unit_counts(site.name).sum(0)
        decided = (
            int(trace.rows_per_unit(site).sum())
            if site.mechanism == "sparse_activation"
            else rows.sum() / (site.top_k or 1)
        )
        tables.append(
            pd.DataFrame(
                {
                    "site": site.name,
                    "mechanism": site.mechanism,
                    "branch": np.arange(site.branches),
                    "rows": rows,
                    "share": rows / max(decided, 1),
                    "relative": rows / max(rows.mean(), 1e-30),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def touched(trace: Trace, batches: Iterable[int], phase: str | None = None) -> pd.DataFrame:
    """A row a site and batch size: branches that at least one row of a step takes, mean over the steps, and its share of all branches.

    Batch sizes that the trace has not enough units for are left out. Raises CondsimError where none is left.
    """
    rows = []
    for batch in batches:
        try:
            counts = rebatch(trace, batch, phase).rows.counts
        except CondsimError as error:
            problem = error
            continue
        for site in trace.sites:
            mean = float((counts[site.name] > 0).sum(1).mean())
            rows.append(
                {
                    "site": site.name,
                    "mechanism": site.mechanism,
                    "batch": batch,
                    "touched": mean,
                    "share": mean / site.branches,
                }
            )
    if not rows:
        raise problem
    return pd.DataFrame(rows)


def alike(trace: Trace, batch: int | None = None, phase: str | None = None) -> pd.DataFrame:
    """A row a site and lag: the share of rows that two steps so far apart send to the same branches, 1 - total variation, mean over pairs of steps.

    lag 0 stands for steps paired at random: a lag above it shows correlation in time.
    """
    counts = rebatch(trace, batch, phase).rows.counts
    rows = []
    order = np.random.default_rng(0)
    for site in trace.sites:
        share = counts[site.name] / np.maximum(counts[site.name].sum(1, keepdims=True), 1)
        n = len(share)
        for lag in (0, *(lag for lag in LAGS if lag < n)):
            a, b = (share, share[order.permutation(n)]) if lag == 0 else (share[:-lag], share[lag:])
            rows.append(
                {
                    "site": site.name,
                    "mechanism": site.mechanism,
                    "lag": lag,
                    "alike": float(np.minimum(a, b).sum(1).mean()),
                }
            )
    return pd.DataFrame(rows)


def powers(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`."""
    return [1 << i for i in range(max(most, 1).bit_length()) if 1 << i <= most]
