"""Drift between traces, in assignments and in seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import condsim
from condsim.decide.drift.drift import Drift, drift
from condsim.decide.drift.noise import noise_floor
from condsim.errors import CondsimError
from condsim.steps.redraw import redrawn
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory

DEVICE = "raspberry-pi-5"


@pytest.fixture(scope="module")
def moved(exits: Trace) -> Drift:
    return drift(exits, redrawn(exits, share=0.9), DEVICE, batch=32)


def test_a_trace_has_not_drifted_from_itself(experts: Trace) -> None:
    same = drift(experts, experts, DEVICE, again=experts, strategy="looped")
    assert not same.drifted
    assert same.moved.distance == 0
    assert same.noise is not None
    assert not same.noise["flips"].any()
    assert same.seconds is not None
    assert same.seconds["change"].tolist() == [0]


def test_drift_is_said_in_seconds(exits: Trace, moved: Drift) -> None:
    assert moved.drifted
    assert moved.seconds is not None
    row = moved.seconds.set_index("strategy").loc["compacted"]
    for name, trace in (("a", exits), ("b", redrawn(exits, share=0.9))):
        alone = condsim.simulate(trace, DEVICE, "compacted", 32)
        assert row[f"latency_{name}_s"] == pytest.approx(alone.latency_s, rel=1e-9)
        assert row[f"verdict_{name}"] == alone.verdict
    assert row["flips"] == (row["verdict_a"] != row["verdict_b"])
    assert row["change"] > 0.2


def test_sites_say_what_moved(moved: Drift) -> None:
    first = moved.sites.iloc[0]
    assert first["distance"] > 10 * first["by_chance"]
    assert first["p"] <= first["p_holm"] <= 0.01
    assert 0 < first["jensen_shannon"] < 1


def test_a_stream_that_drifts_raises_alarms(exits: Trace) -> None:
    found = drift(
        exits, redrawn(exits, share=0.9), DEVICE, false_alarm_every=20, window=512, strategy="wait"
    )
    assert found.windows is not None
    assert len(found.windows) == 4
    assert found.windows["alarm"].all()
    assert found.own_alarms is not None


def test_noise_floor_counts_what_flipped(experts: Trace) -> None:
    site = experts.sites[0].name
    decisions = {s.name: experts.decisions(s.name) for s in experts.sites}
    ids = decisions[site].ids.copy()
    ids[::10, 0] = [next(b for b in range(8) if b not in row) for row in ids[::10]]
    again = replace(experts, reader=in_memory(decisions | {site: Decisions(ids)}))
    table = noise_floor(experts, again).set_index("site")
    assert table.loc[site, "rows"] == pytest.approx(0.1, abs=0.001)
    assert table.loc[site, "flips"] == pytest.approx(0.05, abs=0.001)
    assert np.all(table.drop(index=site)["flips"] == 0)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"level": 2}, "between 0 and 1"),
        ({"false_alarm_every": 1}, "from 2 to"),
        ({"false_alarm_every": 20, "window": 10_000}, "1 to 2,048 sequences"),
    ],
)
def test_bad_input_is_one_line(exits: Trace, options: dict[str, int], word: str) -> None:
    with pytest.raises(CondsimError, match=word):
        drift(exits, exits, DEVICE, **options)  # type: ignore[arg-type]


def test_other_sites_are_refused(exits: Trace, experts: Trace) -> None:
    with pytest.raises(CondsimError, match="different sites"):
        drift(exits, experts)
