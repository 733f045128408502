"""Token pruning: tokens that say little are dropped, and the rest of the network runs on those that
stay."""

from __future__ import annotations

from condsim.mechanisms.base import mechanism
from condsim.mechanisms.signs import THE_BEST_GO_ON
from condsim.mechanisms.tokens import Tokens


@mechanism
class TokenPruning(Tokens):
    """Branch 1 is the network after the site, branch 0 the end of a token."""

    name = "token_pruning"
    title = "token pruning"
    signs = (THE_BEST_GO_ON,)
