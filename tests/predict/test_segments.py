"""Segments: one rule for predictions and recordings, seconds that sum up, and no sum without a
CPU."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.lower import lower
from condsim.predict.choose import choose_strategies, probed_strategies, program_of
from condsim.predict.segments import families, segment_of
from condsim.predict.simulate import simulate
from condsim.steps.rebatch import rebatch, site_rules
from condsim.study.parts import cancelled
from condsim.trace import Trace

TRACES = Path(__file__).parents[2] / "traces"


@pytest.fixture(
    scope="module",
    params=["branch-fashion", "exit-fashion", "moe-bytes", "skip-fashion", "sparse-bytes"],
)
def trace(request: pytest.FixtureRequest) -> Trace:
    return condsim.load(TRACES / request.param)


@pytest.mark.parametrize("protocol", ["stream", "repeat", "loop"])
def test_segments_sum_up_to_the_latency(trace: Trace, protocol: str) -> None:
    for strategy in probed_strategies(trace):
        p = simulate(trace, None, strategy, 8, protocol=protocol)
        assert p.segments["calls"].gt(0).all()
        sums = p.segments.groupby("side")["seconds"].sum()
        assert sums["conditional"] == pytest.approx(p.latency_s, rel=1e-12)
        assert sums["baseline"] == pytest.approx(p.baseline_s, rel=1e-12)


def test_calls_are_those_of_the_lowered_sequence(trace: Trace) -> None:
    strategies, cut = choose_strategies(trace, None), rebatch(trace, 8)
    p = simulate(trace, batch=8, steps=[1])
    for name, way in (
        ("conditional", strategies),
        ("baseline", dict.fromkeys(strategies, "same-params")),
    ):
        program = program_of(trace, way, cut.regime)
        calls = lower(program, site_rules(trace), way, cut.steps.step(1)).sequence()
        expected = Counter(
            (segment_of(c.op, c.guards, families(trace, program)), c.op.name) for c in calls
        )
        found = p.segments[p.segments["side"] == name].set_index(["segment", "operator"])["calls"]
        assert found[found > 0].to_dict() == expected


def test_every_site_has_its_segments(trace: Trace) -> None:
    p = simulate(trace, batch=8)
    for side, group in p.segments.groupby("side"):
        there = set(group["segment"])
        assert "trunk" in there
        assert all(
            any(s.split("=")[0].removesuffix(" router") == site.name for s in there)
            for site in trace.sites
        )
        assert any(s.endswith(" router") for s in there) == (
            side == "conditional"
        )  # a baseline decides nothing


def test_what_overlaps_is_refused(trace: Trace) -> None:
    with pytest.raises(
        CondsimError, match=r"operators overlap on nvidia-h100-sxm.*choose the profile of a CPU"
    ):
        _ = simulate(trace, "nvidia-h100-sxm", batch=8).segments


def test_what_cancels_is_shown() -> None:
    common = {
        "trace": "t",
        "strategy": "s",
        "batch": 1,
        "phase": "prefill",
        "baseline": "same-params",
    }
    rows = [
        {**common, "side": side, "predicted_s": p, "measured_s": m}
        for side, p, m in (
            ("conditional", 2.0, 1.0),
            ("conditional", 1.0, 2.0),
            ("conditional", 1.0, 1.0),
            ("baseline", 3.0, 4.0),
        )
    ]
    assert cancelled(pd.DataFrame(rows)) == {
        "sides": 2,
        "median_abs_error": 0.125,
        "median_sum_of_abs_errors": 0.375,
    }


def test_by_is_checked(trace: Trace) -> None:
    with pytest.raises(CondsimError, match="unknown by 'layer'"):
        condsim.compare(trace, by="layer")
