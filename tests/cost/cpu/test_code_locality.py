"""What an operator costs among others: different operators since its last call."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.cpu.code_locality import code_key, code_locality_seconds, distances
from condsim.hardware import HardwareProfile, Looped, hardware
from condsim.program import Op, Tensor


def called(name: str, inputs: int = 0, view: bool = False) -> Op:
    """An operator that reads some tensors."""
    read = (Tensor((), "float"),) * inputs
    return Op(name, read, (), view=view)


def test_distances_count_different_operators_since_the_last_call() -> None:
    assert distances(["a", "a", "b", "a", "c"]) == [2, 1, 3, 2, 3]
    assert distances(["a", "b", "a"], repeated=False) == [2, 2, 2]
    assert distances([]) == []


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40))
def test_distances_repeat_like_two_rounds(names: list[str]) -> None:
    assert distances(names + names)[len(names) :] == distances(names)
    assert max(distances(names)) <= len(set(names))


def test_places_that_call_the_same_operators_are_not_others() -> None:
    in_one_order = distances(["linear", "relu", "add", "mean"])
    in_two_orders = distances(["linear", "relu", "add", "mean", "add", "linear", "relu", "mean"])
    assert in_one_order == [4] * 4
    assert max(in_two_orders) == 4


def test_the_cost_grows_with_the_operators_in_between(profile: HardwareProfile) -> None:
    seconds = code_locality_seconds([called("relu")] * 4, [1, 4, 16, 99], profile)
    np.testing.assert_allclose(seconds, [0, 1e-6, 4e-6, 4e-6])


def test_where_nothing_ran_between_the_cycles_of_the_calibration_its_share_counts(
    profile: HardwareProfile,
) -> None:
    looped = Looped(distinct=[1.0, 99.0], share=[0.0, 0.5])
    hot = profile.model_copy(update={"looped": looped})
    relu = [called("relu")]
    assert code_locality_seconds(relu, [99], hot).tolist() == [2e-6]
    assert code_locality_seconds(relu, [99], profile).tolist() == [4e-6]


def test_an_operator_is_found_by_the_code_that_it_runs(profile: HardwareProfile) -> None:
    ops = [
        called("view", view=True),
        called("linear", inputs=3),
        called("where", inputs=1),
        called("frobnicate"),
    ]
    seconds = code_locality_seconds(ops, [16] * 4, profile)
    np.testing.assert_allclose(seconds, [3e-6, 7e-6, 5e-6, 4e-6])
    assert code_key({"gt"}, "greater", False, 2) == "gt"
    assert code_key({"add_"}, "add", False, 2) == "add_"
    assert code_key({"add"}, "add_", False, 2) == "add"
    assert code_key(set(), "add_", False, 2) == "add_"


def test_without_a_calibration_it_costs_nothing() -> None:
    assert code_locality_seconds([called("relu")], [5], hardware("nvidia-h100-sxm")) == 0
