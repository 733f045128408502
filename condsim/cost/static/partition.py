"""Where a prepared graph ends because somebody must decide: launches, decisions that are read back, conditionals on the device.

    seconds = launch * graphs + (read back) * decisions on the host + switch * (graphs - 1) + branch * conditionals on the device

A site that the host steers cuts the graph: it reads the decision back, then starts the graph of each branch that was taken (one that continues, where
none was). Where the sizes do not follow the decision and the device has conditionals of its own, nothing is read back.
Source: dispatch floors of 95 to 230 us and graphs that run to their end (maderix.substack.com; krrishnarraj/clpeak issue 197), one compiled program a
shape and `lax.cond` on a scalar (docs.pytorch.org/xla recompilation; docs.jax.dev lax.cond).
Not true where launches of graphs that do not wait for one another overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from condsim.hardware import HardwareProfile
from condsim.lower import Path, Visit
from condsim.strategies import STRATEGIES

LoopAt = tuple[Path, int]


@dataclass
class Cuts:
    """Of n steps. reached: loop → steps whose rows reach it, bool [n]; taken: loop → branches that were taken, bool [n, branches];
    sizes: rows that a branch ran with, in any step."""

    reached: dict[LoopAt, np.ndarray] = field(default_factory=dict)
    taken: dict[LoopAt, np.ndarray] = field(default_factory=dict)
    sizes: dict[tuple[LoopAt, int], set[int]] = field(default_factory=dict)
    site: dict[LoopAt, str] = field(default_factory=dict)


def cuts(visits: Iterable[Visit], steps: int, branches: Mapping[str, int]) -> Cuts:
    """Which loops the rows of each step reach, and what they take there. branches: of each site."""
    found = Cuts()
    last: np.ndarray | None = None
    for v in visits:
        if not v.guards or v.step is last:  # the operators of one body share their calls
            continue
        last = v.step
        at, site = loop_of(v.place[0]), v.guards[-1][0]
        if at not in found.reached:
            found.reached[at], found.taken[at] = (
                np.zeros(steps, bool),
                np.zeros((steps, branches[site] + 1), bool),
            )
            found.site[at] = site
        found.reached[at][v.step] = True
        rows = v.bindings["rows"]
        runs = rows > 0
        found.taken[at][v.step[runs], v.choice[runs]] = True
        for choice in np.unique(v.choice[runs]):
            found.sizes.setdefault((at, int(choice)), set()).update(
                np.unique(rows[runs & (v.choice == choice)]).tolist()
            )
    return found


def loop_of(path: Path) -> LoopAt:
    """Where the innermost loop of a path stands: the path of its scope and its place there."""
    return path[:-1], path[-1][0]


@dataclass(frozen=True)
class Launches:
    """Of each step, float [n]: graphs started, decisions read back by the host, conditionals on the device. prepared: graphs compiled for all steps."""

    graphs: np.ndarray
    read_back: np.ndarray
    branches: np.ndarray
    prepared: int

    def seconds(self, profile: HardwareProfile) -> np.ndarray:
        """What they cost each step, float [n]."""
        g = profile.graphs
        assert g is not None
        total: np.ndarray = (
            self.graphs * g.launch.value
            + (self.graphs - 1) * g.switch.value
            + self.read_back * profile.host.synchronise.value
        )
        return total + self.branches * (g.branch.value if g.branch is not None else 0.0)


def launches(
    found: Cuts, steps: int, strategy_of: Mapping[str, str], profile: HardwareProfile
) -> Launches:
    """Count them. strategy_of: site → strategy."""
    graphs, read, on_device, prepared = np.ones(steps), np.zeros(steps), np.zeros(steps), 1
    for at, reached in found.reached.items():
        how = steering(strategy_of[found.site[at]], profile)
        if how == "device":
            on_device += reached
        elif how == "host":
            read += reached
            graphs += np.where(reached, np.maximum(found.taken[at].sum(1), 1), 0)
            prepared += 1 + sum(
                len(sizes) for (loop, _), sizes in found.sizes.items() if loop == at
            )
        elif how == "companion":
            read = np.maximum(read, reached)
    return Launches(graphs, read, on_device, prepared)


def steering(strategy: str, profile: HardwareProfile) -> str:
    """Who follows the decisions of a site: nobody (""), the "device", the "host" or the "companion"."""
    s = STRATEGIES[strategy]
    has_branch = profile.graphs is not None and profile.graphs.branch is not None
    return "device" if s.steered == "host" and s.shapes == "one" and has_branch else s.steered
