"""What an operator costs among others: different operators since its place in the code ran."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.cpu.code_locality import call_sites, code_key, code_locality_seconds, distances
from condsim.hardware import HardwareProfile, Looped, hardware


def test_distances_count_different_operators_since_the_last_call() -> None:
    assert distances(["a", "a", "b", "a", "c"]) == [2, 1, 3, 2, 3]
    assert distances(["a", "b", "a"], repeated=False) == [2, 2, 2]
    assert distances([]) == []


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40))
def test_distances_repeat_like_two_rounds(names: list[str]) -> None:
    assert distances(names + names)[len(names) :] == distances(names)
    assert max(distances(names)) <= len(set(names))


def test_layers_of_a_stack_are_one_place() -> None:
    names = ["linear", "relu", "relu"] * 2
    modules = ["net.0"] * 3 + ["net.1"] * 3
    sites = call_sites(names, modules, [1, 0, 0] * 2)
    assert sites[:3] == sites[3:]
    assert len(set(sites)) == 3
    assert distances(sites) == [3] * 6


def test_the_cost_grows_with_the_operators_in_between(profile: HardwareProfile) -> None:
    seconds = code_locality_seconds("relu", np.array([1, 4, 16, 99]), profile)
    np.testing.assert_allclose(seconds, [0, 1e-6, 4e-6, 4e-6])


def test_in_a_loop_another_share_of_it_is_left(profile: HardwareProfile) -> None:
    looped = Looped(distinct=[1.0, 99.0], share=[0.0, 0.5])
    hot = profile.model_copy(update={"looped": looped})
    assert code_locality_seconds("relu", 99, hot, loops=True) == 2e-6
    assert code_locality_seconds("relu", 99, hot) == 4e-6
    assert code_locality_seconds("relu", 99, profile, loops=True) == 4e-6


def test_an_operator_is_found_by_the_code_that_it_runs(profile: HardwareProfile) -> None:
    assert code_locality_seconds("view", 16, profile, view=True) == 3e-6
    assert code_locality_seconds("linear", 16, profile, inputs=3) == 7e-6
    assert code_locality_seconds("where", 16, profile, inputs=1) == 5e-6
    assert code_locality_seconds("frobnicate", 16, profile) == 4e-6
    assert code_key({"gt"}, "greater", False, 2) == "gt"
    assert code_key({"add_"}, "add", False, 2) == "add_"
    assert code_key({"add"}, "add_", False, 2) == "add"
    assert code_key(set(), "add_", False, 2) == "add_"


def test_without_a_calibration_it_costs_nothing() -> None:
    assert code_locality_seconds("relu", 5, hardware("nvidia-h100-sxm")) == 0
