"""Coverage of traces: what is seen agrees with the decisions, and with what a simulation says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_traces import make_trace

import condsim
from condsim.decide.coverage.coverage import coverage
from condsim.decide.units import Units
from condsim.errors import CondsimError
from condsim.trace import Trace


def test_counts_are_those_of_the_decisions(experts: Trace) -> None:
    seen = coverage(experts, most_priced=4)
    ids = [np.sort(experts.decisions(site.name).ids, axis=1) for site in experts.sites]
    paths = np.unique(np.concatenate(ids, axis=1), axis=0)
    assert seen.of_kind("paths")["seen"].tolist() == [len(paths)]
    sets = [len(np.unique(of_site, axis=0)) for of_site in ids]
    assert seen.of_kind("sets")["seen"].tolist() == sets
    pairs = {(a, b) for one, two in zip(ids[0], ids[1], strict=True) for a in one for b in two}
    assert seen.of_kind("transitions")["seen"].iloc[0] == len(pairs)
    assert (seen.units, seen.word) == (512, "sequence")


def test_exits_have_one_path_more_than_exits(exits: Trace) -> None:
    seen = coverage(exits, "raspberry-pi-5", most_priced=64)
    row = seen.of_kind("paths").iloc[0]
    assert (row["seen"], row["possible"]) == (4, 4)
    costs = seen.costs
    assert costs is not None
    alone = condsim.simulate(exits, "raspberry-pi-5", batch=1, steps=[costs.worst_unit])
    assert costs.seconds.max() == pytest.approx(alone.latency_s, rel=1e-6)
    assert costs.structural[1] >= costs.seconds.max() * 0.95


def test_every_encoding_is_counted() -> None:
    trace = make_trace()
    trace = replace(trace, header=trace.header.model_copy(update={"has_programs": False}))
    seen = coverage(trace)
    assert set(seen.table["kind"]) == {"branches", "sets", "transitions", "paths"}
    assert "recorded routing only" in seen.why_no_costs


def test_sequences_are_followed_into_their_decode_steps() -> None:
    trace = make_trace()
    steps = trace.steps.assign(phase=["prefill", "decode", "decode"], seq=[3, 1, 1], past=[0, 3, 4])
    units = Units.of(replace(trace, steps=steps))
    assert units.count == 4
    assert units.of_step.tolist() == [0, 1, 2, 3] * 3


def test_traces_of_other_sites_are_refused(exits: Trace, experts: Trace) -> None:
    with pytest.raises(CondsimError, match="different sites: 'exit0'"):
        coverage(exits, of=experts)
