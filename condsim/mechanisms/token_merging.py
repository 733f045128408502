"""Token merging: a token that is like another one becomes a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from condsim.mechanisms.base import mechanism
from condsim.mechanisms.signs import JOIN_THE_MOST_ALIKE
from condsim.mechanisms.tokens import Tokens


@mechanism
class TokenMerging(Tokens):
    """Branch 1 is the network after the site, branch 0 joins another token, so that at least two
    stay while decisions are drawn."""

    name = "token_merging"
    title = "token merging"
    signs = (JOIN_THE_MOST_ALIKE,)
    marked = ("padded", "merged", "sorted")
    fixed = "merged"
    fewest = 2
    in_order = True
    branch_names: ClassVar[Mapping[int, str]] = {0: "0: merged", 1: "1: stays"}
