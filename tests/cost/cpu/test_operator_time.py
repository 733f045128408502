"""The time of one operator: from its own curve, from a like one's, or from peak rates."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.hot import SizedOperator
from condsim.errors import CondsimError
from condsim.hardware import Curve, HardwareProfile, hardware


def test_an_operator_without_a_curve_is_estimated(profile: HardwareProfile) -> None:
    hot = operator_time(SizedOperator("frobnicate", [(8, 64)], [(8, 64)]), profile)
    assert (hot.basis, hot.family) == ("estimated", "elementwise")
    assert hot.seconds > 0
    assert profile.uncertainty("frobnicate") == 0.30
    assert profile.uncertainty("elementwise") == 0.5


def test_in_place_and_like_operators_find_their_curve(profile: HardwareProfile) -> None:
    plain = operator_time(SizedOperator("relu", [(8, 64)], [(8, 64)]), profile)
    assert operator_time(SizedOperator("relu_", [(8, 64)], [(8, 64)]), profile) == plain
    assert (
        operator_time(SizedOperator("_softmax", [(8, 64)], [(8, 64)]), profile).family == "softmax"
    )


def test_a_reduction_over_outer_dimensions_has_a_curve_of_its_own(
    profile: HardwareProfile,
) -> None:
    curves = {"sum": Curve(sizes=[1.0], seconds=[[1e-6]])}
    curves["sum.outer"] = Curve(sizes=[1.0], seconds=[[2e-6]])
    known = profile.model_copy(update={"operators": {**profile.operators, **curves}})
    for result, family in (((8, 2), "sum"), ((8, 2, 1), "sum"), ((8, 64), "sum.outer")):
        assert operator_time(SizedOperator("sum", [(8, 2, 64)], [result]), known).family == family


def test_views_cost_the_host_only(profile: HardwareProfile) -> None:
    assert (
        operator_time(SizedOperator("view", [(8, 64)], [(64, 8)]), profile, view=True).seconds
        == 1.1e-6
    )
    unknown_view = operator_time(SizedOperator("swizzle", [(8, 64)], [(64, 8)]), profile, view=True)
    assert unknown_view.seconds == profile.host.view.value
    assert unknown_view.basis == "estimated"


def attention_seconds(profile: HardwareProfile, *inputs: tuple[int, ...]) -> float:
    outputs = [(2, 4, 8, inputs[2][-1])]
    hot = operator_time(
        SizedOperator("scaled_dot_product_attention", list(inputs), outputs), profile
    )
    return float(hot.seconds)


def test_attention_with_narrow_values_is_its_parts(profile: HardwareProfile) -> None:
    query, key, narrow = (2, 4, 8, 64), (2, 4, 64, 64), (2, 4, 64, 8)
    scores = operator_time(SizedOperator("bmm", [(8, 8, 64), (8, 64, 64)], [(8, 8, 64)]), profile)
    values = operator_time(SizedOperator("bmm", [(8, 8, 64), (8, 64, 8)], [(8, 8, 8)]), profile)
    alone = attention_seconds(profile, query, key, narrow)
    assert alone > scores.seconds + values.seconds
    assert attention_seconds(profile, query, key, narrow, (1, 1, 8, 64)) > alone


def test_strided_operands_cost_by_their_innermost_loops(profile: HardwareProfile) -> None:
    costs = {**profile.extra_s, "strided.loops": 1e-8, "strided.element": 1e-9}
    known = profile.model_copy(update={"extra_s": costs})
    x = (4, 64, 64)

    def extra_s(name: str, params: tuple[int, ...]) -> float:
        strided = operator_time(SizedOperator(name, [x], [x], params), known)
        in_one_piece = operator_time(SizedOperator(name, [x], [x]), known)
        return float(strided.seconds - in_one_piece.seconds)

    assert extra_s("relu", (64, 1)) == pytest.approx(256 * 1e-8)
    assert extra_s("relu_", (64, 1)) == extra_s("relu", (64, 1))
    assert extra_s("relu", (16384, 0)) == pytest.approx(1e-8 + 16384 * 1e-9)
    assert extra_s("softmax", (1, 1)) == 0
    uncalibrated = operator_time(SizedOperator("relu", [x], [x], (64, 1)), profile)
    assert uncalibrated == operator_time(SizedOperator("relu", [x], [x]), profile)


def test_a_dtype_the_device_lacks_is_refused() -> None:
    shapes = [(8, 64), (64, 64)], [(8, 64)]
    with pytest.raises(CondsimError, match="google-tpu-v4 has no fp32; it has bf16, int8"):
        operator_time(SizedOperator("linear", *shapes), hardware("google-tpu-v4"), dtype="fp32")


def test_a_device_from_a_data_sheet_is_estimated() -> None:
    rows = np.array([1, 4096])
    inputs, outputs = [(rows, 4096), (4096, 4096)], [(rows, 4096)]
    hot = operator_time(SizedOperator("linear", inputs, outputs), hardware("nvidia-h100-sxm"))
    assert hot.basis == "estimated"
    memory_s, compute_s = hot.seconds - hot.dispatch
    assert memory_s == pytest.approx(2 * (4096 * 4096 + 2 * 4096) / 3.35e12)
    assert compute_s == pytest.approx(2 * 4096**3 / (9.89e14 * 0.803))
