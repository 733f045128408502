"""What the demo shows beside this machine: a device of each class, with the fastest strategy that it has."""

from __future__ import annotations

import condsim
from condsim.cli.demo import ELSEWHERE, elsewhere
from condsim.hardware import hardware
from condsim.resources import resource


def test_a_device_of_each_class_and_its_fastest_strategy() -> None:
    folder = resource("traces") / "exit-fashion"
    own = condsim.load(folder).profile
    rows = elsewhere({"exit-fashion": folder}, own)
    assert [r["profile"] for r in rows] == [own.name, *ELSEWHERE]
    assert [r["class"] for r in rows] == ["cpu", "gpu", "tpu", "npu"]
    for name, row in zip(ELSEWHERE, rows[1:], strict=True):
        for strategy in ("masked", "select", "wait", "compacted", "switched"):
            try:
                other = condsim.simulate(condsim.load(folder), hardware(name), strategy, 32)
            except condsim.CondsimError:
                continue
            assert row["latency_s"] <= other.latency_s
