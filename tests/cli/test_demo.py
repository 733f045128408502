"""demo: what it shows of devices that are not here, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from cli.harness import Run
from condsim.cli.demo import ELSEWHERE, elsewhere
from condsim.hardware import HardwareProfile, hardware
from condsim.predict.choose import strategies_on
from condsim.resources import resource

TRACE = resource("traces") / "exit-fashion"


def test_a_device_of_each_class() -> None:
    local: HardwareProfile = condsim.load(TRACE).profile
    rows = elsewhere({"exit-fashion": TRACE}, local)
    assert [row["profile"] for row in rows] == [local.name, *ELSEWHERE]
    assert [row["class"] for row in rows] == ["cpu", "gpu", "tpu", "npu"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_each_with_its_fastest_strategy(name: str) -> None:
    trace, device = condsim.load(TRACE), hardware(name)
    _, *rows = elsewhere({"exit-fashion": TRACE}, trace.profile)
    fastest = rows[ELSEWHERE.index(name)]
    for strategy in strategies_on(trace, device):
        prediction = condsim.simulate(trace, device, strategy, batch=32)
        assert fastest["latency_s"] <= prediction.latency_s


def test_other_files_are_left_alone(run: Run) -> None:
    thesis = Path("mine/moe-bytes/thesis.txt")
    thesis.parent.mkdir(parents=True)
    thesis.write_text("important")
    done = run("demo", "--output", "mine")
    assert done.code == 2
    assert "nothing was overwritten" in done.err
    done = run("demo", "--output", thesis)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    assert list(Path().rglob("*.*")) == [thesis]
