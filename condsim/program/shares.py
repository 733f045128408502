"""Sizes that are a share of another one, in whole numbers: a quarter of the positions, a capacity.

No polynomial gives them. Such a size is an extent under a name that says what it is, as
"floor((5*batch*seq+15)/16)", or the same inside of "max(1,...)", and any step has it that has what
it is a share of.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from condsim.program.model import Op, Program

NAME = re.compile(
    r"(?P<least>max\(1,)?floor\(\((?P<times>\d{1,9})\*(?P<factors>[a-z*]+)\+(?P<plus>\d{1,9})\)"
    r"/(?P<over>[1-9]\d{0,8})\)(?(least)\))"
)


@dataclass(frozen=True)
class Share:
    """floor((times * product of factors + plus) / over), at least 1 where `least` says so."""

    factors: tuple[str, ...]
    times: int
    plus: int
    over: int
    least: bool = False

    @property
    def name(self) -> str:
        """The name of the extent."""
        product = "*".join(self.factors)
        inner = f"floor(({self.times}*{product}+{self.plus})/{self.over})"
        return f"max(1,{inner})" if self.least else inner

    @classmethod
    @lru_cache(maxsize=4096)
    def of(cls, name: str) -> Share | None:
        """The share that an extent's name says; None for any other extent."""
        found = NAME.fullmatch(name)
        if found is None:
            return None
        factors = tuple(found["factors"].split("*"))
        times, plus, over = int(found["times"]), int(found["plus"]), int(found["over"])
        return cls(factors, times, plus, over, found["least"] is not None)

    def value(self, extents: Mapping[str, Any]) -> Any:
        """int, or int array where an extent is an array."""
        product: Any = math.prod(extents[factor] for factor in self.factors)
        share = (self.times * product + self.plus) // self.over
        return np.maximum(share, 1) if self.least else share


def shares_of(program: Program) -> dict[str, Share]:
    """The shares that sizes of a program follow, by name."""
    return program.results.remember("shares", lambda: dict(_shares_of(program)))


def _shares_of(program: Program) -> Iterator[tuple[str, Share]]:
    for placed in program.scopes:
        operators = [node for node in placed.scope.nodes if isinstance(node, Op)]
        for extent in itertools.chain.from_iterable(op.extents for op in operators):
            share = Share.of(extent)
            if share is not None:
                yield extent, share


def with_shares(program: Program, extents: Mapping[str, Any]) -> Mapping[str, Any]:
    """The extents of steps, and the shares of them that a program's sizes follow."""
    shares = shares_of(program)
    if not shares:
        return extents
    more = {}
    for name, share in shares.items():
        if name not in extents and all(factor in extents for factor in share.factors):
            more[name] = share.value(extents)
    return {**extents, **more}
