"""Where a prepared graph ends because somebody must decide.

    seconds = launch * graphs + read back * decisions on the host + switch * (graphs - 1)
              + branch * conditionals on the device

A site that the host steers cuts the graph: the host reads the decision back, then starts the graph
of each branch that was taken (one that continues, where none was). Where the sizes do not follow
the decision and the device has conditionals of its own, nothing is read back.
Source: dispatch floors of 95 to 230 us and graphs that run to their end (maderix.substack.com;
krrishnarraj/clpeak issue 197), one compiled program a shape and `lax.cond` on a scalar
(docs.pytorch.org/xla recompilation; docs.jax.dev lax.cond).
Not true where launches of graphs that do not wait for one another overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from condsim.hardware import HardwareProfile
from condsim.lowered import Lowered
from condsim.scope_calls import ScopeCalls
from condsim.strategies import Strategy

LoopPlace = tuple[int, int]
"""(number of the scope that a loop stands in, node of the loop there)."""

Graph = tuple[int, ...]
"""() for the one that a step begins with; the loop after which one goes on; a loop, and the branch
and rows behind it."""


@dataclass
class Decided:
    """What the rows of n steps do at one loop.

    reached: steps whose rows reach it, bool [n]. taken: branches that run, bool [n, branches + 1].
    sizes: branch → rows that it ran with in any step.
    """

    site: str
    reached: np.ndarray
    taken: np.ndarray
    sizes: dict[int, set[int]] = field(default_factory=dict)


def decided(lowered: Lowered) -> dict[LoopPlace, Decided]:
    """Return what is decided at each loop that some step reaches."""
    found: dict[LoopPlace, Decided] = {}
    steps = len(lowered.steps)
    for calls in lowered.scopes:
        if not calls.guards or not any(calls.operators()):
            continue
        site, _ = calls.guards[-1]
        place = loop_of(calls)
        if place not in found:
            branches = lowered.sites[site].branches + 1
            taken = np.zeros((steps, branches), bool)
            found[place] = Decided(site, np.zeros(steps, bool), taken)
        _add_calls(found[place], calls)
    return found


def _add_calls(at_loop: Decided, calls: ScopeCalls) -> None:
    at_loop.reached[calls.step] = True
    rows = calls.sizes["rows"]
    runs = rows > 0
    steps, choices = calls.step[runs], calls.choice[runs]
    at_loop.taken[steps, choices] = True
    for choice in np.unique(choices):
        of_choice = runs & (calls.choice == choice)
        distinct = np.unique(rows[of_choice])
        sizes = at_loop.sizes.setdefault(int(choice), set())
        sizes.update(distinct.tolist())


def loop_of(calls: ScopeCalls) -> LoopPlace:
    """Return where the loop stands whose body a scope is."""
    return calls.placed.parent, calls.placed.loop


@dataclass(frozen=True)
class Launches:
    """What each step starts and decides, float [n].

    graphs: graphs started. read_back: decisions that the host reads. branches: conditionals on the
    device. prepared: graphs that are compiled, by what tells one from another.
    """

    graphs: np.ndarray
    read_back: np.ndarray
    branches: np.ndarray
    prepared: frozenset[Graph]

    def seconds(self, profile: HardwareProfile) -> np.ndarray:
        """Return what they cost each step, float [n]."""
        costs = profile.graphs
        assert costs is not None
        total: np.ndarray = self.graphs * costs.launch.value
        total = total + (self.graphs - 1) * costs.switch.value
        total = total + self.read_back * profile.host.synchronise.value
        if costs.branch is not None:
            total = total + self.branches * costs.branch.value
        return total


def launches(lowered: Lowered, profile: HardwareProfile) -> Launches:
    """Count what each step starts and decides."""
    steps = len(lowered.steps)
    graphs = np.ones(steps)
    read = np.zeros(steps)
    on_device = np.zeros(steps)
    prepared: set[Graph] = {()}
    for place, at_loop in decided(lowered).items():
        follower = steering(lowered.strategy_of(at_loop.site), profile)
        if follower == "device":
            on_device += at_loop.reached
        elif follower == "host":
            read += at_loop.reached
            started = np.maximum(at_loop.taken.sum(1), 1)
            graphs += np.where(at_loop.reached, started, 0)
            prepared.add(place)
            for choice, sizes in at_loop.sizes.items():
                prepared |= {(*place, choice, rows) for rows in sizes}
        elif follower == "companion":
            read = np.maximum(read, at_loop.reached)
    return Launches(graphs, read, on_device, frozenset(prepared))


def steering(strategy: Strategy, profile: HardwareProfile) -> str:
    """Return who follows the decisions of a site: nobody (""), the "device", the "host" or the
    "companion"."""
    has_branch = profile.graphs is not None and profile.graphs.branch is not None
    if strategy.steered == "host" and strategy.shapes == "one" and has_branch:
        return "device"
    return strategy.steered
