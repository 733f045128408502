"""Recorded routing → a generator: popularity, pairs of layers, and what tokens have in common.

Popularity is shrunk towards even as far as the sequences differ among themselves, so that chance
in few tokens is not taken for skew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from condsim import checks
from condsim.errors import CondsimError
from condsim.routing.generator import (
    RoutingGenerator,
    chosen,
    first_k,
    followed,
    race_weights,
    sticky_times,
)
from condsim.routing.sequences import Sequences, sequences_of
from condsim.trace import Trace
from condsim.trace.model import check_trace

FEWEST_TOKENS = 32
"""Of a trace that anything is fitted to."""
CLUSTERS = 16
"""Parts of the tokens, at least, whose differences show how much of a share is chance."""
LEAST_SHARE = 1e-3
"""Of the mean share: an expert that nobody takes is never without any tokens."""
TRIED_TOKENS = 4096
"""Tokens that are drawn to compare a fit with what was recorded."""
ROUNDS = 8
"""Corrections of the weights until drawn shares are those that were recorded."""
PRIOR_PAIRS = 8.0
"""Pairs that a lift of 1 counts for: rare pairs say little."""
POWERS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Of the lifts: a token has several experts a layer, and their mean says less than each."""
CORRELATIONS = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
"""Of the times of two tokens, at which the overlap of their experts is tried."""
MOST_STICKY = 0.98
"""Of memory, and of what the tokens of a sequence share."""


@dataclass(frozen=True)
class _Layer:
    """What is fitted of one layer; the fields are those of a generator."""

    shares: np.ndarray
    weights: np.ndarray
    lift: np.ndarray | None
    memory: float
    sequence_share: float


def fit_routing(trace: Trace, name: str | None = None, seed: int = 0) -> RoutingGenerator:
    """Fit a generator to the decisions of a trace, captured or imported.

    name: of the generator; the trace's by default. seed: of the draws that fit it.
    Raises CondsimError for a trace without experts or with fewer than FEWEST_TOKENS tokens, and
    where layers differ in their experts.
    """
    check_trace(trace)
    checks.whole("seed", seed, least=0)
    layers = sequences_of(trace)
    top_k, experts = _shape(trace)
    tokens = sum(len(one) for one in layers[0])
    if tokens < FEWEST_TOKENS:
        raise CondsimError(
            f"trace {trace.name!r} holds the routing of {tokens} tokens; fitting a generator needs "
            f"at least {FEWEST_TOKENS}"
        )
    rng = np.random.default_rng(seed)
    fitted = _fit_layers(layers, experts, rng)
    return RoutingGenerator(
        name=name or trace.name,
        top_k=top_k,
        shares=np.stack([layer.shares for layer in fitted]),
        weights=np.stack([layer.weights for layer in fitted]),
        lifts=tuple(layer.lift for layer in fitted),
        memory=np.array([layer.memory for layer in fitted]),
        sequence_share=np.array([layer.sequence_share for layer in fitted]),
        source=f"fitted to {tokens} tokens of trace {trace.name}",
    )


def _shape(trace: Trace) -> tuple[int, int]:
    """(experts a token, experts) of all layers. Raises CondsimError where layers differ."""
    shapes = set()
    for site in trace.sites:
        top_k = site.top_k or 1
        shapes.add((top_k, site.branches))
    if len(shapes) > 1:
        listed = ", ".join(f"{k} of {experts}" for k, experts in sorted(shapes))
        raise CondsimError(
            f"trace {trace.name!r} has layers of unlike experts ({listed}); a generator's are alike"
        )
    return shapes.pop()


def _fit_layers(layers: list[Sequences], experts: int, rng: np.random.Generator) -> list[_Layer]:
    """Fit one layer after the other, each behind what the fitted layers before it draw."""
    fitted = []
    recorded_before: np.ndarray | None = None
    drawn_before: np.ndarray | None = None
    for sequences in layers:
        recorded = np.concatenate(sequences)
        shares = shrunk_shares(sequences, experts)
        lift = None
        if recorded_before is not None and drawn_before is not None:
            lift = _fit_lift(recorded_before, recorded, drawn_before, shares, rng)
        top_k = recorded.shape[1]
        weights = _fit_weights(shares, lift, drawn_before, top_k, rng)
        rates = _rates(weights, lift, drawn_before)
        memory, share = _fit_stickiness(sequences, rates, rng)
        fitted.append(_Layer(shares, weights, lift, memory, share))
        recorded_before = recorded
        drawn_before = _draw(rates, top_k, rng)
    return fitted


