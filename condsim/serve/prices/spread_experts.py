"""What experts that are spread over ranks take, for tokens of all ranks together.

    E(T) = Σ layers max over ranks of experts(layer, rank)

It is the mean over some draws of T tokens of the trace, dealt to ranks in order; experts are where
the placement has them. E is priced at sizes of a grid, and a straight line between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from condsim.parallel.dealing import Dealt, Rows, deal, rank_of_units, travelled
from condsim.parallel.placement import Placement
from condsim.parallel.plan import RankRows
from condsim.serve.prices.grid import between, sizes_up_to
from condsim.serve.prices.rank_side import RankSide
from condsim.serve.prices.sequences import Texts

EXACT_TOKENS, TOKENS_AN_OCTAVE = 16, 4
"""Numbers of tokens that are priced."""
LOOKED_AT = 4096
"""Tokens of the trace that say how many of them travel to which rank."""


@dataclass(frozen=True)
class ExpertCost:
    """Seconds of the slowest ranks and of the mean one, and joules of a rank, of a step.

    spread: how far single draws are off their mean, relative, float [draws].
    """

    slowest_s: float
    mean_s: float
    joules: float
    spread: np.ndarray


@dataclass(frozen=True)
class Reached:
    """How many times a token travels, the mean of a site.

    routes: to each rank, one an expert that is chosen, float [ranks]; copies: one a distinct rank;
    node_copies: to each node, one a distinct node, float [nodes].
    """

    routes: np.ndarray
    copies: np.ndarray
    node_copies: np.ndarray


@dataclass
class SpreadExperts:
    """placements: site → who holds what. decoding: tokens of a step that decode at most, of all
    ranks; the others are of a prompt. most: tokens of a step. draws: of each size.
    """

    side: RankSide
    texts: Texts
    placements: Mapping[str, Placement]
    decoding: int
    most: int
    draws: int
    seed: int

    def __post_init__(self) -> None:
        self.sizes = sizes_up_to(self.most, EXACT_TOKENS, TOKENS_AN_OCTAVE)
        self._known: dict[int, ExpertCost] = {}

    @cached_property
    def ranks(self) -> int:
        return next(iter(self.placements.values())).ranks

    def at(self, tokens: int) -> ExpertCost:
        """Return what experts cost in a step of so many tokens, of all ranks together."""
        below, above, share = between(self.sizes, tokens)
        low = self._at(self.sizes[below])
        if not share:
            return low
        high = self._at(self.sizes[above])
        return ExpertCost(
            low.slowest_s + share * (high.slowest_s - low.slowest_s),
            low.mean_s + share * (high.mean_s - low.mean_s),
            low.joules + share * (high.joules - low.joules),
            low.spread,
        )

    def reached(self, nodes: int) -> dict[str, Reached]:
        """Return site → where its tokens travel. nodes: that the ranks are spread over."""
        tokens = min(LOOKED_AT, self.most)
        units, positions = self._drawn(tokens, np.random.default_rng([self.seed, tokens]))
        one_step, one_sender = np.zeros(tokens, int), np.zeros(tokens, int)
        found = {}
        for site, placement in self.placements.items():
            ids = self.texts.ids(site, units, positions)
            moved = travelled(Rows(ids, one_step, one_sender, 1), placement, nodes)
            totals = (moved.routes, moved.copies, moved.node_copies)
            found[site] = Reached(*[total[0].sum(0) / tokens for total in totals])
        return found

    def errors(self) -> list[np.ndarray]:
        """Return how far draws are off their mean, of each size that was priced."""
        return [known.spread for known in self._known.values()]

    # Prices

    def _at(self, tokens: int) -> ExpertCost:
        if tokens not in self._known:
            self._known[tokens] = self._price(tokens)
        return self._known[tokens]

    def _price(self, tokens: int) -> ExpertCost:
        dealt = self._dealt(tokens)
        of_sites = {}
        for site, of_site in dealt.items():
            rows = np.stack([of_site.rows(rank) for rank in range(self.ranks)], axis=1)
            received = of_site.received
            gathered = np.full(received.size, tokens)
            of_ranks = rows.reshape(received.size, -1)
            of_sites[site] = RankRows(of_ranks, received.ravel(), gathered)
        priced = self.draws * self.ranks
        one = np.ones(priced, int)
        none = np.zeros((priced, self.texts.sites.columns), int)
        steps = self.texts.sites.steps(one, 1, one, none)
        seconds, joules = self.side.price_experts(steps, of_sites)
        by_rank = seconds.reshape(self.draws, self.ranks, -1)
        slowest_s = by_rank.max(1).sum(1)
        mean_s = float(slowest_s.mean())
        return ExpertCost(
            mean_s,
            float(by_rank.mean(1).sum(1).mean()),
            float(joules.mean()),
            np.abs(slowest_s / max(mean_s, 1e-12) - 1),
        )

    # Draws

    def _dealt(self, tokens: int) -> dict[str, Dealt]:
        """Site → where the tokens of all draws go."""
        rng = np.random.default_rng([self.seed, tokens])
        drawn = [self._drawn(tokens, rng) for _ in range(self.draws)]
        units = np.concatenate([of_draw for of_draw, _ in drawn])
        positions = np.concatenate([of_draw for _, of_draw in drawn])
        step = np.repeat(np.arange(self.draws), tokens)
        sender = np.tile(rank_of_units(tokens, self.ranks), self.draws)
        found = {}
        for site, placement in self.placements.items():
            ids = self.texts.ids(site, units, positions)
            found[site] = deal(Rows(ids, step, sender, self.draws), placement)
        return found

    def _drawn(self, tokens: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(unit, position) of some tokens: of sequences that decode, then of one prompt."""
        decoding = min(tokens, self.decoding)
        sequences = rng.integers(0, len(self.texts), decoding).tolist()
        turns = rng.integers(1, 1 << 20, decoding).tolist()
        pairs = zip(sequences, turns, strict=True)
        answers = np.array([self.texts.answer_unit(*pair) for pair in pairs], int)
        prompt = int(rng.integers(0, len(self.texts)))
        past = int(rng.integers(0, 1 << 20))
        units, positions = self.texts.prompt_places(prompt, past, tokens - decoding)
        none = np.zeros(decoding, int)
        return np.concatenate([answers, units]), np.concatenate([none, positions])
