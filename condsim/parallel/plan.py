"""What each rank gets of a trace's steps: its units, and the rows that its experts compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.parallel.dealing import Dealt, Rows, deal, rank_of_units, travelled
from condsim.parallel.exchange import Sent
from condsim.parallel.fabric import Fabric
from condsim.parallel.parallel import Parallel
from condsim.parallel.placement import Placement
from condsim.parallel.sharding import gathered_extent, received_extent, routes_extent
from condsim.steps.extents import Steps, rows_extent
from condsim.steps.rebatch import Cut
from condsim.trace import Site, Trace

MOST_STEPS = 64
"""Steps that are looked at, evenly spread, where nobody names them."""


def expert_sites(trace: Trace) -> tuple[Site, ...]:
    """Return the sites whose branches are experts. Raises CondsimError where there are none."""
    sites = tuple(site for site in trace.sites if site.routing.mixes_experts)
    if not sites:
        has = ", ".join(trace.mechanisms)
        raise CondsimError(
            f"parallel: trace {trace.name!r} has no experts to spread over ranks (it has {has})"
        )
    return sites


def placements_of(trace: Trace, parallel: Parallel, nodes: int = 1) -> dict[str, Placement]:
    """Return site → placement, made from all of a trace's decisions.

    Raises CondsimError for a trace without experts, and for what cannot be placed.
    """
    counts = {site.name: trace.unit_counts(site.name).sum(0) for site in expert_sites(trace)}
    return parallel.placements(counts, nodes)


@dataclass(frozen=True)
class RankRows:
    """What one rank has of a site, in n steps.

    rows: that each expert computes there, int [n, experts]. received: tokens that the rank holds
    after dispatch, gathered: tokens of all ranks, int [n] each.
    """

    rows: np.ndarray
    received: np.ndarray
    gathered: np.ndarray


def on_rank(steps: Steps, of_sites: Mapping[str, RankRows]) -> Steps:
    """Return steps of a rank's own units with what its experts compute. of_sites: by name."""
    extents = dict(steps.extents)
    counts = dict(steps.counts)
    for site, here in of_sites.items():
        counts[site] = here.rows
        extents[rows_extent(site)] = here.received
        extents[received_extent(site)] = here.received
        extents[routes_extent(site)] = here.rows.sum(1)
        extents[gathered_extent(site)] = here.gathered
    return replace(steps, extents=extents, counts=counts)


@dataclass(frozen=True)
class Plan:
    """Steps spread over ranks.

    cut: of all units of a batch. numbers: of the steps that are looked at, int [n].
    placements: of each site with experts.
    """

    trace: Trace
    cut: Cut
    numbers: np.ndarray
    fabric: Fabric
    placements: Mapping[str, Placement]

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What the ranks run beside the steps depends on: nodes, and who holds what."""
        held = []
        for site, placement in self.placements.items():
            expert_of = placement.expert_of.tobytes()
            held.append((site, placement.ranks, expert_of))
        return (self.nodes, tuple(held))

    @cached_property
    def ranks(self) -> int:
        return next(iter(self.placements.values())).ranks

    @cached_property
    def nodes(self) -> int:
        """Nodes that the ranks are spread over, in order."""
        return self.fabric.nodes(self.ranks)

    @cached_property
    def rank_of_unit(self) -> np.ndarray:
        """The rank of each unit of a step, int [batch]."""
        return rank_of_units(self.cut.batch, self.ranks)

    @cached_property
    def units(self) -> np.ndarray:
        """Unit-steps of each step, int [n, batch]."""
        of_all_steps = self.cut.units.reshape(-1, self.cut.batch)
        chosen: np.ndarray = of_all_steps[self.numbers]
        return chosen

    @cached_property
    def dealt(self) -> Mapping[str, Dealt]:
        """Site → where its rows go."""
        found = {}
        for site, placement in self.placements.items():
            found[site] = deal(self._rows(site), placement)
        return found

    def _rows(self, name: str) -> Rows:
        """The rows of a site in the order in which they run."""
        ids = self.trace.decisions(name).ids
        ids = ids.reshape(len(ids), -1)
        row, step, sender = self._places(name)
        return Rows(ids[row], step, sender, len(self.numbers))

    def _places(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each row of a site: (its number in the trace, its step, the rank of its unit), int
        [rows] each; of sites whose units have as many rows, once."""
        held = self.trace.rows_per_unit(self.trace.site(name))
        key = held.tobytes()
        if key not in self._known_places:
            self._known_places[key] = self._places_of(held)
        return self._known_places[key]

    @cached_property
    def _known_places(self) -> dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return {}

    def _places_of(self, held: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """held: rows of each unit of the trace, int [units]."""
        first_row = np.cumsum(held) - held
        units = self.units.ravel()
        length = held[units]
        before = np.cumsum(length) - length
        from_places_to_rows = np.repeat(first_row[units] - before, length)
        row = from_places_to_rows + np.arange(length.sum())
        steps = len(self.units)
        step_of_unit = np.repeat(np.arange(steps), self.cut.batch)
        sender_of_unit = np.tile(self.rank_of_unit, steps)
        step = np.repeat(step_of_unit, length)
        return row, step, np.repeat(sender_of_unit, length)

    @cached_property
    def own_tokens(self) -> Mapping[str, np.ndarray]:
        """Site → rows of each rank's own units there, int [n, ranks]."""
        found = {}
        for name in self.placements:
            rows_per_unit = self.trace.rows_per_unit(self.trace.site(name))
            held = rows_per_unit[self.units]
            of_rank = np.zeros((len(held), self.ranks), np.int64)
            for rank in range(self.ranks):
                own = held[:, self.rank_of_unit == rank]
                of_rank[:, rank] = own.sum(1)
            found[name] = of_rank
        return found

    def sent(self, site: str, width: int, element_bytes: float) -> Sent:
        """Return what a site's dispatch sends. width, element_bytes: of a token."""
        rule = self.cut.sites[site].rule
        moved = travelled(self._rows(site), self.placements[site], self.nodes)
        return Sent(
            tokens=self.own_tokens[site],
            routes=moved.routes,
            copies=moved.copies,
            node_copies=moved.node_copies,
            width=width,
            element_bytes=element_bytes,
            top_k=rule.top_k,
            experts=rule.branches,
        )

    def share(self, rank: int) -> RankCut:
        """Return the steps as one rank has them."""
        inherited = {field.name: getattr(self.cut, field.name) for field in fields(Cut)}
        regime = f"{self.cut.phase}-n"  # ranks differ in batch, and run the same operators
        return RankCut(**(inherited | {"regime": regime}), plan=self, rank=rank)


@dataclass(frozen=True, kw_only=True)
class RankCut(Cut):
    """The units of one rank in the steps of a plan."""

    plan: Plan
    rank: int

    def take(self, selected: Any) -> Steps:
        """Return some of the plan's steps. selected: their numbers in the whole cut, or a slice of
        all that it has."""
        plan = self.plan
        if isinstance(selected, slice):
            selected = np.arange(len(self))[selected]
        numbers = np.asarray(selected)
        places = np.searchsorted(plan.numbers, numbers)
        units = plan.units[places]
        own = units[:, plan.rank_of_unit == self.rank]
        steps = self.steps_of(numbers, own)
        of_sites = {}
        for site, dealt in plan.dealt.items():
            rows = dealt.rows(self.rank)[places]
            received = dealt.received[places, self.rank]
            tokens_of_all = plan.own_tokens[site][places].sum(1)
            of_sites[site] = RankRows(rows, received, tokens_of_all)
        return on_rank(steps, of_sites)
