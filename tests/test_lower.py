"""Laws of lowering, on programs of captured models: FLOPs against the baseline, order, and that
walking and playing are one."""

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
from condsim.lower import lower
from condsim.lowered import Lowered
from condsim.program.logical import op_flops
from condsim.steps.extents import Steps
from condsim.steps.rebatch import rebatch, site_rules
from condsim.trace import Trace

MODELS = ("exit-fashion", "skip-fashion", "branch-fashion", "sparse-bytes", "moe-bytes", "marked")
UNITS = 6


def counts(trace: Trace, units: int, seq: int, take: Any) -> dict[str, np.ndarray]:
    """Rows of each branch where `take(rows)` of the rows that get to a site go on."""
    found: dict[str, np.ndarray] = {}
    for site in trace.sites:
        rows = units * site.unit_rows.of(seq)
        for parent, choice in site.parents:
            rows = int(found[parent][0, choice])
        if site.routing.alike:
            each = np.array([take(rows) for _ in range(site.branches)])
        elif site.routing.one_of_several:
            heavy = take(rows)
            each = np.array([rows - heavy, *[0] * (site.branches - 2), heavy])
        else:
            goes = take(rows)
            each = np.array([rows - goes, goes])
        found[site.name] = each[None]
    return found


def flops(trace: Trace, name: str, strategy: str, rows: Steps) -> float:
    """Of one step, without what only decides."""
    assignment = assignments(name)[strategy]
    calls = lower(
        trace.programs[key(assignment, "prefill-n")], site_rules(trace), assignment, rows
    ).sequence()
    return sum(op_flops(c.op, c.bindings) for c in calls if not c.op.role.startswith("router:"))


def step(trace: Trace, take: Any) -> Steps:
    seq = 1 if trace.steps["seq"].max() == 1 else 8
    return Steps.rectangular(
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
def test_all_steps_at_once_run_what_each_step_plays(name: str) -> None:
    trace = case(name).trace
    cut = rebatch(trace, 4)
    for strategy, assignment in assignments(name).items():
        program = trace.programs[key(assignment, cut.regime)]
        lowered = lower(program, site_rules(trace), assignment, cut.steps)
        assert _walked(lowered) == _played(lowered), strategy


def _walked(lowered: Lowered) -> Counter[Any]:
    """(step, operator, input sizes) of all calls, from the scopes' arrays."""
    found: Counter[Any] = Counter()
    for scope, calls in enumerate(lowered.scopes):
        for _, op in calls.operators():
            sizes = lowered.sizes(scope, op.site)
            dims = [np.broadcast_to(d, len(calls)) for t in op.inputs for d in t.shape(sizes)]
            for call, step in enumerate(calls.step):
                found[int(step), op.name, tuple(int(d[call]) for d in dims)] += 1
    return found


def _played(lowered: Lowered) -> Counter[Any]:
    """The same of each step by itself, in executed order."""
    found: Counter[Any] = Counter()
    for number in range(len(lowered.steps)):
        one = lower(lowered.program, lowered.sites, lowered.strategies, lowered.steps.step(number))
        assert [c.signature() for c in one.sequence()] == [
            c.signature() for c in lowered.sequence(number)
        ]
        for call in one.sequence():
            dims = [d for t in call.op.inputs for d in t.shape(call.bindings)]
            found[number, call.op.name, tuple(int(d) for d in dims)] += 1
    return found
