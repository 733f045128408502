"""What a trace's model decided: tables for a page or a notebook.

The load of each branch, the branches touched at a batch size, and how alike steps are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS
from condsim.steps.rebatch import rebatch
from condsim.trace import Site, Trace
from condsim.trace.columns import TRAINED

LAGS = (1, 2, 4, 8, 16)
"""Steps so far apart are compared."""
CAPACITY_FACTOR = 1.25
"""Of Switch Transformers, where nothing else is said."""
ANY_LAG = 0
"""Stands for two steps that are paired at random."""


def load(trace: Trace) -> pd.DataFrame:
    """A row a site and branch: the rows that took it, and two ways to relate them.

    share: of the rows that decided at the site; where blocks of a weight are selected, of the rows
    in which the block runs. relative: load / mean load over the site's branches.
    """
    tables = []
    for site in trace.sites:
        rows = trace.unit_counts(site.name).sum(0)
        columns = {
            "site": site.name,
            "mechanism": site.mechanism,
            "branch": np.arange(site.branches),
            "rows": rows,
            "share": rows / max(_rows_that_decided(trace, site, rows), 1),
            "relative": rows / max(rows.mean(), 1e-30),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _rows_that_decided(trace: Trace, site: Site, rows: np.ndarray) -> float:
    """How many rows decided at a site. rows: that took each branch, int [branches]."""
    if MECHANISMS[site.mechanism].selects_blocks:
        return int(trace.rows_per_unit(site).sum())
    branches_a_row = site.top_k or 1
    return float(rows.sum() / branches_a_row)


def touched(trace: Trace, batches: Iterable[int], phase: str | None = None) -> pd.DataFrame:
    """A row a site and batch size: how many branches at least one row of a step takes.

    touched: the mean over the steps. share: of all branches of the site.
    Batch sizes that the trace has not enough units for are left out. Raises CondsimError where no
    batch size is left, and where decisions are of weights.
    """
    trace.require_rows()
    rows: list[dict[str, Any]] = []
    refusal = CondsimError("name at least one batch size")
    for batch in batches:
        try:
            steps = rebatch(trace, batch, phase)
        except CondsimError as error:
            refusal = error
            continue
        for site in trace.sites:
            is_touched = steps.steps.counts[site.name] > 0
            touched_branches = is_touched.sum(1)
            mean = float(touched_branches.mean())
            row = {"site": site.name, "mechanism": site.mechanism, "batch": batch}
            rows.append(row | {"touched": mean, "share": mean / site.branches})
    if not rows:
        raise refusal
    return pd.DataFrame(rows)


def alike(trace: Trace, batch: int | None = None, phase: str | None = None) -> pd.DataFrame:
    """A row a site and lag: how alike two steps are that are `lag` steps apart.

    alike: the share of rows that both steps send to the same branches (1 - total variation), the
    mean over pairs of steps. Lag 0 stands for steps paired at random: a larger value at another lag
    shows correlation in time. Raises CondsimError where decisions are of weights.
    """
    trace.require_rows()
    steps = rebatch(trace, batch, phase)
    rng = np.random.default_rng(0)
    rows = []
    for site in trace.sites:
        counts = steps.steps.counts[site.name]
        rows_of_step = counts.sum(1, keepdims=True)
        shares = counts / np.maximum(rows_of_step, 1)
        possible = [lag for lag in LAGS if lag < len(shares)]
        for lag in (ANY_LAG, *possible):
            if lag == ANY_LAG:
                one, other = shares, shares[rng.permutation(len(shares))]
            else:
                one, other = shares[:-lag], shares[lag:]
            in_common = np.minimum(one, other).sum(1)
            row = {"site": site.name, "mechanism": site.mechanism, "lag": lag}
            rows.append(row | {"alike": float(in_common.mean())})
    return pd.DataFrame(rows)


def over_training(trace: Trace, capacity_factor: float = CAPACITY_FACTOR) -> pd.DataFrame:
    """A row a site and watched training step of a history: how the routing changed.

    trained: training steps before. entropy: of the load, of the largest that is possible (1: all
    branches alike, 0: one takes all). imbalance: the largest load / the mean one. dropped: the
    share of rows over a capacity of capacity_factor x the mean load. dead: the share of branches
    that no row takes; near 1 the router has collapsed.
    Raises CondsimError for a trace that holds no history.
    """
    rows = []
    for site, moment, loads in _moments(trace):
        columns = {"site": site.name, "mechanism": site.mechanism, "trained": moment}
        rows.append(columns | evenness(loads, capacity_factor))
    return pd.DataFrame(rows)


def loads_over_training(trace: Trace) -> pd.DataFrame:
    """A row a site, watched training step and branch of a history.

    share: of the rows that chose a branch then. Raises CondsimError for a trace without a history.
    """
    tables = []
    for site, moment, loads in _moments(trace):
        columns = {
            "site": site.name,
            "mechanism": site.mechanism,
            "trained": moment,
            "branch": np.arange(site.branches),
            "share": loads / (loads.sum() or 1.0),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _moments(trace: Trace) -> Iterator[tuple[Site, int, np.ndarray]]:
    """(site, training steps before, rows that took each branch then, float [branches])."""
    if TRAINED not in trace.steps:
        raise CondsimError(
            f"trace {trace.name!r} holds one moment of a training; condsim.RoutingHistory watches "
            "several"
        )
    trained = trace.steps[TRAINED].to_numpy()
    of_units = np.repeat(trained, trace.steps["units"].to_numpy())
    for site in trace.sites:
        counts = trace.unit_counts(site.name)
        for moment in np.unique(trained):
            yield site, int(moment), counts[of_units == moment].sum(0).astype(float)


def evenness(loads: np.ndarray, capacity_factor: float = CAPACITY_FACTOR) -> dict[str, float]:
    """How even loads are, float [branches], rows or shares of them: as `over_training` says."""
    total, branches = float(loads.sum()) or 1.0, len(loads)
    shares = loads / total
    taken = shares[shares > 0]
    possible = np.log(branches) if branches > 1 else 1.0
    over = np.maximum(shares - capacity_factor / branches, 0.0)
    return {
        "entropy": float(-(taken * np.log(taken)).sum() / possible),
        "imbalance": float(shares.max() * branches),
        "dropped": float(over.sum()),
        "dead": float((loads == 0).mean()),
    }


def powers(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`, at least 1."""
    values = [1]
    while values[-1] * 2 <= most:
        values.append(values[-1] * 2)
    return values
