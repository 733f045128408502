"""What steps cost: condsim's own predictions of them, each made once."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from condsim.program.regime import DECODE
from condsim.scenario import Scenario
from condsim.serve.columns import blocks, new_column
from condsim.serve.prices.composition import Pool
from condsim.serve.prices.copies import CopiedExperts, ExpertCopies
from condsim.serve.prices.samples import SamplePrices
from condsim.serve.prices.sequences import Texts
from condsim.serve.prices.side import ServedSide
from condsim.serve.prices.stages import StagePrices
from condsim.serve.prices.texts import TextPrices
from condsim.serve.requests import Requests
from condsim.serve.schedulers.base import TEXT, Kind
from condsim.serve.service import Service
from condsim.steps.rebatch import Cut, rebatch
from condsim.strategies import BASELINES

DRAWN = 96
"""Compositions of a size that are priced."""
DRAWN_ON_TWO_CLOCKS = 24
"""The same where each step is played kernel by kernel."""
LOOKED_AT = 1024
"""Units of the trace that say which experts are used most."""
REGROUPING_CALLS = 2
"""Calls that joining the rest of several batches takes: a gather and a concatenation."""


class Prices(Protocol):
    """What the steps of one side cost; beside this, all that its replicas ask.

    of_request: the unit or the sequence of the trace that each request decides as, int [n].
    """

    @property
    def of_request(self) -> np.ndarray: ...

    @property
    def priced(self) -> int:
        """Steps that condsim predicted."""

    def error(self) -> float:
        """Return how far a step that was not predicted itself is off, relative, at the 90th
        percentile."""

    def of_replica(self) -> Prices:
        """Return the prices of one replica."""


def prices_of(
    side: ServedSide,
    scenario: Scenario,
    service: Service,
    requests: Requests,
    kind: Kind,
    seed: int,
) -> Prices:
    """Return the prices of one side for some requests."""
    drawn = DRAWN_ON_TWO_CLOCKS if side.two_clocks else DRAWN
    is_dense = set(side.strategies.values()) <= set(BASELINES)
    if kind == TEXT:
        texts = Texts.of(side.trace, side.capacity_factor)
        prices = TextPrices(side, service, requests, texts, 1 if is_dense else drawn, seed)
        prices.copies = _copies(side, scenario, service, DECODE)
        return prices
    cut = rebatch(side.trace, 1, scenario.phase, scenario.threshold)
    rng = np.random.default_rng(seed)
    unit_of = _units_of(Pool.of(cut), len(requests), rng)
    if _leaves(side, cut) and not is_dense:
        regroup_s = service.regroup_s
        if regroup_s is None:
            regroup_s = REGROUPING_CALLS * side.target.profile.host.dispatch.value
        return StagePrices(side, cut, unit_of, service.max_batch, regroup_s)
    of_samples = SamplePrices(side, cut, unit_of, 1 if is_dense else drawn, seed)
    of_samples.copies = _copies(side, scenario, service, cut.phase)
    return of_samples


def _units_of(pool: Pool, requests: int, rng: np.random.Generator) -> np.ndarray:
    """The unit of each request, int [requests]."""
    units = new_column(requests, np.int32)
    for (block,) in blocks(units):
        block[:] = pool.draw(len(block), rng)
    return units


def _copies(
    side: ServedSide, scenario: Scenario, service: Service, phase: str
) -> ExpertCopies | None:
    """What copies of experts add, where these are in the host's memory."""
    if not side.waits_for_weights:
        return None
    cut = rebatch(side.trace, 1, phase)
    steps = cut.take(slice(0, LOOKED_AT))
    share, policy = scenario.expert_cache, service.cache
    return ExpertCopies(CopiedExperts.of(side, cut.regime, steps, share, policy))


def _leaves(side: ServedSide, cut: Cut) -> bool:
    """Whether whole samples leave the network, and decide nothing else."""
    for site in side.trace.sites:
        rows = site.unit_rows
        one_a_unit = rows.a_unit == 1 and rows.a_position == 0
        if not (site.routing.leaves and one_a_unit and site.scope != "batch"):
            return False
    return len(cut.sites) > 0
