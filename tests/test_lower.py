"""Laws of lowering, on programs of captured models: FLOPs against the baseline, order, and that walking and playing are one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from gates.harness import assignments
from gates.models import case
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.capture.probe import key
from condsim.lower import Lowering, StepRows
from condsim.program.logical import op_flops
from condsim.steps.rebatch import rebatch, site_rules
from condsim.trace import Trace

MODELS = ("exit-fashion", "skip-fashion", "branch-fashion", "sparse-bytes", "moe-bytes", "marked")
UNITS = 6


def counts(trace: Trace, units: int, seq: int, take: Any) -> dict[str, np.ndarray]:
    """Rows of each branch where `take(rows)` of the rows that get to a site go on."""
    found: dict[str, np.ndarray] = {}
    for site in trace.sites:
        rows = units * seq if site.per_position else units
        for parent, choice in site.parents:
            rows = int(found[parent][0, choice])
        if site.mechanism == "moe" or site.mechanism == "sparse_activation":
            each = np.array([take(rows) for _ in range(site.branches)])
        elif site.mechanism == "multi_branch":
            heavy = take(rows)
            each = np.array([rows - heavy, *[0] * (site.branches - 2), heavy])
        else:
            goes = take(rows)
            each = np.array([rows - goes, goes])
        found[site.name] = each[None]
    return found


def flops(trace: Trace, name: str, strategy: str, rows: StepRows) -> float:
    """Of one step, without what only decides."""
    assignment = assignments(name)[strategy]
    calls = Lowering(
        trace.programs[key(assignment, "prefill-n")], site_rules(trace), assignment, rows
    ).sequence()
    return sum(op_flops(c.op, c.bindings) for c in calls if not c.op.role.startswith("router:"))


def step(trace: Trace, take: Any) -> StepRows:
    seq = 1 if trace.steps["seq"].max() == 1 else 8
    return StepRows(
        np.array([UNITS]),
        np.array([seq]),
        np.array([seq]),
        counts(trace, UNITS, seq, take),
        costliest=trace.header.costliest,
    )


def guarded(name: str) -> str:
    """The strategy under which every guard runs only its rows."""
    return next(
        s
        for s in assignments(name)
        if all(v in ("compacted", "looped", "gathered") for v in assignments(name)[s].values())
    )


@pytest.mark.parametrize("name", MODELS)
def test_all_guards_true_gives_the_baselines_flops(name: str) -> None:
    trace = case(name).trace
    rows = step(trace, lambda n: n)
    assert flops(trace, name, guarded(name), rows) == flops(trace, name, "same-params", rows)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=12)
@given(data=st.data())
def test_conditional_is_never_more(name: str, data: st.DataObject) -> None:
    trace = case(name).trace
    rows = step(trace, lambda n: data.draw(st.integers(0, n)))
    assert flops(trace, name, guarded(name), rows) <= flops(trace, name, "same-params", rows)


@pytest.mark.parametrize("name", ["exit-fashion", "marked", "moe-bytes"])
def test_walking_visits_what_playing_plays(name: str) -> None:
    """All steps at once in arrays give the operators of each step in order."""
    trace = case(name).trace
    steps = rebatch(trace, 4)
    for strategy, assignment in assignments(name).items():
        lowering = Lowering(
            trace.programs[key(assignment, steps.regime)], site_rules(trace), assignment, steps.rows
        )
        walked: Counter[Any] = Counter()
        for v in lowering.walk():
            sizes = [
                np.broadcast_to(d, v.step.shape) for t in v.op.inputs for d in t.shape(v.bindings)
            ]
            for i, s in enumerate(v.step):
                walked[int(s), v.op.name, tuple(int(d[i]) for d in sizes)] += 1
        played: Counter[Any] = Counter()
        for s in range(len(steps.rows)):
            one = Lowering(lowering.program, lowering.sites, assignment, steps.rows.step(s))
            for c in one.sequence():
                played[
                    s, c.op.name, tuple(int(d) for t in c.op.inputs for d in t.shape(c.bindings))
                ] += 1
        assert walked == played, strategy
