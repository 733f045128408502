"""A size seen in several runs → a share of another one that gives it exactly.

Of the rows of a batch, as in `ceil(1.25 * rows / experts)`. Of all fractions that give every size,
that of the smallest denominator is taken, rounded down or up before any other way. Another one may
be meant: at sizes that were not seen, the size may be off by one. Lengths of sequences are seen at
too few values for that: where they vary, nothing is taken for a share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from condsim.program.shares import Share

Sizes = Mapping[str, int]
UNITS = "batch"
FEWEST_VALUES = 5
MOST_OVER = 64


def fit_share(values: tuple[int, ...], samples: Sequence[Sizes]) -> tuple[int, Share] | None:
    """(coefficient, share) whose product is every value; None where there is none.

    values: the size in each run. samples: the variables of each run. Behind a guard sizes follow
    the rows that run there.
    """
    varies = set(samples[0]) - {UNITS}
    if varies or UNITS not in samples[0] or len(set(values)) < FEWEST_VALUES:
        return None
    units = [sample[UNITS] for sample in samples]
    for coefficient in _divisors(math.gcd(*values)):
        shares = [value // coefficient for value in values]
        for least in (False, True):
            found = _simplest(units, shares, least)
            if found is not None:
                times, plus, over = found
                return coefficient, Share((UNITS,), times, plus, over, least)
    return None


def _divisors(number: int) -> Iterator[int]:
    """Yield the divisors of a number, 1 first."""
    for divisor in range(1, number + 1):
        if number % divisor == 0:
            yield divisor


def _simplest(
    arguments: Sequence[int], values: Sequence[int], least: bool
) -> tuple[int, int, int] | None:
    """(times, plus, over) of the smallest denominator that gives every value."""
    pairs = []
    small = 0
    for argument, value in sorted(set(zip(arguments, values, strict=True))):
        if least and value == 1:
            small = max(small, argument)
        else:
            pairs.append((argument, value))
    if len(pairs) < FEWEST_VALUES:
        return None
    for over in range(2, MOST_OVER + 1):
        for way in (0, over - 1, over // 2):
            times = _times(pairs, over, way)
            if times and (small * times + way) // over <= 1:
                return times, way, over
    return None


def _times(pairs: Sequence[tuple[int, int]], over: int, plus: int) -> int:
    """The smallest factor with floor((factor * argument + plus) / over) = value; 0 for none."""
    lows, highs = [], []
    for argument, value in pairs:
        least = value * over - plus
        most = least + over - 1
        lows.append(-(-least // argument))
        highs.append(most // argument)
    low, high = max(lows), min(highs)
    return low if 0 < low <= high else 0
