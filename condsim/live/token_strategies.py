"""Which selector runs the tokens of a site: a rule a strategy, and the units that run together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from condsim.errors import CondsimError
from condsim.live.execution import Execution, Routed
from condsim.live.token_decisions import Layout, Running, TokenDecision
from condsim.live.token_selectors import (
    AsManyTokens,
    Bucket,
    FirstTokens,
    LongestTokens,
    MaskedTokens,
    TokenSelector,
)
from condsim.mechanisms.tokens import STAYS, Tokens
from condsim.registry import Registry
from condsim.steps.buckets import bucket_sizes
from condsim.strategies import STRATEGIES


def buckets_of(execution: Execution, routed: Routed) -> Iterator[Bucket]:
    """The units that run together, one bucket after the other; all where they are not sorted, and
    inside of a bucket."""
    strategy = STRATEGIES[routed.strategy].on(routed.mechanism)
    decision = routed.tokens
    if decision is None or strategy.buckets == 1 or decision.outer.bucketed:
        yield Bucket(STAYS)
        return
    stays = decision.decided
    lengths, order = stays.sum(1).sort(descending=True, stable=True)
    start = 0
    for number, size in enumerate(bucket_sizes(stays.shape[0], strategy.buckets)):
        yield Bucket(number, start, start + size, order, lengths)
        start += size


Rule = Callable[[Execution, Routed, Bucket], TokenSelector]
"""(what is in force, the site's decision, the units that run) → their selector."""
TOKEN_SELECTORS: Registry[Rule] = Registry("strategy of tokens")
"""Strategy → what makes its selectors."""


def select_tokens(execution: Execution, routed: Routed, bucket: Bucket) -> TokenSelector:
    """The selector for tokens that are about to run.

    Raises CondsimError where the strategy cannot run marked sites of this mechanism.
    """
    if routed.strategy not in TOKEN_SELECTORS:
        able = " and ".join(routed.mechanism.marked)
        raise CondsimError(
            f"strategy {routed.strategy!r} cannot run a marked {routed.mechanism.name} site "
            f"({routed.site!r}); {able} can"
        )
    return TOKEN_SELECTORS[routed.strategy](execution, routed, bucket)


def running(execution: Execution, routed: Routed, selector: TokenSelector) -> Running:
    """What runs behind a site, for the sites and for who watches inside."""
    outer = Running() if routed.tokens is None else routed.tokens.outer
    bucketed = outer.bucketed or selector.members is not None
    layout = outer.layout
    if layout is not None:
        with execution.quiet():
            layout = _moved(layout, selector)
    return Running(selector.holds, layout, bucketed)


def _moved(layout: Layout, selector: TokenSelector) -> Layout:
    """The layout of the tokens that a selector runs."""
    slots = np.arange(layout.places.shape[1])[None].repeat(len(layout.units), axis=0)
    if selector.slots is not None:
        slots = selector.slots.cpu().numpy()
    members = None if selector.members is None else selector.members.cpu().numpy()
    holds = None if selector.holds is None else selector.holds.cpu().numpy()
    return layout.taking(members, slots, holds)


def decided(routed: Routed) -> TokenDecision:
    """The site's decision. No strategy but a baseline runs without."""
    assert routed.tokens is not None, f"{routed.site} has no decision"
    return routed.tokens


@TOKEN_SELECTORS.register("padded", "sorted")
def padded(execution: Execution, routed: Routed, bucket: Bucket) -> TokenSelector:
    return LongestTokens(decided(routed), bucket)


@TOKEN_SELECTORS.register("masked")
def masked(execution: Execution, routed: Routed, bucket: Bucket) -> TokenSelector:
    return MaskedTokens(decided(routed))


@TOKEN_SELECTORS.register("gathered", "merged")
def gathered(execution: Execution, routed: Routed, bucket: Bucket) -> TokenSelector:
    """Raises CondsimError where nobody says how many tokens stay."""
    decision = decided(routed)
    if decision.kept is None:
        raise CondsimError(
            f"strategy {routed.strategy!r} keeps as many tokens in every unit, and site "
            f"{routed.site!r} does not say how many: pass kept= to condsim.route, or a trace"
        )
    mechanism = routed.mechanism
    assert isinstance(mechanism, Tokens)
    return AsManyTokens(decision, decision.kept, mechanism.in_order)


@TOKEN_SELECTORS.register("same-params")
def same_params(execution: Execution, routed: Routed, bucket: Bucket) -> TokenSelector:
    """Every token."""
    return TokenSelector()


@TOKEN_SELECTORS.register("same-flops")
def same_flops(execution: Execution, routed: Routed, bucket: Bucket) -> TokenSelector:
    """The first tokens, as many as the mean."""
    return FirstTokens(int(execution.rows_kept[routed.site][STAYS]))
