"""Two names that mark routing in one's own module.

`route` says what was decided, and `branch` says what the decision guards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from condsim.errors import CondsimError
from condsim.live.execution import BASELINES, Execution, Frame, Routed, SiteInfo, current
from condsim.live.select import Selector, select
from condsim.live.token_decisions import TokenSite, route_tokens
from condsim.live.token_selectors import TokenSelector
from condsim.live.token_strategies import buckets_of, running, select_tokens
from condsim.mechanisms import MECHANISMS, Mechanism
from condsim.mechanisms.tokens import STAYS, Tokens

Gate = Callable[[], Any]
"""A function without arguments that gives ids, (ids, weights) or (ids, weights, scores)."""
Decision = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""(ids, weights, scores) as a gate gave them."""

WEIGHT_BLOCKS = -1
"""The choice of a guard that picks weight blocks instead of guarding a branch."""


def route(
    site: str,
    mechanism: str,
    ids: torch.Tensor | Gate,
    weights: torch.Tensor | None = None,
    branches: int = 2,
    scores: torch.Tensor | None = None,
    kept: int | None = None,
) -> Any:
    """Mark a routing decision and return it, or the one that is forced instead.

    site: a name, unique in the model.
    mechanism: moe, early_exit, token_exit, multi_branch, skip, sparse_activation, token_pruning,
        token_merging or mixture_of_depths.
    ids: int tensor [rows] or [rows, k], the branch each row takes; for sparse_activation bool
        [rows, blocks]; for tokens bool [units, tokens], which of them stay. Or a function without
        arguments that returns ids, (ids, weights) or (ids, weights, scores): then the gate runs
        inside it, and a baseline, which has no gate, does not run it.
    weights: float tensor [rows, k] that combine the branches (moe); int tensor [units, tokens],
        the token that each one joins which does not stay (token_merging).
    scores: float tensor [rows], what the decision compared.
    kept: of tokens, how many stay in every unit; ids are then their scores, float [units, tokens].
    Returns ids, or (ids, weights) where there are weights; None where a baseline has no decision.
    Raises CondsimError for an unknown mechanism, and for rows behind a decision on tokens.
    """
    if mechanism not in MECHANISMS:
        known = ", ".join(MECHANISMS)
        raise CondsimError(f"site {site!r}: mechanism must be one of {known}, got {mechanism!r}")
    kind = MECHANISMS[mechanism]
    execution = current()
    if isinstance(kind, Tokens):
        return route_tokens(execution, TokenSite(site, kind, kept), ids, weights)
    _refuse_rows_of_tokens(execution, site)
    strategy = execution.strategy(site, mechanism)
    if callable(ids):
        if strategy in BASELINES:
            execution.decisions[site] = Routed(site, kind, strategy, branches)
            return None
        ids, weights, scores = _decide(execution, site, ids)
    if site not in execution.sites:
        execution.sites[site] = SiteInfo(
            site,
            mechanism,
            branches,
            top_k=_top_k(kind, ids),
            parents=execution.parents(),
            has_weights=weights is not None,
            has_scores=scores is not None,
        )
    ids, weights = execution.settle(execution.sites[site], ids, weights, scores)
    execution.decisions[site] = Routed(site, kind, strategy, branches, ids, weights)
    return ids if weights is None else (ids, weights)


def _refuse_rows_of_tokens(execution: Execution, site: str) -> None:
    """Raises CondsimError for a decision on rows behind a decision on the tokens of each unit."""
    for outer, _ in execution.parents():
        routed = execution.decisions.get(outer)
        if routed is not None and routed.mechanism.keeps_tokens:
            raise CondsimError(
                f"site {site!r} decides for rows behind {outer!r}, where each unit keeps a number "
                "of tokens of its own; only other decisions on tokens may stand there: capture the "
                "two apart, each without the mark of the other"
            )


def _top_k(mechanism: Mechanism, ids: torch.Tensor) -> int | None:
    """Branches that a row takes, None where that is not counted."""
    return ids.shape[1] if mechanism.mixes_experts and ids.ndim == 2 else None


