"""Routing that is drawn: what layers of experts decide for any number of tokens, from few figures.

At a layer every expert arrives after an exponential time, whose rate is its weight, and a token
takes the k that arrive first. A weight is the expert's popularity, times how much more often it
follows the experts that the token took in the layer before (a Markov chain over layers). The times
of neighbouring tokens of a sequence are alike, and so, a little, are those of all its tokens.
Source of the race: Efraimidis and Spirakis, 2006, "Weighted random sampling with a reservoir".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_ndtr

from condsim import checks
from condsim.trace.encoding import id_dtype

BLOCK_TOKENS = 65536
"""Tokens that are drawn at a time; a block holds whole sequences."""


@dataclass(frozen=True)
class RoutingGenerator:
    """Layers of experts that all have as many experts, of which a token takes as many.

    shares: float [layers, experts], of the tokens that take an expert; each layer's sum is k.
    weights: float [layers, experts], above 0, that draw these shares behind the layer before.
    lifts: of each layer float [experts before, experts]: how many times as likely an expert is
        after one of the layer before; None where a layer does not follow the one before.
    memory: float [layers], 0 to below 1: correlation of the times of neighbouring tokens.
    sequence_share: float [layers], 0 to below 1: share of their variance that all tokens of a
        sequence have in common.
    source: where the figures are from.
    """

    name: str
    top_k: int
    shares: np.ndarray
    weights: np.ndarray
    lifts: tuple[np.ndarray | None, ...]
    memory: np.ndarray
    sequence_share: np.ndarray
    source: str = ""

    @property
    def layers(self) -> int:
        """How many layers of experts there are."""
        return len(self.weights)

    @property
    def experts(self) -> int:
        """Experts of a layer."""
        return int(self.weights.shape[1])

    def independent(self) -> RoutingGenerator:
        """Return the same popularity without any correlation, to see what that is worth."""
        nothing = np.zeros(self.layers)
        return replace(
            self,
            weights=race_weights(self.shares, self.top_k),
            lifts=(None,) * self.layers,
            memory=nothing,
            sequence_share=nothing,
        )

    def draw(self, sequences: int, positions: int, seed: int = 0) -> list[np.ndarray]:
        """Return the ids of each layer, int [sequences, positions, k], those chosen first first.

        The same seed gives the same ids. Raises CondsimError for fewer than one token.
        """
        checks.whole("sequences", sequences)
        checks.whole("positions", positions)
        checks.whole("seed", seed, least=0)
        shape = (sequences, positions, self.top_k)
        ids = [np.empty(shape, id_dtype(self.experts)) for _ in range(self.layers)]
        a_block = max(1, BLOCK_TOKENS // positions)
        rng = np.random.default_rng(seed)
        for start in range(0, sequences, a_block):
            some = slice(start, min(start + a_block, sequences))
            of_block = self._draw_block(some.stop - some.start, positions, rng)
            for layer, drawn in enumerate(of_block):
                ids[layer][some] = drawn
        return ids

    def _draw_block(
        self, sequences: int, positions: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Ids of each layer, int [sequences, positions, k]."""
        before: np.ndarray | None = None
        for layer in range(self.layers):
            times = self._times(layer, sequences, positions, rng)
            rates = self.weights[layer].astype(np.float32)
            lift = self.lifts[layer]
            if lift is not None and before is not None:
                rates = rates * followed(before, lift)
            before = first_k(times / rates, self.top_k)
            yield before.reshape(sequences, positions, -1)

    def _times(
        self, layer: int, sequences: int, positions: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Times of rate 1, float32 [sequences * positions, experts]."""
        memory, share = float(self.memory[layer]), float(self.sequence_share[layer])
        times = sticky_times((sequences, positions, self.experts), memory, share, rng)
        return times.reshape(-1, self.experts)


def sticky_times(
    shape: tuple[int, ...], memory: float, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Return times of rate 1, float32 [sequences, positions, experts], alike along a sequence.

    memory: correlation of neighbours, beside what all positions of a sequence share. A Gaussian
    copula: correlated normal noise, turned into exponential times.
    """
    if not memory and not share:
        return rng.standard_exponential(shape, np.float32)
    noise = rng.standard_normal(shape, np.float32)
    fresh = np.float32(np.sqrt(1 - memory**2))
    for position in range(1, shape[1]):
        noise[:, position] *= fresh
        noise[:, position] += np.float32(memory) * noise[:, position - 1]
    if share:
        common = rng.standard_normal((shape[0], 1, shape[2]), np.float32)
        noise *= np.float32(np.sqrt(1 - share))
        noise += np.float32(np.sqrt(share)) * common
    times: np.ndarray = -log_ndtr(noise)
    return times


def followed(before: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """Return the mean lift of every expert over those of the layer before, float32 [tokens, E].

    before: int [tokens, k]. lift: float [experts before, experts].
    """
    mean: np.ndarray = chosen(before, len(lift)) @ lift.astype(np.float32)
    mean /= before.shape[1]
    return mean


def chosen(ids: np.ndarray, experts: int) -> np.ndarray:
    """Return which experts each token took, float32 [tokens, experts] of 0 and 1."""
    hot = np.zeros((len(ids), experts), np.float32)
    np.put_along_axis(hot, ids, 1, axis=1)
    return hot


def first_k(times: np.ndarray, top_k: int) -> np.ndarray:
    """Return the experts of the k least times, in their order, int [tokens, k]."""
    if top_k < times.shape[1]:
        least = np.argpartition(times, top_k - 1, axis=1)[:, :top_k]
    else:
        least = np.broadcast_to(np.arange(top_k), times.shape)
    order = np.argsort(np.take_along_axis(times, least, axis=1), axis=1)
    return np.take_along_axis(least, order, axis=1)


def race_weights(shares: np.ndarray, top_k: int) -> np.ndarray:
    """Return weights that give every expert about its share of the tokens.

    shares: float [..., experts], of the tokens that take an expert; their sum is k. The k-th
    arrival is nearly fixed where there are many experts, so that an expert of weight w arrives in
    time with probability 1 - exp(-w).
    """
    fitting = np.clip(shares * top_k / shares.sum(-1, keepdims=True), 1e-6, 0.995)
    weights: np.ndarray = -np.log1p(-fitting)
    return weights
