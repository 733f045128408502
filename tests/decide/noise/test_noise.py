"""Noise: groups of units, and what is said of clean and noisy inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from condsim.decide.frontier.settings import traces_in
from condsim.decide.noise.noise import FOLDER, noise
from condsim.decide.noise.paths import Groups, work_of
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.trace import Trace


def test_exits_are_groups_of_their_own(exits: Trace) -> None:
    groups = Groups.of(exits)
    numbers = groups.numbers(exits)
    passed = sum((exits.unit_counts(site.name)[:, 1] for site in exits.sites), np.zeros(2048))
    assert len(groups.labels()) == 4
    assert (numbers == passed).all()
    assert groups.labels()[-1] == "up to 100% of the FLOPs"


def test_experts_are_grouped_by_how_many_are_touched(experts: Trace) -> None:
    work, what = work_of(experts)
    assert what == "branches touched"
    assert work.max() <= 4 * 8
    assert len(np.unique(Groups.of(experts).numbers(experts))) > 1


def test_noise_costs_quality_and_moves_routing(exits: Trace) -> None:
    noisy = traces_in(resource("traces") / "exit-fashion" / FOLDER)
    found = noise(exits, "raspberry-pi-5", noisy=noisy)
    clean, *others = found.table.to_dict("records")
    assert (clean["moved"], clean["work"]) == (0, 1)
    for row in others:
        assert row["quality"] < clean["quality"]
        assert row["p"] <= 0.05
        assert row["moved"] > row["by_chance"]
    shares = found.paths.groupby("inputs")["share"].sum()
    assert shares.to_numpy() == pytest.approx(np.ones(len(shares)))
    of_clean = found.paths[found.paths["inputs"] == "clean"]
    mean = (of_clean["share"] * of_clean["quality"]).sum()
    assert mean == pytest.approx(clean["quality"])


def test_what_cannot_be_compared_is_refused(exits: Trace, experts: Trace) -> None:
    with pytest.raises(CondsimError, match="no traces of noisy inputs"):
        noise(exits, "raspberry-pi-5")
    with pytest.raises(CondsimError, match="another model"):
        noise(exits, "raspberry-pi-5", noisy=[experts])
    with pytest.raises(CondsimError, match="for each input"):
        noise(exits, "raspberry-pi-5", noisy=[replace(exits, quality=pd.DataFrame())])
