"""What steps cost: condsim's own predictions of them, each made once."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from condsim.scenario import Scenario
from condsim.serve.prices.composition import Pool
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
REGROUPING_CALLS = 2
"""Calls that joining the rest of several batches takes: a gather and a concatenation."""


class Prices(Protocol):
    """What the steps of one side cost; beside this, all that its replicas ask."""

    @property
    def priced(self) -> int:
        """Steps that condsim predicted."""

    def error(self) -> float:
        """Return how far a step that was not predicted itself is off, relative, at the 90th
        percentile."""


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
        texts = Texts.of(side.trace)
        return TextPrices(side, service, requests, texts, 1 if is_dense else drawn, seed)
    cut = rebatch(side.trace, 1, scenario.phase, scenario.threshold)
    rng = np.random.default_rng(seed)
    unit_of = Pool.of(cut).draw(len(requests), rng)
    if _leaves(side, cut) and not is_dense:
        regroup_s = service.regroup_s
        if regroup_s is None:
            regroup_s = REGROUPING_CALLS * side.target.profile.host.dispatch.value
        return StagePrices(side, cut, unit_of, service.max_batch, regroup_s)
    return SamplePrices(side, cut, unit_of, 1 if is_dense else drawn, seed)


def _leaves(side: ServedSide, cut: Cut) -> bool:
    """Whether whole samples leave the network, and decide nothing else."""
    for site in side.trace.sites:
        rows = site.unit_rows
        one_a_unit = rows.a_unit == 1 and rows.a_position == 0
        if not (site.routing.leaves and one_a_unit and site.scope != "batch"):
            return False
    return len(cut.sites) > 0
