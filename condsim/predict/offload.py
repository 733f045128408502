"""Steps whose experts wait in the host's memory.

The kernels of all steps in a row, and what each of them waits for, are played by
`condsim.engine.reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from condsim.engine import closed_form, reference
from condsim.engine.closed_form import Issued
from condsim.engine.expert_cache import Offloaded
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.lowered import Call
from condsim.predict.side import Side

Expert = tuple[str, int]
"""(site, which of its experts)."""

COPY_S = 2.6e-5
"""Fixed seconds of a copy over PCIe 3 x16. Source: te42kyfo/gpu-benches, README: 1 MB at
9.3 GB/s."""

LINK_SHARE = 0.78
"""Share of a link's rate that a long copy reaches. Source: te42kyfo/gpu-benches, README:
12.35 GB/s at most over PCIe 3 x16 (15.75 GB/s)."""


@dataclass(frozen=True)
class Offloading:
    """seconds: of each step as played, float [steps]; waited_s: of these, because of copies.
    experts_bytes: of all experts; room_bytes: that the device keeps of them."""

    seconds: np.ndarray
    waited_s: np.ndarray
    experts_bytes: float
    room_bytes: float

    @property
    def away_bytes(self) -> int:
        """Bytes of experts that are not on the device."""
        return int(self.experts_bytes - self.room_bytes)


def play(side: Side, share: float | None) -> Offloading:
    """Play steps that follow each other a second time, when the cache has settled, with prefetch
    where that is faster.

    share: of the experts' weights that the device keeps; None for what its memory has room for
    beside the other weights.
    Raises CondsimError for a device that has no link to its host.
    """
    target = side.model.target
    profile = target.profile
    bandwidth = _link_rate(profile)
    demand = _Demand(side)
    for step in range(side.cost.steps):
        demand.add_step(step)
    total = demand.experts_bytes()
    if share is None:
        others = target.weights_bytes - total
        room = min(total, max(profile.dram.bytes.value - others, 0.0))
    else:
        room = share * total
    issued, ends = demand.joined()
    twice = _twice(issued)
    needs = demand.needs + demand.needs
    waiting = Offloaded(needs, demand.expert_bytes, room, bandwidth, COPY_S, {})
    kernels_before = np.concatenate([[0], ends])
    last = kernels_before - 1 + len(demand.needs)  # of each step, the second time
    _, end, _ = closed_form.run(twice)
    all_resident = end[last]
    copied = all_resident
    if room < total:
        copied = _fastest(twice, waiting, demand.fetched_ahead(), last)
    seconds = np.diff(copied)
    resident_s = np.diff(all_resident)
    waited_s = np.maximum(seconds - resident_s, 0.0)
    return Offloading(seconds, waited_s, total, room)


def expert_bytes(side: Side) -> dict[str, float]:
    """Return site → bytes of the largest of its experts that some step reads, where these are in
    the host's memory."""
    demand = _Demand(side)
    for step in range(side.cost.steps):
        demand.add_step(step)
    largest: dict[str, float] = {}
    for (site, _), size in demand.expert_bytes.items():
        largest[site] = max(largest.get(site, 0.0), size)
    return largest


def copy_seconds(profile: HardwareProfile, copied_bytes: float) -> float:
    """Return the seconds of one copy from the host's memory.

    Raises CondsimError for a device that has no link to its host.
    """
    return COPY_S + copied_bytes / _link_rate(profile)


def _link_rate(profile: HardwareProfile) -> float:
    """Bytes a second of a long copy."""
    if "host" not in profile.links:
        raise CondsimError(
            f"profile {profile.name!r} has no links.host (bytes a second), over which strategy "
            "offloaded copies experts"
        )
    return profile.links["host"].value * LINK_SHARE


def _fastest(
    issued: Issued, waiting: Offloaded, ahead: Mapping[int, list[Expert]], last: np.ndarray
) -> np.ndarray:
    """When each step ends, without prefetch or with it. last: last kernel of each step."""
    with_prefetch = replace(waiting, ahead=ahead)
    _, end, _ = reference.run(issued, waiting)
    _, end_with_prefetch, _ = reference.run(issued, with_prefetch)
    on_demand: np.ndarray = end[last]
    fetched: np.ndarray = end_with_prefetch[last]
    on_demand_s = on_demand[-1] - on_demand[0]
    fetched_s = fetched[-1] - fetched[0]
    return fetched if fetched_s < on_demand_s else on_demand


