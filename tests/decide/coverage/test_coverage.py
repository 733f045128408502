"""Coverage of traces: what is seen agrees with the decisions, and with what a simulation says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_traces import make_trace

import condsim
from condsim.decide.coverage.coverage import coverage, smallest_test_set
from condsim.decide.units import Units
from condsim.errors import CondsimError
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory


def with_units(trace: Trace, units: int) -> Trace:
    """The first sequences of a trace, of 32 a step."""
    first = {}
    for site in trace.sites:
        rows = int(trace.rows_per_unit(site)[:units].sum())
        old = trace.decisions(site.name)
        parts = (old.ids, old.weights, old.scores)
        first[site.name] = Decisions(*(None if part is None else part[:rows] for part in parts))
    return replace(trace, steps=trace.steps.head(units // 32), reader=in_memory(first))


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


def test_a_test_set_shows_everything(exits: Trace) -> None:
    chosen = smallest_test_set(exits, "paths")
    assert (len(chosen.units), chosen.gap) == (4, 0)
    depth = sum(exits.decisions(site.name).ids.clip(0) for site in exits.sites)
    assert set(depth[list(chosen.units)]) == set(depth)


def test_of_itself_everything_is_tested_and_of_more_not(experts: Trace) -> None:
    whole = coverage(experts, of=experts, most_priced=2)
    assert whole.production is not None
    assert (whole.production["tested_mass"] == 1).all()
    part = coverage(with_units(experts, 64), of=experts, most_priced=2)
    assert part.production is not None
    paths = part.production[part.production["kind"] == "paths"].iloc[0]
    assert paths["low"] <= paths["tested_mass"] <= paths["high"] < 1


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


def test_bad_input_is_one_line(exits: Trace, experts: Trace) -> None:
    with pytest.raises(CondsimError, match="different sites: 'exit0'"):
        coverage(exits, of=experts)
    with pytest.raises(CondsimError, match="unknown test set 'path'"):
        smallest_test_set(exits, "path")
    with pytest.raises(CondsimError, match="has no sets"):
        smallest_test_set(exits, "sets")
