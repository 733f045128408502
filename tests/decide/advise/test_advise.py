"""Advice: its parts are simulations of their own, and agree with `condsim.simulate`."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pytest

import condsim
from condsim.decide.advise.advice import Advice
from condsim.decide.advise.advise import advise
from condsim.decide.advise.changes import biggest
from condsim.decide.advise.load import LOADS, load_of
from condsim.errors import CondsimError
from condsim.predict.verdict import verdict_of
from condsim.show.advice import rows_of
from condsim.show.report import report
from condsim.trace import Trace

DEVICE = "raspberry-pi-5"


@pytest.fixture(scope="module")
def advice(exits: Trace) -> Advice:
    return advise(exits, DEVICE, batch=32)


def test_effects_add_up_to_what_a_step_saves(advice: Advice) -> None:
    p = advice.answer.prediction
    assert advice.why["saves_s"].sum() == pytest.approx(p.baseline_s - p.latency_s, rel=1e-9)


def test_every_change_is_simulated_anew(exits: Trace, advice: Advice) -> None:
    rows = advice.changes[advice.changes["change"] == "batch"]
    assert set(rows["to"]) >= {"1", "2048"}
    row = rows[rows["to"] == "1"].iloc[0]
    alone = condsim.simulate(exits, DEVICE, batch=1)
    assert row["speedup"] == pytest.approx(alone.speedup, rel=1e-9)
    assert row["unit_s"] == pytest.approx(alone.latency_s, rel=1e-9)


def test_the_biggest_gain_is_the_largest_speedup_that_costs_nothing(advice: Advice) -> None:
    best = advice.biggest
    assert best is not None
    assert best["times"] > 1
    assert best["per_unit"] >= 1
    table = advice.changes
    slower = table.assign(per_unit=0.5)
    assert biggest(slower) is None
    only_batches = table[table["change"] == "batch"]
    assert biggest(only_batches, batch_is_free=False) is None


def test_a_flip_has_another_verdict_and_the_value_before_it_has_not(
    exits: Trace, advice: Advice
) -> None:
    flips = advice.flips.set_index("axis")
    assert {"batch", "share", "bandwidth"} <= set(flips.index)
    flipped = flips[flips["at"].notna()]
    assert len(flipped)
    for axis, row in flipped.iterrows():
        assert row["verdict"] != row["to"]
        assert verdict_of((row["low"], row["high"])) == row["to"], axis
        assert abs(row["before"] - row["here"]) <= abs(row["at"] - row["here"]), axis


@pytest.mark.parametrize("name", list(LOADS))
def test_a_named_scenario_asks_for_no_more_units_than_there_are(experts: Trace, name: str) -> None:
    from condsim.decide.advise.load import placed
    from condsim.decide.subject import TraceSubject

    place = placed(LOADS[name], TraceSubject(experts))
    assert 1 <= (place.batch or 0) <= 512


def test_a_scenario_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    file.write_text("about: at night\nbatch: 8\nthreshold: 1.3\n")
    load = load_of(str(file))
    assert (load.name, load.batch, load.threshold) == ("night", 8, 1.3)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("batch: 0", "batch"),
        ("bach: 1", "bach"),
        ("- 1", "mapping of fields"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_scenario_that_is_none_is_one_line(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(CondsimError, match=word):
        load_of(str(file))
    with pytest.raises(CondsimError, match="did you mean 'server'"):
        load_of("serve")


def test_a_report_says_all_of_it(exits: Trace, advice: Advice) -> None:
    html = report(exits, advice.answer, [], "condsim report", advice)
    assert "What would a colleague say?" in html
    for lines in dict(rows_of(advice)).values():
        for line in lines:
            assert escape(line) in html


def test_a_scenario_of_a_phase_that_a_trace_has_not_is_one_line(
    exits: Trace, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("phase: decode\nbatch: 8\n")
    with pytest.raises(CondsimError, match="has no phase 'decode'; it has prefill"):
        advise(exits, "raspberry-pi-5", scenario=str(file))
