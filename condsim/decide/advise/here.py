"""Where a captured trace stands on an axis of routing that is drawn: its skew, its share."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from condsim.mechanisms import MECHANISMS
from condsim.study.routing import load
from condsim.trace import Site, Trace

MOST_SKEW = 5.0


def skew_of(trace: Trace) -> float:
    """Return the exponent of the Zipf law whose branches are as even as the trace's, the mean over
    its mixtures of experts.

    As even: the same entropy of the load.
    """
    skews = []
    for site in trace.sites:
        if MECHANISMS[site.mechanism].redrawn_by == "skew":
            rows = trace.unit_counts(site.name).sum(0)
            skews.append(_exponent(rows))
    return float(np.mean(skews))


def _exponent(rows: np.ndarray) -> float:
    """The exponent of one site. rows: that each branch got, int [branches]."""
    wanted = _entropy(rows / max(rows.sum(), 1))
    ranks = np.arange(1, len(rows) + 1)

    def excess(exponent: float) -> float:
        popularity = ranks**-exponent
        return _entropy(popularity / popularity.sum()) - wanted

    if excess(0.0) <= 0:
        return 0.0
    if excess(MOST_SKEW) >= 0:
        return MOST_SKEW
    return float(brentq(excess, 0.0, MOST_SKEW))


def _entropy(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())


def share_of(trace: Trace) -> float:
    """Return the share of rows that take the costliest branch, the mean over the other sites: that
    enter a layer, go on at an exit; of blocks of weights, the share that runs."""
    table = load(trace)
    shares = []
    for site in trace.sites:
        if MECHANISMS[site.mechanism].redrawn_by != "skew":
            of_site = table[table["site"] == site.name]
            shares.append(_share(trace, site, of_site["share"].to_numpy()))
    return float(np.mean(shares))


def _share(trace: Trace, site: Site, of_branch: np.ndarray) -> float:
    if MECHANISMS[site.mechanism].selects_blocks:
        return float(of_branch.mean())
    return float(of_branch[trace.header.costliest.get(site.name, 1)])