def _twice(issued: Issued) -> Issued:
    columns = (issued.host_s, issued.device_s, issued.stream, issued.sync)
    doubled = [np.concatenate([column, column]) for column in columns]
    return Issued(*doubled)


@dataclass
class _Demand:
    """What the kernels of all steps wait for.

    needs: expert whose weights each kernel reads, or None. expert_bytes: of each expert.
    sites: in the order that steps reach them. used: of each step, site → experts.
    """

    side: Side
    issued: list[Issued] = field(default_factory=list)
    needs: list[Expert | None] = field(default_factory=list)
    needs_of_step: list[list[Expert | None]] = field(default_factory=list)
    expert_bytes: dict[Expert, float] = field(default_factory=dict)
    sites: list[str] = field(default_factory=list)
    used: list[dict[str, list[Expert]]] = field(default_factory=list)

    def add_step(self, step: int) -> None:
        """Note what one step's kernels wait for."""
        issued, calls = self.side.model.issued(self.side.cost.kernels, step)
        experts = [self._expert(call) for call in calls]
        self.issued.append(issued)
        self.needs += experts
        self.needs_of_step.append(experts)
        sizes: dict[Expert, float] = {}
        for call, expert in zip(calls, experts, strict=True):
            if expert is not None:
                before = sizes.get(expert, 0.0)
                sizes[expert] = before + self._weight_bytes(call)
                site, _ = expert
                if site not in self.sites:
                    self.sites.append(site)
        by_site: dict[str, list[Expert]] = {site: [] for site in self.sites}
        for expert, size in sizes.items():
            largest = self.expert_bytes.get(expert, 0.0)
            self.expert_bytes[expert] = max(size, largest)
            site, _ = expert
            by_site[site].append(expert)
        self.used.append(by_site)

    def _expert(self, call: Call) -> Expert | None:
        """The offloaded expert whose weights a call reads."""
        if call.op.view or not any(t.weight for t in call.op.inputs):
            return None
        for guard in reversed(call.guards):
            site, _ = guard
            strategy = self.side.lowered.strategy_of(site)
            if strategy.waits_for_weights:
                return guard
        return None

    def _weight_bytes(self, call: Call) -> float:
        target = self.side.model.target
        total = 0.0
        for tensor in call.op.inputs:
            if tensor.weight:
                shape = tensor.shape(call.bindings)
                total += target.bytes_of(tensor, shape)
        return total

    def experts_bytes(self) -> float:
        """Return the bytes of all experts; those that were never touched are as large as the
        largest of their site."""
        total = 0.0
        for name, rule in self.side.lowered.sites.items():
            sizes = [size for (site, _), size in self.expert_bytes.items() if site == name]
            largest = max(sizes, default=0.0)
            total += largest * rule.branches
        return total

    def joined(self) -> tuple[Issued, np.ndarray]:
        """Return one table of all steps, each of which ends with a wait, and where each ends
        (kernels up to there)."""
        lengths = [len(step.host_s) for step in self.issued]
        ends = np.cumsum(lengths)
        columns = []
        for name in ("host_s", "device_s", "stream", "sync"):
            of_steps = [getattr(step, name) for step in self.issued]
            columns.append(np.concatenate(of_steps))
        joined = Issued(*columns)
        joined.sync[ends - 1] = True
        return joined, ends

    def fetched_ahead(self) -> dict[int, list[Expert]]:
        """Return first kernel of a site's experts in a step → the experts that the next site used
        in the step before; after the last site, those of the first site in this step."""
        found: dict[int, list[Expert]] = {}
        kernel = 0
        for step, experts in enumerate(self.needs_of_step):
            seen: set[str] = set()
            for expert in experts:
                site = None if expert is None else expert[0]
                if site is not None and site not in seen:
                    seen.add(site)
                    fetched = self._next_experts(step, site)
                    found[kernel] = fetched
                    found[kernel + len(self.needs)] = fetched
                kernel += 1
        return found

    def _next_experts(self, step: int, site: str) -> list[Expert]:
        following = self.sites.index(site) + 1
        if following < len(self.sites):
            next_site = self.sites[following]
            return self.used[step - 1].get(next_site, [])
        first_site = self.sites[0]
        return self.used[step].get(first_site, [])
