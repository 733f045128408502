"""What moved, site by site, in figures that people know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from condsim.decide.drift.permutation import Permuted, holm
from condsim.decide.units import Units
from condsim.trace import Trace

LEAST_SHARE = 1e-6
"""What an empty branch counts as in the population stability index, which has no value there."""


def counts_of(trace: Trace, units: Units) -> dict[str, np.ndarray]:
    """Return site → rows of each sequence that took each branch, int [sequences, branches]."""
    counts = {}
    for site in trace.sites:
        of_step = trace.unit_counts(site.name).astype(np.int64)
        of_sequence = np.zeros((units.count, of_step.shape[1]), np.int64)
        np.add.at(of_sequence, units.of_step, of_step)
        counts[site.name] = of_sequence
    return counts


def sites_table(
    one: dict[str, np.ndarray], other: dict[str, np.ndarray], moved: Permuted
) -> pd.DataFrame:
    """Return a row a site: how far its load has moved, and whether that can be chance.

    distance: total variation, the share of the assignments that moved; by_chance: what permuting
    whole sequences gives; p, p_holm: of the permutation test, the second accounts for all sites.
    jensen_shannon (bits, 0 to 1) and psi (population stability index): as others have them, never
    tested; busiest_a, busiest_b: rows of the busiest branch over the mean; effective_a,
    effective_b: branches as if all were alike, exp of the entropy.
    """
    rows = []
    for site in one:
        p, q = _share(one[site]), _share(other[site])
        at_site = moved.of_site(site)
        row: dict[str, Any] = {"site": site, "distance": at_site.distance}
        row |= {"by_chance": at_site.by_chance, "p": at_site.p}
        row |= {"jensen_shannon": _jensen_shannon(p, q), "psi": _stability(p, q)}
        row |= {"busiest_a": float(p.max() * len(p)), "busiest_b": float(q.max() * len(q))}
        row |= {"effective_a": _effective(p), "effective_b": _effective(q)}
        rows.append(row)
    table = pd.DataFrame(rows)
    table.insert(4, "p_holm", holm(table["p"].to_numpy()))
    return table


def _share(counts: np.ndarray) -> np.ndarray:
    rows = counts.sum(axis=0)
    share: np.ndarray = rows / max(rows.sum(), 1)
    return share


def _entropy(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())


def _effective(shares: np.ndarray) -> float:
    return float(np.exp(_entropy(shares)))


def _jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """H((p+q)/2) - (H(p)+H(q))/2, base 2 (Lin, 1991)."""
    middle = (p + q) / 2
    return (_entropy(middle) - (_entropy(p) + _entropy(q)) / 2) / float(np.log(2))


def _stability(p: np.ndarray, q: np.ndarray) -> float:
    """Σ (q-p) ln(q/p). No threshold of it means anything by itself."""
    p, q = np.maximum(p, LEAST_SHARE), np.maximum(q, LEAST_SHARE)
    return float(((q - p) * np.log(q / p)).sum())