# Popularity


def shrunk_shares(sequences: Sequences, experts: int) -> np.ndarray:
    """Return the share of the tokens that take each expert, float [experts], without chance.

    The variance of the shares over experts is that of the popularity and that of chance; the
    second is seen in how parts of the tokens differ.
    """
    parts = _clusters(sequences)
    tokens = np.array([len(part) for part in parts])
    taken = [np.bincount(part.ravel(), minlength=experts) for part in parts]
    of_part = np.stack(taken)
    all_tokens = tokens.sum()
    shares: np.ndarray = of_part.sum(0) / all_tokens
    residuals = of_part - tokens[:, None] * shares
    squared = (residuals**2).sum(0).mean()
    count = len(parts)
    chance = squared / all_tokens**2 * count / (count - 1)
    even = shares.mean()
    from_even = shares - even
    spread = (from_even**2).mean()
    kept = max(0.0, 1 - chance / spread) if spread else 0.0
    # The square root keeps the spread of the shares, not the least squared error, near the truth.
    spread_out = even + np.sqrt(kept) * from_even
    shrunk: np.ndarray = np.maximum(spread_out, even * LEAST_SHARE)
    return shrunk


def _clusters(sequences: Sequences) -> list[np.ndarray]:
    """Whole sequences; parts of them where there are few."""
    pieces = max(1, -(-CLUSTERS // len(sequences)))
    parts: list[np.ndarray] = []
    for sequence in sequences:
        split = np.array_split(sequence, pieces)
        parts += [part for part in split if len(part)]
    return parts if len(parts) > 1 else np.array_split(sequences[0], 2)


def _fit_weights(
    shares: np.ndarray,
    lift: np.ndarray | None,
    before: np.ndarray | None,
    top_k: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Weights that draw the shares, behind the layer before; float [experts]."""
    weights = race_weights(shares, top_k)
    for _ in range(ROUNDS):
        rates = _rates(weights, lift, before)
        drawn = _draw(rates, top_k, rng)
        counted = np.bincount(drawn.ravel(), minlength=len(shares))
        wanted = shares * len(drawn)
        weights = weights * (wanted + 1) / (counted + 1)
    return weights


def _rates(weights: np.ndarray, lift: np.ndarray | None, before: np.ndarray | None) -> np.ndarray:
    """Rates of TRIED_TOKENS tokens, float [tokens, experts]."""
    if lift is None or before is None:
        return np.broadcast_to(weights, (TRIED_TOKENS, len(weights)))
    rates: np.ndarray = weights * followed(before, lift)
    return rates


def _draw(rates: np.ndarray, top_k: int, rng: np.random.Generator) -> np.ndarray:
    """Ids of independent tokens, int [tokens, k]."""
    times = rng.standard_exponential(rates.shape) / rates
    return first_k(times, top_k)


# Pairs of layers


def _fit_lift(
    recorded_before: np.ndarray,
    recorded: np.ndarray,
    drawn_before: np.ndarray,
    shares: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """The lifts whose draws follow the layer before as much as was recorded."""
    experts, top_k = len(shares), recorded.shape[1]
    lift = pair_lift(recorded_before, recorded, experts)
    wanted = dependence(recorded_before, recorded, experts)
    weights = race_weights(shares, top_k)
    misses = []
    for power in POWERS:
        rates = _rates(weights, lift**power, drawn_before)
        drawn = _draw(rates, top_k, rng)
        reached = dependence(drawn_before, drawn, experts)
        misses.append(abs(reached - wanted))
    best_power = POWERS[int(np.argmin(misses))]
    best: np.ndarray = lift**best_power
    return best


def pair_lift(before: np.ndarray, after: np.ndarray, experts: int) -> np.ndarray:
    """Return how many times as often an expert follows another as by chance, float [E, E].

    before, after: ids of the same tokens in two layers, int [tokens, k].
    """
    pairs, by_chance = _pairs(before, after, experts)
    lift: np.ndarray = (pairs + PRIOR_PAIRS) / (by_chance + PRIOR_PAIRS)
    return lift


def dependence(before: np.ndarray, after: np.ndarray, experts: int) -> float:
    """Return how far two layers are from independent: chi-squared over pairs, less chance."""
    pairs, by_chance = _pairs(before, after, experts)
    possible = by_chance > 0
    expected = by_chance[possible]
    deviation = pairs[possible] - expected
    chi_squared = (deviation**2 / expected).sum()
    by_luck = (experts - 1) ** 2
    return float(max(chi_squared - by_luck, 0.0) / pairs.sum())


def _pairs(before: np.ndarray, after: np.ndarray, experts: int) -> tuple[np.ndarray, np.ndarray]:
    """(pairs that were seen, pairs that independent layers would have), float [E, E]."""
    first, second = chosen(before, experts), chosen(after, experts)
    seen = first.T @ second
    taken_before, taken_after = first.sum(0), second.sum(0)
    by_chance = np.outer(taken_before, taken_after) / len(first)
    return seen.astype(float), by_chance


# What the tokens of a sequence have in common


def _fit_stickiness(
    sequences: Sequences, rates: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """(memory, share) whose draws overlap as neighbours and as distant tokens of a sequence do."""
    top_k = sequences[0].shape[1]
    experts = rates.shape[1]
    near, far = overlaps(sequences, experts)
    tried = [_drawn_overlap(rates, top_k, float(r), rng) for r in CORRELATIONS]
    rising = np.maximum.accumulate(tried)
    neighbours = _correlation_at(near, rising)
    distant = _correlation_at(far, rising)
    share = min(distant, MOST_STICKY)
    memory = max(0.0, (neighbours - share) / (1 - share))
    return min(memory, MOST_STICKY), share


def _correlation_at(overlap: float, rising: np.ndarray) -> float:
    """The correlation whose draws overlap so much; 0 where the overlap is not known.

    rising: the overlap of draws of each of CORRELATIONS.
    """
    if not np.isfinite(overlap):
        return 0.0
    return float(np.interp(overlap, rising, CORRELATIONS))


def overlaps(sequences: Sequences, experts: int) -> tuple[float, float]:
    """Return the mean experts that tokens have in common: (neighbours, tokens half a sequence
    apart); NaN where no sequence is long enough."""
    near, far = [], []
    for sequence in sequences:
        half = max(2, len(sequence) // 2)
        near.append(_overlap(sequence, 1, experts))
        far.append(_overlap(sequence, half, experts))
    return _mean(near), _mean(far)


def _overlap(sequence: np.ndarray, lag: int, experts: int) -> tuple[float, int]:
    """(sum over pairs of tokens of the experts that they have in common, pairs)."""
    hot = chosen(sequence, experts)
    in_common = hot[lag:] * hot[:-lag]
    pairs = max(0, len(hot) - lag)
    return float(in_common.sum()), pairs


def _mean(sums: list[tuple[float, int]]) -> float:
    """The mean over all pairs; NaN without any. sums: (total, pairs)."""
    pairs = sum(count for _, count in sums)
    if not pairs:
        return float("nan")
    return sum(total for total, _ in sums) / pairs


def _drawn_overlap(
    rates: np.ndarray, top_k: int, correlation: float, rng: np.random.Generator
) -> float:
    """The mean experts that two tokens have in common whose times are so much alike."""
    tokens, experts = rates.shape
    pairs = tokens // 2
    of_pairs = rates[: 2 * pairs].reshape(pairs, 2, experts)
    times = sticky_times(of_pairs.shape, correlation, 0.0, rng) / of_pairs
    first = chosen(first_k(times[:, 0], top_k), experts)
    second = chosen(first_k(times[:, 1], top_k), experts)
    in_common = (first * second).sum(1)
    return float(in_common.mean())
