"""Ranks that step together, each with requests of its own, and experts spread over all of them.

    step = max over ranks of own(rank) + E(T) + Σ layers (dispatch + combine)

own: attention, routers and shared experts of a rank's tokens, priced as text on one device is
(`condsim.serve.prices.texts`), experts left out; the layers of a model are alike, so the rank that
is the slowest in one layer is so in all. T: tokens of all ranks; E: `SpreadExperts`. What travels
goes by the tokens that each rank has. A rank without work computes one token, as engines do it.
Source: vllm-project/vllm docs/serving/data_parallel_deployment.md ("dummy" forward passes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from condsim.parallel.exchange import COMBINE, DISPATCH, Sent, all_gather_seconds, exchange_of
from condsim.parallel.fabric import fabric_of
from condsim.parallel.parallel import Parallel
from condsim.parallel.plan import expert_sites, placements_of
from condsim.parallel.sharding import token_widths
from condsim.predict.choose import program_of
from condsim.predict.rank import DENSE, dense_width
from condsim.program.regime import DECODE, PREFILL, Regime
from condsim.serve.prices.rank_side import RankSide
from condsim.serve.prices.sequences import Texts
from condsim.serve.prices.side import ServedSide
from condsim.serve.prices.spread_experts import Reached, SpreadExperts
from condsim.serve.prices.texts import TextPrices
from condsim.serve.requests import Requests
from condsim.serve.service import Service
from condsim.serve.text import Chunk, TextStep
from condsim.serve.text import Sequence as Text
from condsim.strategies import name_of

DRAWS = 6
"""Draws of tokens of a size whose experts are priced, on each rank."""
DUMMY = TextStep(0, {}, 0, [Chunk(Text(-1, 1, 0, 0), 0, 1)])
"""What a rank computes that has no work."""
MOST_KNOWN = 1 << 16
"""Exchanges that are remembered."""


@dataclass(frozen=True)
class Together:
    """A step of all ranks.

    seconds: of the step. joules: of each rank; of one without work, beyond its idle power.
    waits_s: seconds that each rank waits for slower ones, exchange_s: for what travels.
    """

    seconds: float
    joules: list[float]
    waits_s: list[float]
    exchange_s: float


class SpreadPrices:
    """Implements `condsim.serve.prices.Prices`, and what `condsim.serve.lock_step` asks."""

    def __init__(
        self, side: ServedSide, parallel: Parallel, service: Service, requests: Requests, seed: int
    ) -> None:
        trace = side.trace
        self.is_dense = name_of(side.strategies) == DENSE
        self.fabric = fabric_of(side.target.profile, parallel.fabric)
        self.nodes = self.fabric.nodes(parallel.expert)
        self.side = RankSide(
            trace,
            side.target,
            side.strategies,
            side.capacity_factor,
            width=dense_width(trace, parallel.expert),
        )
        texts = Texts.of(trace, side.capacity_factor)
        self.own = TextPrices(self.side, service, requests, texts, 1, seed)
        self.experts = SpreadExperts(
            self.side,
            texts,
            placements_of(trace, parallel, self.nodes),
            service.max_batch * parallel.expert,
            service.token_budget * parallel.expert + requests.longest,
            1 if self.is_dense else DRAWS,
            seed,
        )
        self.exchange = parallel.exchange
        self._exchanges: dict[tuple[str, tuple[int, ...]], float] = {}

    @property
    def of_request(self) -> np.ndarray:
        """The sequence of the trace that each request decides as, int [n]."""
        return self.own.of_request

    @property
    def priced(self) -> int:
        """Steps that condsim predicted."""
        return self.side.priced

    def of_replica(self) -> SpreadPrices:
        """Return the prices of some ranks that step together."""
        return self

    def error(self) -> float:
        """Return how far a step that was not predicted itself is off, relative, at the 90th
        percentile."""
        experts = self.experts.errors()
        of_experts = float(np.percentile(np.concatenate(experts), 90)) if experts else 0.0
        return max(self.own.error(), of_experts)

    def price(self, steps: Sequence[TextStep]) -> Together:
        """Return what a step of all ranks costs. steps: of each rank, empty where it has none."""
        own = [self.own.price(step if step.rows else DUMMY) for step in steps]
        tokens = tuple(max(step.rows, 1) for step in steps)
        computes_prompts = any(step.chunks for step in steps)
        experts = self.experts.at(sum(tokens))
        exchange_s = self._exchange_s(PREFILL if computes_prompts else DECODE, tokens)
        slowest_s = max(own_s for own_s, _ in own)
        seconds = slowest_s + experts.slowest_s + exchange_s
        idle_w = self.side.target.profile.power.idle_w.value
        joules, waits_s = [], []
        for step, (own_s, own_j) in zip(steps, own, strict=True):
            waits_s.append(slowest_s - own_s + experts.slowest_s - experts.mean_s)
            idle_s = waits_s[-1] + exchange_s - (0.0 if step.rows else seconds)
            joules.append(own_j + experts.joules + idle_w * idle_s)
        return Together(seconds, joules, waits_s, exchange_s)

    # What travels

    def _exchange_s(self, phase: str, tokens: tuple[int, ...]) -> float:
        """Seconds of all exchanges of a step. tokens: of each rank."""
        key = (phase, tokens)
        if key not in self._exchanges:
            if len(self._exchanges) > MOST_KNOWN:
                self._exchanges.clear()
            travel = self._gathered if self.is_dense else self._sent
            self._exchanges[key] = travel(phase, np.array(tokens))
        return self._exchanges[key]

    def _gathered(self, _phase: str, tokens: np.ndarray) -> float:
        """Seconds of gathering all tokens, and of scattering the sums of the ranks' parts."""
        total_s = 0.0
        link = self.fabric.slowest(len(tokens))
        for width in self._widths.values():
            size = np.array([tokens.sum() * width * self._element_bytes])
            total_s += 2 * float(all_gather_seconds(size, len(tokens), link)[0])
        return total_s

    def _sent(self, phase: str, tokens: np.ndarray) -> float:
        """Seconds of dispatch and combine of all sites."""
        exchange = exchange_of(self.exchange, self.fabric, phase)
        total_s = 0.0
        for kind, reached in self._alike.items():
            sent = kind.sent(tokens, reached)
            dispatch_s = exchange.seconds(sent, DISPATCH, self.fabric)
            combine_s = exchange.seconds(sent, COMBINE, self.fabric)
            total_s += float((dispatch_s + combine_s).sum())
        return total_s

    @property
    def _element_bytes(self) -> float:
        return self.side.target.float_bytes

    @cached_property
    def _widths(self) -> dict[str, int]:
        """Site → elements of a token."""
        trace = self.side.trace
        same_params = dict.fromkeys(self.side.strategies, DENSE)
        dense = program_of(trace, same_params, str(Regime(DECODE, False)))
        return token_widths(dense, self.side.sites)

    @cached_property
    def _alike(self) -> dict[_Kind, list[Reached]]:
        """Sites that send tokens of one size, together."""
        reached = self.experts.reached(self.nodes)
        found: dict[_Kind, list[Reached]] = {}
        for site in expert_sites(self.side.trace):
            width, top_k = self._widths[site.name], site.top_k or 1
            kind = _Kind(width, self._element_bytes, top_k, site.branches)
            found.setdefault(kind, []).append(reached[site.name])
        return found


@dataclass(frozen=True)
class _Kind:
    """What sites have alike that send tokens: as in `condsim.parallel.exchange.Sent`."""

    width: int
    element_bytes: float
    top_k: int
    experts: int

    def sent(self, tokens: np.ndarray, reached: Sequence[Reached]) -> Sent:
        """Return what travels at each site. tokens: of each rank."""
        senders = tokens[None, :, None]
        return Sent(
            tokens=np.tile(tokens, (len(reached), 1)),
            routes=senders * np.stack([of_site.routes for of_site in reached])[:, None],
            copies=senders * np.stack([of_site.copies for of_site in reached])[:, None],
            node_copies=senders * np.stack([of_site.node_copies for of_site in reached])[:, None],
            width=self.width,
            element_bytes=self.element_bytes,
            top_k=self.top_k,
            experts=self.experts,
        )
