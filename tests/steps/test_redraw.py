"""Decisions drawn anew: the same rows, at the share or the skew that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS
from condsim.resources import resource
from condsim.steps.redraw import redrawn
from condsim.trace import Site, Trace

NAMES = ("branch-fashion", "exit-fashion", "moe-bytes", "skip-fashion", "sparse-bytes")
ROUTED_BY_SHARE = ("branch-fashion", "exit-fashion", "skip-fashion", "sparse-bytes")
SHARES = (0.0, 0.3, 1.0)


def shipped(name: str) -> Trace:
    return condsim.load(resource("traces") / name)


def redraw(trace: Trace, seed: int = 0) -> Trace:
    """The trace redrawn by what its mechanism can be redrawn by."""
    (mechanism,) = trace.mechanisms
    if MECHANISMS[mechanism].redrawn_by == "skew":
        return redrawn(trace, skew=1.0, seed=seed)
    return redrawn(trace, share=0.3, seed=seed)


def share_of(trace: Trace, site: Site) -> float:
    """The share of rows (or blocks) that run, of the rows that reach a site."""
    ids = trace.decisions(site.name).ids
    mechanism = MECHANISMS[site.mechanism]
    if mechanism.selects_blocks:
        return float(ids.mean())
    arrived = ids[mechanism.arrived(ids)]
    taken = trace.header.costliest.get(site.name, 1)
    return float((arrived == taken).mean())


@pytest.mark.parametrize("name", NAMES)
def test_decisions_keep_their_shape_and_type(name: str) -> None:
    trace = shipped(name)
    new = redraw(trace)
    for site in trace.sites:
        before, after = trace.decisions(site.name).ids, new.decisions(site.name).ids
        assert after.shape == before.shape
        assert after.dtype == before.dtype
        assert after.max() < site.branches


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_decisions_and_another_one_others(name: str) -> None:
    trace = shipped(name)
    site = trace.sites[0].name
    ids = redraw(trace).decisions(site).ids
    assert np.array_equal(ids, redraw(trace).decisions(site).ids)
    assert not np.array_equal(ids, redraw(trace, seed=1).decisions(site).ids)


@pytest.mark.parametrize("name", NAMES)
def test_the_trace_is_left_as_it_was(name: str) -> None:
    trace = shipped(name)
    before = {site.name: trace.unit_counts(site.name).copy() for site in trace.sites}
    redraw(trace)
    for site, counts in before.items():
        assert np.array_equal(trace.unit_counts(site), counts)


@pytest.mark.parametrize("name", ROUTED_BY_SHARE)
@pytest.mark.parametrize("share", SHARES)
def test_the_share_is_the_one_that_was_asked_for(name: str, share: float) -> None:
    new = redrawn(shipped(name), share=share)
    site = new.sites[0]
    assert share_of(new, site) == pytest.approx(share, abs=0.05)


def test_rows_that_leave_reach_no_later_exit() -> None:
    new = redrawn(shipped("exit-fashion"), share=0.5)
    sites = sorted(new.sites, key=lambda site: site.level)
    alive = np.ones(len(new.decisions(sites[0].name).ids), bool)
    for site in sites:
        ids = new.decisions(site.name).ids
        assert np.array_equal(ids >= 0, alive)
        alive = ids == 1


def test_the_experts_of_a_row_are_distinct() -> None:
    new = redrawn(shipped("moe-bytes"), skew=1.5)
    for site in new.sites:
        ids = np.sort(new.decisions(site.name).ids, axis=1)
        chosen = ids[ids[:, 0] >= 0]
        assert (np.diff(chosen, axis=1) > 0).all()


def test_a_larger_skew_loads_the_busiest_expert_more() -> None:
    trace = shipped("moe-bytes")
    site = trace.sites[0].name
    busiest = []
    for skew in (0.0, 1.0, 2.0):
        counts = redrawn(trace, skew=skew).unit_counts(site).sum(0)
        busiest.append(counts.max() / counts.sum())
    assert busiest == sorted(busiest)


def test_combination_weights_stay() -> None:
    trace = shipped("moe-bytes")
    new = redrawn(trace, skew=1.0)
    for site in trace.sites:
        before, after = trace.decisions(site.name).weights, new.decisions(site.name).weights
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert np.array_equal(before, after)


@pytest.mark.parametrize(
    ("name", "asked", "told"),
    [
        ("moe-bytes", {"skew": -1.0}, "skew must be 0 or more, got -1.0"),
        ("moe-bytes", {"skew": float("nan")}, "skew must be 0 or more, got nan"),
        ("skip-fashion", {"share": 1.5}, "share must be from 0 to 1, got 1.5"),
        ("skip-fashion", {"skew": 1.0}, "only skip sites: skew means nothing there"),
        ("moe-bytes", {"share": 0.5}, "only moe sites: share means nothing there"),
    ],
)
def test_what_means_nothing_is_refused(name: str, asked: dict[str, float], told: str) -> None:
    with pytest.raises(CondsimError, match=told):
        redrawn(shipped(name), **asked)
