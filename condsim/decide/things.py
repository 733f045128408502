"""What rows do, as things that are seen or not: branches, sets of them, transitions, paths."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from condsim.decide.units import Units
from condsim.mechanisms import MECHANISMS
from condsim.mechanisms.base import NOT_REACHED
from condsim.trace import Site, Trace

BRANCHES, SETS, TRANSITIONS, PATHS = "branches", "sets", "transitions", "paths"
KINDS = (BRANCHES, SETS, TRANSITIONS, PATHS)
ALL_SITES = "all sites"


@dataclass(frozen=True)
class Things:
    """What rows did at a place.

    kind: of `KINDS`. site: where. keys: what was done, each time, comparable with another trace's,
    [n]. unit: sequence of each, int [n]. possible: how many things there are.
    """

    kind: str
    site: str
    keys: np.ndarray
    unit: np.ndarray
    possible: float


def things_of(trace: Trace, units: Units, kinds: Sequence[str] = KINDS) -> Iterator[Things]:
    """Yield what the rows of a trace did, by kind and site.

    Sets are left out where a row takes one branch, transitions between blocks of weights, paths
    where there is one site. Rows that never got to a site did nothing there, but have a path.
    """
    ids = {site.name: trace.decisions(site.name).ids for site in trace.sites}
    for site in trace.sites:
        rows = units.of_rows(trace, site)
        if BRANCHES in kinds:
            yield _branches(site, ids[site.name], rows)
        if SETS in kinds and _takes_several(site):
            yield _sets(site, ids[site.name], rows)
    for group in _groups(trace):
        rows = units.of_rows(trace, group[0])
        if TRANSITIONS in kinds:
            for one, other in itertools.pairwise(group):
                if not _selects_blocks(one) and not _selects_blocks(other):
                    yield _transitions(one, other, ids, rows)
        if PATHS in kinds and (len(group) > 1 or not _takes_several(group[0])):
            yield _paths(group, ids, rows, alone=len(group) == len(trace.sites))


def _groups(trace: Trace) -> list[list[Site]]:
    """Sites that see the same rows, in order."""
    groups: dict[bytes, list[Site]] = {}
    for site in trace.sites:
        rows = trace.rows_per_unit(site)
        groups.setdefault(rows.tobytes(), []).append(site)
    return list(groups.values())


def _selects_blocks(site: Site) -> bool:
    return MECHANISMS[site.mechanism].selects_blocks


def _takes_several(site: Site) -> bool:
    """Whether a row takes several branches at once."""
    return _selects_blocks(site) or (site.top_k or 1) > 1


def _branches(site: Site, ids: np.ndarray, rows: np.ndarray) -> Things:
    row, branch = _taken(ids)
    return Things(BRANCHES, site.name, branch, rows[row], site.branches)


def _taken(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and branch of each branch that is taken, int [n] each."""
    if ids.dtype == bool:
        row, branch = np.nonzero(ids)
        return row, branch
    wide = ids.reshape(len(ids), -1)
    row, slot = np.nonzero(wide != NOT_REACHED)
    return row, wide[row, slot].astype(np.int64)


def _sets(site: Site, ids: np.ndarray, rows: np.ndarray) -> Things:
    reached = _reached(ids)
    keys = _keys(ids)[reached]
    possible = _possible_sets(site, _fewest(ids[reached]))
    return Things(SETS, site.name, keys, rows[reached], possible)


def _reached(ids: np.ndarray) -> np.ndarray:
    """Rows that decided, bool [rows]."""
    if ids.dtype == bool:
        return np.ones(len(ids), bool)
    wide = ids.reshape(len(ids), -1)
    reached: np.ndarray = (wide != NOT_REACHED).any(axis=1)
    return reached


def _keys(ids: np.ndarray) -> np.ndarray:
    """One key a row, which is equal where two rows took the same branches, [rows]."""
    if ids.dtype == bool:
        return _as_one(np.packbits(ids, axis=1))
    wide = np.sort(ids.reshape(len(ids), -1), axis=1)
    return _as_one(wide.astype(np.int32))


def _as_one(columns: np.ndarray) -> np.ndarray:
    """Rows of an array as single values of its bytes, [rows]."""
    whole = np.ascontiguousarray(columns)
    width = whole.dtype.itemsize * whole.shape[1]
    as_one: np.ndarray = whole.view(np.dtype((np.void, width))).ravel()
    return as_one


def _fewest(ids: np.ndarray) -> int:
    """How many branches the row with the fewest takes; 0 where one is dropped."""
    if ids.dtype == bool or not len(ids):
        return 0
    taken = (ids.reshape(len(ids), -1) != NOT_REACHED).sum(axis=1)
    return int(taken.min())


def _possible_sets(site: Site, fewest: int) -> float:
    """How many sets of branches a row can take. fewest: branches of a set."""
    if _selects_blocks(site):
        return 2.0**site.branches
    sizes = range(fewest, (site.top_k or 1) + 1)
    return float(sum(math.comb(site.branches, size) for size in sizes))


def _transitions(one: Site, other: Site, ids: dict[str, np.ndarray], rows: np.ndarray) -> Things:
    """Pairs of a branch at one site and a branch at the next."""
    first = ids[one.name].reshape(len(rows), -1).astype(np.int64)
    second = ids[other.name].reshape(len(rows), -1).astype(np.int64)
    pairs = first[:, :, None] * other.branches + second[:, None, :]
    present = (first != NOT_REACHED)[:, :, None] & (second != NOT_REACHED)[:, None, :]
    row, *_ = np.nonzero(present)
    name = f"{one.name} → {other.name}"
    possible = one.branches * other.branches
    if other.parents:  # rows get there by some branches of the site before only
        ways = sum(parent == one.name for parent, _ in other.parents) or one.branches
        possible = ways * other.branches
    return Things(TRANSITIONS, name, pairs[present], rows[row], possible)


def _paths(
    sites: Sequence[Site], ids: dict[str, np.ndarray], rows: np.ndarray, alone: bool
) -> Things:
    """What a row did at all sites that see it."""
    columns = [_numbered(_keys(ids[site.name])) for site in sites]
    keys = _as_one(np.concatenate(columns, axis=1))
    name = ALL_SITES if alone else f"{sites[0].name} ... {sites[-1].name}"
    fewest = {site.name: _fewest(ids[site.name]) for site in sites}
    return Things(PATHS, name, keys, rows, _possible_paths(sites, fewest))


def _numbered(keys: np.ndarray) -> np.ndarray:
    """Keys as their bytes, uint8 [rows, bytes]."""
    return keys.view(np.uint8).reshape(len(keys), -1)


def _possible_paths(sites: Sequence[Site], fewest: dict[str, int]) -> float:
    """How many paths there are: of exits, one more than there are; of others, the product.

    fewest: branches that a row takes at each site, at least.
    """
    exits = sum(MECHANISMS[site.mechanism].leaves for site in sites)
    possible = float(exits + 1)
    for site in sites:
        if not MECHANISMS[site.mechanism].leaves:
            possible *= _possible_sets(site, fewest[site.name])
    return possible