def _decide(execution: Execution, site: str, gate: Gate) -> Decision:
    """Run a site's gate. Operators that are recorded in it are those of a router."""
    if execution.recorder is not None:
        execution.recorder.role = f"router:{site}"
    try:
        decided = gate()
    finally:
        if execution.recorder is not None:
            execution.recorder.role = ""
    if not isinstance(decided, tuple):
        return decided, None, None
    ids, weights, scores = (*decided, None, None)[:3]
    return ids, weights, scores


@contextlib.contextmanager
def branch(site: str, choice: int | None = None) -> Iterator[Any]:
    """Mark what a decision guards: the body runs for the rows that took `choice` at `site`.

    Yields a selector. It is false where no row takes the branch; its `take` gives the rows of a
    tensor, and its `put` writes them back. A body that uses it can run under every strategy; one
    that gathers its rows itself runs as it is written. For sparse_activation `choice` is None and
    the selector picks weight blocks.
    Raises CondsimError where `route` was not called for this site before, or where the site has no
    such branch.
    """
    execution = current()
    if site not in execution.decisions:
        raise CondsimError(
            f"branch({site!r}) comes before route({site!r}): mark the decision first, "
            "or check the name"
        )
    routed = execution.decisions[site]
    if choice is not None and not 0 <= choice < routed.branches:
        raise CondsimError(f"site {site!r} has branches 0 ... {routed.branches - 1}, got {choice}")
    if routed.mechanism.keeps_tokens:
        raise CondsimError(
            f"branch({site!r}): {routed.mechanism.name} keeps tokens of units; write "
            f"for tokens in condsim.tokens({site!r}): ..."
        )
    assert choice is not None or routed.mechanism.selects_blocks
    guard = WEIGHT_BLOCKS if choice is None else choice
    frame = _frame(execution, site, guard)
    if execution.recorder is not None:
        execution.recorder.enter(site, frame.choice)
    selector: Selector = select(execution, routed, frame)
    execution.frames.append(frame)
    try:
        yield selector
    finally:
        execution.frames.pop()
        if selector.used and site in execution.sites:
            execution.sites[site].selects = True
        if execution.recorder is not None:
            execution.recorder.leave(selector.arriving, selector.running, tokens=selector.tokens)


def tokens(site: str) -> Iterator[TokenSelector]:
    """Mark what runs on the tokens that stay at `site`: the body of a loop over what this yields.

    Most strategies run the body once, on all units; `sorted` runs it once a bucket of units. The
    selector's `take` gives the tokens of a tensor [units, tokens, ...] that run, `mask` is what
    attention may look at, and `put` collects the results of the units; `back` puts tokens back
    among those that pass by.
    Raises CondsimError where `route` was not called for this site before, and for a site that
    decides about no tokens.
    """
    execution = current()
    if site not in execution.decisions:
        raise CondsimError(
            f"tokens({site!r}) comes before route({site!r}): mark the decision first, "
            "or check the name"
        )
    routed = execution.decisions[site]
    if not routed.mechanism.keeps_tokens:
        raise CondsimError(
            f"tokens({site!r}): {routed.mechanism.name} decides about no tokens; write "
            f"with condsim.branch({site!r}, ...): ..."
        )
    recorder = execution.recorder
    for bucket in buckets_of(execution, routed):
        if recorder is not None:
            recorder.enter(site, bucket.number, of_tokens=True)
        selector = select_tokens(execution, routed, bucket)
        what_runs = running(execution, routed, selector)
        execution.frames.append(Frame(site, STAYS, running=what_runs))
        try:
            yield selector
        finally:
            execution.frames.pop()
            del what_runs
            selector.close()
            if recorder is not None:
                recorder.leave(selector.arriving, selector.running, selector.units)


def _frame(execution: Execution, site: str, choice: int) -> Frame:
    """A frame of a guard that is about to run, inside of those that are running."""
    if not execution.frames:
        return Frame(site, choice)
    outer = execution.frames[-1]
    return Frame(site, choice, outer.present, outer.masks)
