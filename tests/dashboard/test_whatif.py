"""The page that changes numbers of a device, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from condsim.dashboard import whatif
from condsim.dashboard.parts import whatif_elsewhere
from condsim.dashboard.parts.scenario import Scenario
from condsim.decide.knobs import edited, knobs, move_of, moves
from condsim.hardware import hardware
from condsim.study.answer import answer
from condsim.trace import Trace

DEVICE = "raspberry-pi-5"
FASTER = {"memory.dram.bandwidth": 2.0, "peak_flops.fp32": 0.5}


def test_the_profile_that_is_taken_away_gives_the_same_answer(trace: Trace, tmp_path: Path) -> None:
    device = hardware(DEVICE)
    changed = edited(device, FASTER)
    file = tmp_path / whatif_elsewhere.file_of(changed)
    file.write_bytes(whatif_elsewhere.yaml_of(changed))
    shown = answer(trace, changed)
    again = condsim.simulate(trace, condsim.hardware(file))
    assert again.speedup == shown.prediction.speedup
    assert again.speedup != condsim.simulate(trace, DEVICE).speedup
    rows = list(whatif.changed_rows(device, changed, FASTER))
    assert [row["number"] for row in rows] == list(FASTER)
    assert rows[0]["source"] == "what if x2"


def test_the_command_names_the_file(scenario: Scenario) -> None:
    made = whatif_elsewhere.recipe(scenario, hardware(DEVICE), FASTER)
    assert made.command == "condsim simulate exit-fashion --device raspberry-pi-5-what-if.yaml"
    assert f"edited(trace.profile, {FASTER!r})" in made.python


def test_numbers_that_move_nothing_are_told_from_those_that_do(trace: Trace) -> None:
    device = hardware(DEVICE)
    now = answer(trace, device)
    known = knobs(device, "fp32")
    assert "memory.dram.bandwidth" in [knob.path for knob in known]
    tried = [knob for knob in known if knob.path in ("peak_flops.fp32", "memory.dram.bytes")]
    rows = []
    for knob in tried:
        for factor in (0.5, 2.0):
            rows.append(
                move_of(knob, factor, answer(trace, edited(device, {knob.path: factor})), now)
            )
    table = moves(rows)
    moving = dict(zip(table["path"], table["moves"], strict=True))
    assert moving["peak_flops.fp32"]
    assert not moving["memory.dram.bytes"]
    figure = whatif.moves_of(table, now)
    figure.chart.to_dict()
    assert figure.draw().axes


def test_an_edited_device_is_no_machine_that_was_measured_on(trace: Trace) -> None:
    own = trace.profile
    assert own is not None
    assert edited(own, {"memory.dram.bandwidth": 1.0}) is own
    changed = edited(own, {"memory.dram.bandwidth": 2.0})
    assert changed.fingerprint is None
    assert answer(trace, changed).measured is None


def test_a_number_that_is_not_there_is_refused(trace: Trace) -> None:
    with pytest.raises(condsim.CondsimError, match=r"no number memory\.hbm"):
        edited(hardware(DEVICE), {"memory.hbm.bandwidth": 2.0})
