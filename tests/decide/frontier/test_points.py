"""Points: losses over pairs, and what is priced."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.decide.frontier.points import Judge, Model, points_on
from condsim.decide.frontier.settings import RIVALS, settings_of, traces_in
from condsim.hardware import hardware
from condsim.predict.simulate import simulate
from condsim.resources import resource
from condsim.trace import Trace


def test_a_loss_is_relative_and_positive_where_quality_is_worse() -> None:
    quality, dense = np.array([1.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0])
    better = Judge(higher_is_better=True, tolerance=0.3).of(quality, dense)
    assert better["loss"] == pytest.approx(0.25)
    assert better["loss_low"] < 0.25 < better["loss_high"]
    assert better["equal"]
    worse = Judge(higher_is_better=False, tolerance=0.0).of(dense + 1, dense)
    assert worse["loss"] == pytest.approx(1.0)
    assert not worse["equal"]


def test_a_reference_of_more_units_counts_by_the_same_units() -> None:
    judge = Judge(True, 0.0, reference=np.array([1.0, 1.0, 0.0, 0.0]))
    assert judge.of(np.array([1.0, 1.0]), np.zeros(2))["loss"] == 0


def test_points_are_what_simulate_says(exits: Trace) -> None:
    profile = hardware("raspberry-pi-5")
    rivals = {
        rival.name: rival for rival in traces_in(resource("traces") / "exit-fashion" / RIVALS)
    }
    settings = settings_of(exits)[:2]
    model = Model(exits, settings, rivals, Judge(True, 0.005))
    points = points_on(model, profile, 32, {"strategy": "compacted"})
    first = points.iloc[0]
    said = simulate(exits, profile, "compacted", 32, threshold=settings[0].value)
    assert (first["speed"], first["latency_s"]) == (said.speedup, said.latency_s)
    dense = points[points["role"] == "dense"].iloc[0]
    assert dense["speed"] == 1
    of_rivals = points[points["role"] == "rival"]
    assert len(of_rivals) == len(rivals) > 0
    assert (of_rivals["latency_s"] < dense["latency_s"]).all()
    assert not points[points["on_front"]].empty


def test_speeds_over_a_rival(exits: Trace) -> None:
    rivals = {
        rival.name: rival for rival in traces_in(resource("traces") / "exit-fashion" / RIVALS)
    }
    name = next(iter(rivals))
    settings = settings_of(exits)[:1]
    model = Model(exits, settings, rivals, Judge(True, 0.005), reference=name)
    points = points_on(model, hardware("raspberry-pi-5"), 32, {}).set_index("point")
    assert points.loc[name, "speed"] == pytest.approx(1)
    assert points.loc["dense network", "speed"] < 1


def test_what_a_device_cannot_run_says_why(exits: Trace) -> None:
    model = Model(exits, settings_of(exits)[:1], {}, Judge(True, 0.005))
    points = points_on(model, hardware("google-tpu-v4"), 32, {"strategy": "compacted"})
    assert points["latency_s"].isna().all()
    assert points["error"].str.len().min() > 10
