"""How the tokens of units run that keep numbers of their own: each rule says how many tokens of a
unit run.

Attention grows with the square of that number, in every unit that runs with it.
"""

from __future__ import annotations

import numpy as np

from condsim.mechanisms import Guards, Rows
from condsim.mechanisms.tokens import BUCKETS, STAYS
from condsim.strategies.strategy import TOKENS, strategy

AS_MANY = "every unit keeps as many tokens, the mean over the trace"


@strategy("masked", TOKENS, needs=())
def masked(guards: Guards) -> Rows:
    """All tokens; attention does not look at those that were dropped."""
    return guards.every_row(), guards.every_row()


@strategy("padded", TOKENS, shapes="any", steered="host")
def padded(guards: Guards) -> Rows:
    """As many tokens in every unit as the longest unit keeps, at least one."""
    arriving = guards.every_row()
    longest = guards.tokens_of_units().max(2).astype(np.int64)
    return arriving, np.clip(longest, 1, arriving)


@strategy("sorted", TOKENS, shapes="any", steered="host", buckets=BUCKETS)
def in_order_of_length(guards: Guards) -> Rows:
    """As many tokens in every unit of a bucket as its longest one keeps; none in an empty bucket.

    Inside of a bucket, later sites pad.
    """
    arriving, longest = padded(guards)
    present = guards.tokens_of_units().any(2)
    return arriving * present, longest * present


@strategy("gathered", TOKENS, needs=(), changes=AS_MANY)
def gathered(guards: Guards) -> Rows:
    """As many tokens in every unit, those of the highest scores."""
    arriving = guards.every_row()
    kept = guards.kept_rows()[:, [STAYS]]
    return arriving, np.clip(kept, 1, arriving)


@strategy("merged", "token_merging", needs=(), changes=AS_MANY)
def merged(guards: Guards) -> Rows:
    """As many tokens in every unit; the others are added to those that they are most like."""
    return gathered(guards)
