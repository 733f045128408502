"""What if the same model routed otherwise: a trace with decisions drawn anew, at a given skew or sparsity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from condsim.errors import CondsimError
from condsim.trace import Decisions, Site, Trace
from condsim.trace.store import in_memory

SHARED = ("skip", "early_exit", "multi_branch", "sparse_activation")
"""Mechanisms whose rows take more or less of the network."""


def redrawn(
    trace: Trace, skew: float | None = None, share: float | None = None, seed: int = 0
) -> Trace:
    """The trace with independent decisions of the same number of rows. Sites behind other sites keep the rows that reached them.

    skew: mixture of experts; the exponent of a Zipf law of the experts' popularity, 0 = all alike, >= 0. The top-k of a row are distinct.
    share: the share of rows that enter a skipped layer, go on at an exit or take the costliest branch, or of blocks that run; 0 ... 1.
    Raises CondsimError where no site of the trace has what is asked for, and for values outside.
    """
    if skew is not None and not (np.isfinite(skew) and skew >= 0):
        raise CondsimError(f"skew must be 0 or more, got {skew}")
    if share is not None and not 0 <= share <= 1:
        raise CondsimError(f"share must be from 0 to 1, got {share}")
    rng = np.random.default_rng(seed)
    found = {s.name: trace.decisions(s.name) for s in trace.sites}
    drawn = {}
    alive: np.ndarray | None = None
    for site in sorted(trace.sites, key=lambda s: s.level):
        if site.mechanism == "moe" and skew is not None:
            drawn[site.name] = _experts(site, found[site.name], skew, rng)
        elif site.mechanism in SHARED and share is not None:
            drawn[site.name] = _taken(
                site, found[site.name], share, trace.header.costliest.get(site.name, 1), alive, rng
            )
            if site.mechanism == "early_exit":
                alive = drawn[site.name].ids == 1
    if not drawn:
        asked = "skew" if skew is not None else "share"
        raise CondsimError(
            f"trace {trace.name!r} has only {', '.join(trace.mechanisms)} sites: {asked} means nothing there"
        )
    return replace(trace, reader=in_memory({**found, **drawn}), _cache={})


def _experts(site: Site, old: Decisions, skew: float, rng: np.random.Generator) -> Decisions:
    """Top-k without replacement: the k largest of log popularity + Gumbel noise (Gumbel-top-k, Kool et al. 2019)."""
    k = site.top_k or 1
    popularity = rng.permutation(-skew * np.log(np.arange(1, site.branches + 1)))
    ids = old.ids.reshape(len(old.ids), -1).copy()
    for at in range(0, len(ids), 65536):
        part = ids[at : at + 65536]
        noisy = popularity + rng.gumbel(size=(len(part), site.branches))
        chosen = (
            np.argpartition(-noisy, k - 1, axis=1)[:, :k]
            if k < site.branches
            else np.argsort(-noisy, axis=1)
        )
        part[:] = np.where(part >= 0, chosen[:, : part.shape[1]], part)
    return Decisions(ids if site.top_k is not None else ids[:, 0], old.weights)


def _taken(
    site: Site,
    old: Decisions,
    share: float,
    costliest: int,
    alive: np.ndarray | None,
    rng: np.random.Generator,
) -> Decisions:
    if site.mechanism == "sparse_activation":
        return Decisions(rng.random(old.ids.shape) < share)
    yes = rng.random(len(old.ids)) < share
    if site.mechanism == "multi_branch":
        others = [b for b in range(site.branches) if b != costliest]
        ids = np.where(yes, costliest, rng.choice(others, len(yes)) if others else costliest)
    else:
        ids = yes.astype(np.int8)
    reached = alive if site.mechanism == "early_exit" and alive is not None else old.ids >= 0
    return Decisions(np.where(reached, ids, -1).astype(old.ids.dtype))
