"""Decisions drawn by shares, for models that decide anything but which experts a row takes.

A share says how many rows enter a layer, go on at an exit or take the costliest branch, how many
neurons a row needs, or how many tokens of a unit stay. Rows are independent of each other.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.mechanisms import Draw, Redraw
from condsim.mechanisms.tokens import STAYS, Tokens
from condsim.trace import Decisions, Site, Trace
from condsim.trace.encoding import in_memory

Shares = float | Mapping[str, float]
"""One share for all sites, or site → share."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn so far. decisions: site → decisions. alive: rows that an exit or a choice of
    tokens left, bool [rows]; None where none stood before."""

    decisions: dict[str, Decisions]
    alive: np.ndarray | None = None


def with_shares(programs: Trace, steps: pd.DataFrame, shares: Shares, seed: int = 0) -> Trace:
    """Return a trace that executes programs and decides by shares.

    steps: a table as traces have it. The same seed gives the same decisions.
    Raises CondsimError for a mixture of experts, a share that is none, and a site that has none.
    """
    by_site = shares_of(programs, shares)
    rng = np.random.default_rng(seed)
    drawn = Drawn({})
    for site in sorted(programs.sites, key=lambda site: site.level):
        drawn = _with_site(site, drawn, steps, by_site[site.name], rng)
    shown = ", ".join(f"{name} {share:g}" for name, share in list(by_site.items())[:4])
    more = ", ..." if len(by_site) > 4 else ""
    note = f"decisions are drawn by shares ({shown}{more}), rows independent, seed {seed}"
    return programs.with_reader(in_memory(drawn.decisions), steps, note)


def shares_of(programs: Trace, shares: Shares) -> dict[str, float]:
    """Return the share of every site. Raises CondsimError as `with_shares` does."""
    names = [site.name for site in programs.sites]
    given = dict(shares) if isinstance(shares, Mapping) else dict.fromkeys(names, shares)
    for name, share in given.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, 1) or names[:3]
            raise CondsimError(f"routing: no site is called {name!r}; near: {', '.join(near)}")
        is_number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not is_number or not math.isfinite(share) or not 0 <= share <= 1:
            raise CondsimError(f"routing: the share of {name} must be from 0 to 1, got {share!r}")
    for site in programs.sites:
        if site.name not in given:
            raise CondsimError(f"routing: site {site.name!r} has no share; name one for every site")
        if site.routing.mixes_experts or site.routing.prunes_weights:
            raise CondsimError(
                f"routing: site {site.name!r} is {site.routing.title}, which no share describes; "
                "pass routing=condsim.routing(...), condsim.fit_routing(...) or a trace"
            )
    return {name: float(given[name]) for name in names}


def _with_site(
    site: Site, drawn: Drawn, steps: pd.DataFrame, share: float, rng: np.random.Generator
) -> Drawn:
    """What was drawn, with the decisions of one more site."""
    kind = site.routing
    rows_of_unit = steps["seq"].map(site.unit_rows.of).to_numpy()
    units = steps["units"].to_numpy()
    rows = int((units * rows_of_unit).sum())
    here = _reaching(site, drawn, rows)
    if isinstance(kind, Tokens):
        of_units = np.repeat(rows_of_unit, units)
        ids = _staying(here, of_units, share, kind.fewest, rng)
    else:
        old = kind.compact(kind.random_decisions(Draw(rows, site.branches), rng)[0])
        costliest = int(np.argmax(site.branch_flops)) if kind.one_of_several else 1
        ids = kind.redraw(old, Redraw(site.branches, None, costliest, here, share), rng)
        nowhere = kind.nowhere(Draw(rows, site.branches))
        ids[~here] = nowhere[~here]
    decisions = drawn.decisions | {site.name: Decisions(ids)}
    narrows = kind.leaves or kind.keeps_tokens
    return Drawn(decisions, ids == STAYS if narrows else drawn.alive)


def _reaching(site: Site, drawn: Drawn, rows: int) -> np.ndarray:
    """Which rows reach a site, bool [rows]."""
    here = np.ones(rows, bool)
    for parent, choice in site.parents:
        taken = drawn.decisions[parent].ids
        if taken.ndim == 1 and len(taken) == rows:
            here &= taken == choice
    if drawn.alive is not None and len(drawn.alive) == rows:
        here &= drawn.alive
    return here


def _staying(
    here: np.ndarray, of_units: np.ndarray, share: float, fewest: int, rng: np.random.Generator
) -> np.ndarray:
    """Which tokens stay, int8 [rows]: of those of each unit that are here, such a share of them.

    of_units: tokens of each unit, int [units]. fewest: the first tokens, which stay always.
    """
    ids = np.full(len(here), -1, np.int8)
    ids[here] = 0
    start = 0
    for tokens in of_units.tolist():
        candidates = start + np.flatnonzero(here[start : start + tokens])
        kept = max(fewest, round(share * len(candidates)))
        first, others = candidates[:fewest], candidates[fewest:]
        drawn = rng.permutation(others)[: kept - len(first)]
        ids[first] = STAYS
        ids[drawn] = STAYS
        start += tokens
    return ids
