"""Two names that mark routing in one's own module: `route` says what was decided, `branch` says what the decision guards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from condsim.errors import CondsimError
from condsim.live.execution import BASELINES, Execution, Frame, SiteInfo, current
from condsim.live.selectors import select

MECHANISMS = ("moe", "early_exit", "multi_branch", "skip", "sparse_activation")
Decide = Callable[[], Any]


def route(
    site: str,
    mechanism: str,
    ids: torch.Tensor | Decide,
    weights: torch.Tensor | None = None,
    branches: int = 2,
    scores: torch.Tensor | None = None,
) -> Any:
    """Mark a routing decision and return it, or the one that is forced instead.

    site: a name, unique in the model. mechanism: moe, early_exit, multi_branch, skip or sparse_activation.
    ids: int tensor [rows] or [rows, k], the branch each row takes; for sparse_activation bool [rows, blocks]. Or a function without
        arguments that returns ids, (ids, weights) or (ids, weights, scores): then the gate runs inside it, and a baseline, which has no
        gate, does not run it.
    weights: float tensor [rows, k] that combine the branches (moe). scores: float tensor [rows], what the decision compared.
    Returns ids, or (ids, weights) where there are weights; None where a baseline has no decision.
    Raises CondsimError for an unknown mechanism or ids outside 0 ... branches - 1 that are forced.
    """
    if mechanism not in MECHANISMS:
        raise CondsimError(
            f"site {site!r}: mechanism must be one of {', '.join(MECHANISMS)}, got {mechanism!r}"
        )
    run = current()
    strategy = run.strategy(site, mechanism)
    if strategy in BASELINES and callable(ids):
        run.decisions[site] = (mechanism, branches, None, None)
        return None
    if run.recorder is not None:
        run.recorder.role = f"router:{site}"
    try:
        if callable(ids):
            decided = ids()
            ids, weights, scores = (
                (*decided, None, None)[:3] if isinstance(decided, tuple) else (decided, None, None)
            )
    finally:
        if run.recorder is not None:
            run.recorder.role = ""
    assert isinstance(ids, torch.Tensor)
    if site not in run.sites:
        run.sites[site] = SiteInfo(
            site,
            mechanism,
            branches,
            top_k=ids.shape[1] if mechanism == "moe" and ids.ndim == 2 else None,
            parents=tuple((f.site, f.choice) for f in run.frames),
            has_weights=weights is not None,
            has_scores=scores is not None,
        )
    if run.recorder is not None:
        run.recorder.decided(site, ids, weights)
    forced, forced_weights = run.forced_now(run.sites[site], ids)
    if forced is not None:
        ids = run.replaced(ids, forced)
        if weights is not None and forced_weights is not None:
            weights = run.replaced(weights, forced_weights)
    run.decisions[site] = (mechanism, branches, ids, weights)
    if run.observed is not None:
        observe(run, site, ids, weights, scores)
    return ids if weights is None else (ids, weights)


def observe(
    run: Execution,
    site: str,
    ids: torch.Tensor,
    weights: torch.Tensor | None,
    scores: torch.Tensor | None,
) -> None:
    """Keep copies: a decision may live in a buffer that the model overwrites."""
    assert run.observed is not None
    kept = {"ids": ids.detach().to("cpu", copy=True)}
    if weights is not None:
        kept["weights"] = weights.detach().to("cpu", torch.float32, copy=True)
    if scores is not None:
        kept["scores"] = scores.detach().to("cpu", torch.float32, copy=True)
    run.observed.setdefault(site, []).append(kept)


@contextlib.contextmanager
def branch(site: str, choice: int | None = None) -> Iterator[Any]:
    """Mark what a decision guards: the body runs for the rows that took `choice` at `site`.

    Yields a selector: false where no row takes the branch, with `take` (the rows of a tensor) and `put` (write them back). A body that uses it
    can run under every strategy; one that gathers its rows itself runs as it is written. For sparse_activation choice is
    None and the selector picks weight blocks.
    Raises CondsimError where `route` was not called for this site before.
    """
    run = current()
    if site not in run.decisions:
        raise CondsimError(
            f"branch({site!r}) comes before route({site!r}): mark the decision first, or check the name"
        )
    mechanism, branches, ids, weights = run.decisions[site]
    if choice is not None and not 0 <= choice < branches:
        raise CondsimError(f"site {site!r} has branches 0 ... {branches - 1}, got {choice}")
    if run.recorder is not None:
        run.recorder.enter(site, -1 if choice is None else choice)
    frame = Frame(site, -1 if choice is None else choice, *_inherited(run))
    rows = select(run, site, mechanism, branches, choice, ids, weights, frame)
    run.frames.append(frame)
    try:
        yield rows
    finally:
        run.frames.pop()
        if rows.used and site in run.sites:
            run.sites[site].selects = True
        if run.recorder is not None:
            run.recorder.leave(rows.outer, rows.count)


def _inherited(run: Execution) -> tuple[Any, ...]:
    return (run.frames[-1].present, run.frames[-1].masks) if run.frames else ()
