"""Where the time of a step goes: by segment, and in it by operator.

A segment is what stands behind the same guard: the experts of a layer, what comes after an exit, a branch, a layer that can be skipped; the router of a site
is one of its own, and what has no guard is the trunk. A prediction and a recorded run (`condsim.measure.segments`) name them by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from condsim.cost.cost_model import Pricing
from condsim.cost.step_cost import side
from condsim.errors import CondsimError
from condsim.lower import Lowering, Visit
from condsim.program import Program, loops
from condsim.trace import Trace

TRUNK = "trunk"
COLUMNS = ("side", "segment", "operator", "calls", "seconds")
ALIKE = (
    "moe",
    "sparse_activation",
)  # mechanisms whose branches differ in nothing but their weights


def families(trace: Trace, program: Program) -> frozenset[str]:
    """Sites whose branches are one segment: those that are alike, or that one body serves in this program."""
    shared = {
        loop.site for loop in loops(program.root) if any(choice < 0 for choice, _, _ in loop.bodies)
    }
    return frozenset(shared | {s.name for s in trace.sites if s.mechanism in ALIKE})


class Placed(Protocol):
    """What the place of an operator follows from: as in `condsim.program.Op`."""

    @property
    def role(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def module(self) -> str: ...


def segment_of(op: Placed, guards: Sequence[tuple[str, int]], of_families: Collection[str]) -> str:
    """The segment of an operator. guards: (site, choice) from the outside in. of_families: of `families`."""
    if op.role:
        return f"{op.role.removeprefix('router:')} router"
    named = [
        s for s in of_families if f"{op.module}.".startswith(f"{s}.")
    ]  # a baseline runs experts without a guard, in the module that has their name
    if op.site or named:
        return op.site or max(named, key=len)
    if not guards:
        return TRUNK
    name, choice = guards[-1]
    return name if name in of_families else f"{name}={choice}"


def segments(
    trace: Trace, sides: dict[str, Lowering], pricing: Pricing, *, repeat: bool
) -> pd.DataFrame:
    """A row a side, segment and operator, in executed order: calls and seconds, the mean over the steps.

    sides: name → its lowering. repeat: each step is repeated in turn on both sides. The seconds of a side sum up to its predicted latency.
    Raises CondsimError where host and device are two: there the time of an operator hides behind that of others.
    """
    profile = pricing.profile
    if profile.kind != "cpu" or pricing.prepared:
        raise CondsimError(
            f"by segment: operators overlap on {profile.name}, so that their times do not sum up to the latency; choose the profile of a CPU"
        )
    priced = {
        name: side(lowering, pricing, _label(trace, lowering)) for name, lowering in sides.items()
    }
    rows = []
    for name, s in priced.items():
        assert s.labels is not None
        others = [o for n, o in priced.items() if n != name]
        between = (
            (
                sum(o.evicting_bytes(profile) for o in others),
                sum(o.footprint_bytes() for o in others),
            )
            if repeat
            else (None, None)
        )
        calls: dict[tuple[str, ...], float] = {}
        for (label, _), count in s.labels.calls.items():
            calls[label] = calls.get(label, 0.0) + float(np.mean(count))
        for label, seconds in s.by_label(profile, *between).items():
            rows.append((name, *label, calls[label], float(np.mean(seconds))))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _label(trace: Trace, lowering: Lowering) -> Callable[[Visit], tuple[str, str]]:
    alike = families(trace, lowering.program)
    return lambda v: (segment_of(v.op, v.guards, alike), v.op.name)
