"""Requests: when each arrives, and how long its prompt and its answer are."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from condsim import checks
from condsim.checks import MOST_SECONDS
from condsim.errors import CondsimError
from condsim.serve.columns import blocks, new_column, same_for_all

MOST_REQUESTS = 10_000_000
MOST_TOKENS = 1 << 24
"""Of one prompt or one answer."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt or an answer: whole numbers from `least` to `most`, all alike likely."""

    least: int
    most: int

    def __post_init__(self) -> None:
        """Raises CondsimError unless 1 <= least <= most."""
        for length in (self.least, self.most):
            checks.whole("lengths", length, most=MOST_TOKENS)
        if self.most < self.least:
            raise CondsimError(f"lengths: the least stands first, got {self.least}-{self.most}")

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return so many lengths, int [count]."""
        lengths = new_column(count, np.int64)
        for (block,) in blocks(lengths):
            block[:] = rng.integers(self.least, self.most + 1, len(block))
        return lengths


@dataclass(frozen=True)
class Requests:
    """n requests in order of arrival.

    arrival_s: float [n]. prompt_tokens, output_tokens: int [n].
    cached_tokens: of the prompt, from its beginning, whose keys and values are kept from an earlier
        request; int [n].
    have_lengths: whether prompts and answers were given; a model that answers in one forward needs
        none.
    """

    arrival_s: np.ndarray
    prompt_tokens: np.ndarray
    output_tokens: np.ndarray
    cached_tokens: np.ndarray
    have_lengths: bool = True

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def rate(self) -> float:
        """Requests a second, from the first arrival to the last; infinite if all come at once."""
        span_s = float(self.arrival_s[-1] - self.arrival_s[0])
        return (len(self) - 1) / span_s if span_s > 0 else math.inf

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with its answer."""
        longest = 0
        for prompts, answers in blocks(self.prompt_tokens, self.output_tokens):
            longest = max(longest, int((prompts + answers).max()))
        return longest

    def first(self, count: int) -> Requests:
        """Return the first requests."""
        return Requests(
            self.arrival_s[:count],
            self.prompt_tokens[:count],
            self.output_tokens[:count],
            self.cached_tokens[:count],
            self.have_lengths,
        )

    def all_at_once(self) -> Requests:
        """Return the same requests, all of which are there from the beginning."""
        return replace(self, arrival_s=np.zeros(len(self)))


def poisson(
    rate: float,
    count: int,
    prompt_tokens: Lengths | None = None,
    output_tokens: Lengths | None = None,
    seed: int = 0,
) -> Requests:
    """Draw requests that arrive independently of each other.

    rate: a second. count: of requests. prompt_tokens, output_tokens: None for a model that answers
    in one forward.
    Raises CondsimError for a rate that is not above 0 and a count below 1.
    """
    checks.above_zero("rate", rate)
    checks.whole("count", count, most=MOST_REQUESTS)
    checks.whole("seed", seed, least=0)
    rng = np.random.default_rng(seed)
    arrival_s = new_column(count, float)
    last_s = 0.0
    for (block,) in blocks(arrival_s):
        gaps_s = rng.exponential(1 / rate, len(block))
        gaps_s[0] += last_s
        np.cumsum(gaps_s, out=block)
        last_s = float(block[-1])
    return _drawn(arrival_s, prompt_tokens, output_tokens, rng)


def bursts(
    size: int,
    every_s: float,
    count: int,
    prompt_tokens: Lengths | None = None,
    output_tokens: Lengths | None = None,
    seed: int = 0,
) -> Requests:
    """Draw requests that arrive `size` at a time, every `every_s` seconds.

    The others as in `poisson`. Raises CondsimError for a size or count below 1, and for seconds
    that are not above 0.
    """
    checks.whole("size", size)
    checks.above_zero("seconds between bursts", every_s)
    checks.whole("count", count, most=MOST_REQUESTS)
    checks.whole("seed", seed, least=0)
    arrival_s = new_column(count, float)
    first = 0
    for (block,) in blocks(arrival_s):
        block[:] = np.arange(first, first + len(block)) // size * every_s
        first += len(block)
    return _drawn(arrival_s, prompt_tokens, output_tokens, np.random.default_rng(seed))


def _drawn(
    arrival_s: np.ndarray,
    prompt_tokens: Lengths | None,
    output_tokens: Lengths | None,
    rng: np.random.Generator,
) -> Requests:
    if (prompt_tokens is None) != (output_tokens is None):
        raise CondsimError("give the lengths of both prompts and answers, or of neither")
    count, last_s = len(arrival_s), float(arrival_s[-1])
    if last_s > MOST_SECONDS:
        raise CondsimError(
            f"the last of {count} requests would arrive after {last_s:.3g} s; the most is "
            f"{MOST_SECONDS:g} s: draw fewer, or more of them a second"
        )
    none_cached = same_for_all(0, count)
    if prompt_tokens is None or output_tokens is None:
        one_token = same_for_all(1, count)
        return Requests(arrival_s, one_token, one_token, none_cached, have_lengths=False)
    prompts = prompt_tokens.draw(count, rng)
    answers = output_tokens.draw(count, rng)
    return Requests(arrival_s, prompts, answers, none_cached)
