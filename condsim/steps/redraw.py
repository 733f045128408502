"""What if the same model routed otherwise: a trace with decisions drawn anew."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS, Redraw
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory

GOES_ON = 1
"""The branch of the rows that do not leave, at sites where rows may leave."""


def redrawn(
    trace: Trace, skew: float | None = None, share: float | None = None, seed: int = 0
) -> Trace:
    """The trace with independent decisions of the same rows.

    skew: for mixtures of experts; the exponent of a Zipf law of the experts' popularity, 0 or more
        (0: all alike). The experts of a row are distinct.
    share: for the other mechanisms, 0 to 1; of the rows that enter a skipped layer, go on at an
        exit or take the costliest branch, or of the blocks that run.
    seed: of the draws.
    Sites behind other sites keep the rows that reached them. Behind an exit, the rows that go on
    in the new draw reach the next exit, and so do tokens that stay. Combination weights are kept;
    scores are not, they would not fit the new decisions.
    Raises CondsimError where no site of the trace has what is asked for, and for values outside.
    """
    _check(skew, share)
    rng = np.random.default_rng(seed)
    decisions = {site.name: trace.decisions(site.name) for site in trace.sites}
    drawn: dict[str, Decisions] = {}
    alive: np.ndarray | None = None
    for site in sorted(trace.sites, key=lambda site: site.level):
        mechanism = MECHANISMS[site.mechanism]
        asked = skew if mechanism.redrawn_by == "skew" else share
        if asked is None:
            continue
        costliest = trace.header.costliest.get(site.name, 1)
        narrows = mechanism.leaves or (mechanism.keeps_tokens and bool(site.parents))
        reached = alive if narrows else None
        redraw = Redraw(site.branches, site.top_k, costliest, reached, share, skew)
        old = decisions[site.name]
        ids = mechanism.redraw(old.ids, redraw, rng)
        weights = old.weights if mechanism.mixes_experts else None
        drawn[site.name] = Decisions(ids, weights)
        if mechanism.leaves or mechanism.keeps_tokens:
            alive = ids == GOES_ON
    if not drawn:
        kinds = ", ".join(trace.mechanisms)
        asked_name = "share" if skew is None else "skew"
        raise CondsimError(
            f"trace {trace.name!r} has only {kinds} sites: {asked_name} means nothing there"
        )
    return replace(trace, reader=in_memory(decisions | drawn))


def _check(skew: float | None, share: float | None) -> None:
    if skew is not None and not (math.isfinite(skew) and skew >= 0):
        raise CondsimError(f"skew must be 0 or more, got {skew}")
    if share is not None and not 0 <= share <= 1:
        raise CondsimError(f"share must be from 0 to 1, got {share}")
