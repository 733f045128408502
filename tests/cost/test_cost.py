"""Costs: monotone where physics is, honest about what was not measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.cost.cpu.code_locality import among_seconds, call_sites, distances
from condsim.cost.cpu.evicted_code import code_of, cold_seconds, own_seconds
from condsim.cost.cpu.new_memory import NEW, fresh_seconds
from condsim.cost.cpu.operator_time import extent, hot_seconds
from condsim.cost.cpu.residency import miss_per_byte, miss_seconds, miss_spread_seconds
from condsim.cost.cpu.tables import curve_seconds, grid_seconds, scatter_seconds
from condsim.cost.energy import energy_j
from condsim.cost.roofline import roofline_seconds
from condsim.cost.step_cost import Side, WeightVisits
from condsim.errors import CondsimError
from condsim.hardware import (
    FORMAT,
    Among,
    Cold,
    Curve,
    Grid,
    HardwareProfile,
    Residency,
    Scatter,
    hardware,
)

D, RATE = 2e-6, 5e10


def matmul_s(m: float, n: float, k: float) -> float:
    return D + 2 * m * n * k / RATE + 1e-10 * n * k


@pytest.fixture(scope="module")
def profile() -> HardwareProfile:
    """A made-up CPU whose tables follow formulas."""
    m, n, k = [1.0, 2, 4, 8, 12, 13, 14, 15, 16, 32, 64], [8.0, 64, 256], [8.0, 64, 256]
    grid = Grid(
        m=m,
        n=n,
        k=k,
        seconds=[matmul_s(a, b, c) for a in m for b in n for c in k],
        reached=2.0 * 64 * 256 * 256,
    )
    rng = np.random.default_rng(0)
    dims = ["groups", "m", "n", "d", "mask"]
    points = [
        [float(x) for x in (*np.exp(rng.uniform(0, 5, 3)).astype(int) + 1, 32, 0)]
        for _ in range(40)
    ]
    attention = Scatter(
        dims=dims,
        points=points,
        seconds=[5e-6 + 4e-11 * p[0] * p[1] * p[2] * p[3] for p in points],
        scales=[4.0] * 5,
        noise=0.02,
    )
    sizes = [16.0, 1024, 65536]
    base = hardware("nvidia-h100-sxm")
    data = base.model_dump() | {
        "name": "made-up",
        "format": FORMAT,
        "kind": "cpu",
        "dtype": "fp32",
        "matmuls": {"linear": grid, "mm": grid, "attention": attention},
        "operators": {
            "relu": Curve(sizes=sizes, seconds=[[1e-6, 1.2e-6, 2e-5]]),
            "softmax": Curve(
                sizes=sizes, lengths=[4, 64], seconds=[[2e-6, 9e-6, 5e-4], [2e-6, 3e-6, 8e-5]]
            ),
            "elementwise": Curve(sizes=sizes, seconds=[[1e-6, 1.5e-6, 3e-5]], uncertainty=0.5),
            "view.view": Curve(sizes=[1], seconds=[[1.1e-6]]),
        },
        "gpu": None,
        "extra_s": {
            "grouped_mm.setup": 5e-6,
            "grouped_mm.group": 1e-6,
            "grouped_mm.busy": 0.0,
            "grouped_mm.factor": 1.0,
        },
        "residency": Residency(
            distance=[1e6, 1e7, 1e8],
            bytes=[2e5, 4e6],
            one_row=[[0, 1e-11, 7e-11], [0, 0, 4e-11]],
            more_rows=[[0, 2e-11, 2e-10], [0, 1e-11, 1e-10]],
            spread=[1e-12, 1e-11, 4e-12],
            limit_bytes=5e5,
            others=1e9,
        ),
        "among": Among(
            extra_s={
                "relu": 4e-6,
                "view.view": 3e-6,
                "linear": 6e-6,
                "linear.bias": 7e-6,
                "nonzero": 5e-6,
            },
            other_s=4e-6,
            distinct=[1, 4, 16],
            share=[0.0, 0.25, 1.0],
        ),
        "cold": Cold(
            distance=[1e6, 1e7],
            shared_s=[1e-6, 5e-6],
            share=[0.2, 1.0],
            own_s={"relu": 1e-5, "view.view": 2e-6},
            other_s=8e-6,
        ),
    }
    return HardwareProfile.model_validate(data)


def linear(m: object, n: int, k: int, profile: HardwareProfile) -> object:
    return hot_seconds("linear", [(m, k), (n, k)], [(m, n)], (), profile)


@settings(max_examples=60)
@given(m=st.integers(1, 64), n=st.integers(8, 256), k=st.integers(8, 256))
def test_a_multilinear_time_is_read_exactly_at_whole_tiles(
    profile: HardwareProfile, m: int, n: int, k: int
) -> None:
    m = m if m <= 16 else m // 4 * 4
    table = profile.matmuls["linear"]
    assert isinstance(table, Grid)
    t, outside = grid_seconds(table, m, n, k)
    assert float(t) == pytest.approx(matmul_s(m, n, k), rel=1e-9)
    assert not outside


@settings(max_examples=60)
@given(
    m=st.integers(1, 4000), n=st.integers(1, 600), k=st.integers(1, 600), more=st.integers(1, 64)
)
def test_four_more_rows_are_never_faster(
    profile: HardwareProfile, m: int, n: int, k: int, more: int
) -> None:
    """A remainder of a tile may cost more than the next whole tile (it does on real kernels), but not more than 10 %; whole tiles are monotone."""
    few, many = linear(m, n, k, profile), linear(m + more, n, k, profile)
    assert many.seconds >= few.seconds / 1.1  # type: ignore[attr-defined]
    a, b = linear(4 * m, n, k, profile), linear(4 * (m + more), n, k, profile)
    assert b.seconds >= a.seconds  # type: ignore[attr-defined]


@settings(max_examples=40)
@given(
    m=st.lists(st.integers(1, 300), min_size=1, max_size=12),
    n=st.integers(8, 300),
    k=st.integers(8, 300),
)
def test_arrays_give_what_scalars_give(
    profile: HardwareProfile, m: list[int], n: int, k: int
) -> None:
    together = linear(np.array(m), n, k, profile).seconds  # type: ignore[attr-defined]
    alone = [linear(x, n, k, profile).seconds for x in m]  # type: ignore[attr-defined]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    table = profile.matmuls["linear"]
    assert isinstance(table, Grid)
    both, _ = grid_seconds(table, np.array(m), np.full(len(m), n), np.full(len(m), k))
    np.testing.assert_allclose(both, alone, rtol=1e-12)


def test_outside_the_measured_sizes_efficiency_is_constant_and_said(
    profile: HardwareProfile,
) -> None:
    inside, outside = linear(64, 256, 256, profile), linear(640, 256, 256, profile)
    assert inside.basis == "calibrated"  # type: ignore[attr-defined]
    assert outside.basis == "extrapolated"  # type: ignore[attr-defined]
    assert outside.seconds == pytest.approx(10 * inside.seconds)  # type: ignore[attr-defined]
    assert linear(8, 2560, 256, profile).basis == "extrapolated"  # type: ignore[attr-defined]


def test_an_operator_without_a_curve_is_estimated(profile: HardwareProfile) -> None:
    hot = hot_seconds("frobnicate", [(8, 64)], [(8, 64)], (), profile)
    assert (hot.basis, hot.family) == ("estimated", "elementwise")
    assert hot.seconds > 0
    assert profile.uncertainty("frobnicate") == 0.30
    assert profile.uncertainty("elementwise") == 0.5


def test_in_place_and_aliases_find_their_curve(profile: HardwareProfile) -> None:
    plain = hot_seconds("relu", [(8, 64)], [(8, 64)], (), profile)
    assert hot_seconds("relu_", [(8, 64)], [(8, 64)], (), profile) == plain
    assert hot_seconds("_softmax", [(8, 64)], [(8, 64)], (), profile).family == "softmax"


def test_views_cost_the_host_only(profile: HardwareProfile) -> None:
    assert hot_seconds("view", [(8, 64)], [(64, 8)], (), profile, view=True).seconds == 1.1e-6
    unknown_view = hot_seconds("swizzle", [(8, 64)], [(64, 8)], (), profile, view=True)
    assert unknown_view.seconds == profile.host.view.value
    assert unknown_view.basis == "estimated"


def test_a_grouped_matmul_is_the_sum_of_its_groups(profile: HardwareProfile) -> None:
    rows = np.array([[4, 0, 12, 0], [4, 4, 4, 4]])
    hot = hot_seconds("_grouped_mm", [(16, 64), (4, 64, 64), (4,)], [(16, 64)], (), profile, rows)
    smallest = min(profile.matmuls["linear"].seconds)
    expected = [
        5e-6 + 4e-6 + sum(matmul_s(r, 64, 64) - smallest for r in each if r) for each in rows
    ]
    np.testing.assert_allclose(hot.seconds, expected)
    even = hot_seconds("_grouped_mm", [(16, 64), (4, 64, 64), (4,)], [(16, 64)], (), profile)
    assert even.seconds == pytest.approx(expected[1])


def test_no_rows_cost_the_dispatch(profile: HardwareProfile) -> None:
    shape = (1, 4, 0, 32)
    hot = hot_seconds("scaled_dot_product_attention", [shape] * 3, [shape], (), profile)
    assert hot.seconds == hot.dispatch


def test_a_scatter_gives_back_what_it_was_made_of(profile: HardwareProfile) -> None:
    table = profile.matmuls["attention"]
    assert isinstance(table, Scatter)
    columns = {d: np.array([p[i] for p in table.points]) for i, d in enumerate(table.dims)}
    t, outside = scatter_seconds("attention", table, columns)
    np.testing.assert_allclose(t, table.seconds, rtol=0.03)
    assert not outside.any()
    assert scatter_seconds("attention", table, columns | {"groups": 1e5})[1].all()


@settings(max_examples=40)
@given(e=st.integers(1, 10**7), more=st.integers(1, 10**6), length=st.integers(1, 4096))
def test_curves_rise(profile: HardwareProfile, e: int, more: int, length: int) -> None:
    for name in ("relu", "softmax"):
        a, _ = curve_seconds(profile.operators[name], e, length)
        b, _ = curve_seconds(profile.operators[name], e + more, length)
        assert b >= a * (1 - 1e-12)


def test_extents() -> None:
    assert extent("index_select", [(1000, 64), (5,)], [(5, 64)]) == (320, 64)
    assert extent("index_add_", [(1000, 64), (5,), (5, 64)], [(1000, 64)]) == (320, 64)
    assert extent("sum", [(8, 2, 64)], [(8, 64)])[0] == 1024
    assert extent("add", [(8, 64), (64,)], [(8, 64)])[0] == 512
    assert extent("where", [(40,)], [(3,), (3,)]) == (40, 40)


@given(
    weight=st.integers(1, 10**8),
    distance=st.floats(1, 1e9),
    more=st.floats(0, 1e9),
    rows=st.sampled_from([1, 2, 300]),
)
def test_a_longer_absence_never_costs_less(
    profile: HardwareProfile, weight: int, distance: float, more: float, rows: int
) -> None:
    near, far = (
        miss_seconds(weight, distance, profile, rows),
        miss_seconds(weight, distance + more, profile, rows),
    )
    assert 0 <= near <= far
    assert miss_spread_seconds(weight, distance, profile) > 0
    assert miss_seconds(weight, np.inf, profile, rows) == miss_seconds(weight, 1e12, profile, rows)


def test_what_an_evicted_weight_costs_goes_by_its_size_and_rows(profile: HardwareProfile) -> None:
    found = miss_seconds(np.array([2e5, 4e6, 2e5, 4e6]), 1e8, profile, np.array([1, 1, 16, 2]))
    own = (
        1e-11 * (4e6 - 1e6) / (1e7 - 1e6)
    )  # what the large one loses to itself when it is repeated alone: a hot time has that
    np.testing.assert_allclose(found, [2e5 * 7e-11, 4e6 * 4e-11, 2e5 * 2e-10, 4e6 * (1e-10 - own)])
    between = float(np.sqrt(2e5 * 4e6))  # halfway by the logarithm
    assert miss_seconds(between, 1e8, profile) == pytest.approx(between * 5.5e-11)


def test_a_batched_products_weights_are_looked_up_one_by_one(profile: HardwareProfile) -> None:
    at = {"step": np.zeros(1, int), "choice": np.zeros(1, int), "rows": np.ones(1)}
    whole, sixteen = (
        WeightVisits("w", np.array([3.2e6]), **at, pieces=pieces) for pieces in (1, 16)
    )
    far = np.array([1e8])
    np.testing.assert_allclose(
        sixteen.miss_seconds(far, profile), 16 * miss_seconds(2e5, 1e8, profile)
    )
    assert sixteen.miss_seconds(far, profile) > whole.miss_seconds(far, profile)


def test_two_curves_of_an_older_calibration_are_read() -> None:
    old = {
        "distance": [1e6, 1e8],
        "small": [0.0, 7e-11],
        "large": [0.0, 4e-11],
        "spread": [0.0, 0.0],
        "limit_bytes": 5e5,
    }
    read = Residency.model_validate(old)
    assert miss_per_byte(read, 1e5, 1e8) == pytest.approx(7e-11)
    assert miss_per_byte(read, 1e6, 1e8, 16) == pytest.approx(4e-11)
    assert read.others == 0


def test_attention_with_narrow_values_is_its_parts(profile: HardwareProfile) -> None:
    def seconds(*inputs: tuple[int, ...]) -> float:
        return float(
            hot_seconds(
                "scaled_dot_product_attention",
                list(inputs),
                [(2, 4, 8, inputs[2][-1])],
                (),
                profile,
            ).seconds
        )

    q, k, narrow = (2, 4, 8, 64), (2, 4, 64, 64), (2, 4, 64, 8)
    shapes = (((8, 8, 64), (8, 64, 64), (8, 8, 64)), ((8, 8, 64), (8, 64, 8), (8, 8, 8)))
    assert seconds(q, k, narrow) > sum(
        hot_seconds("bmm", [a, b], [c], (), profile).seconds for a, b, c in shapes
    )
    assert seconds(q, k, narrow, (1, 1, 8, 64)) > seconds(q, k, narrow)


def test_batched_products_beyond_what_was_timed_run_one_after_the_other(
    profile: HardwareProfile,
) -> None:
    grid = profile.matmuls["linear"]
    assert isinstance(grid, Grid)
    points = [
        [float(x) for x in p] for p in ((2, 2, 8, 8), (4, 8, 8, 64), (8, 8, 64, 8), (2, 16, 64, 64))
    ]
    table = Scatter(
        dims=["groups", "m", "n", "k"],
        points=points,
        seconds=[1e-6, 2e-6, 3e-6, 4e-6],
        scales=[4.0] * 4,
        noise=0.02,
    )
    known = profile.model_copy(update={"matmuls": {**profile.matmuls, "bmm": table}})
    found = hot_seconds("bmm", [(4, 64, 256), (4, 256, 256)], [(4, 64, 256)], (), known)
    once, _ = grid_seconds(grid, 64, 256, 256)
    assert found.seconds == pytest.approx(grid.dispatch_s + 4 * (once - grid.dispatch_s))
    assert (
        hot_seconds("bmm", [(4, 8, 64), (4, 64, 8)], [(4, 8, 8)], (), known).seconds < 1e-5
    )  # inside: its own table


def test_strided_operands_cost_by_their_innermost_loops(profile: HardwareProfile) -> None:
    known = profile.model_copy(
        update={"extra_s": {**profile.extra_s, "strided.loops": 1e-8, "strided.element": 1e-9}}
    )
    x = (4, 64, 64)

    def extra(name: str, params: tuple[int, ...]) -> float:
        return float(
            hot_seconds(name, [x], [x], params, known).seconds
            - hot_seconds(name, [x], [x], (), known).seconds
        )

    assert extra("relu", (64, 1)) == extra("relu_", (64, 1)) == pytest.approx(256 * 1e-8)
    assert extra("relu", (16384, 0)) == pytest.approx(1e-8 + 16384 * 1e-9)
    assert extra("softmax", (1, 1)) == 0
    assert hot_seconds("relu", [x], [x], (64, 1), profile) == hot_seconds(
        "relu", [x], [x], (), profile
    )  # never calibrated


def test_new_memory_is_paid_for_by_results_that_the_library_gives_back(
    profile: HardwareProfile,
) -> None:
    kept, given_back = [(2**23 - 1,)], [(2**23,)]
    known = profile.model_copy(update={"extra_s": {**profile.extra_s, NEW: 5e-10}})
    for shape, extra in ((kept, 0.0), (given_back, 2**25 * 5e-10)):
        for name, paid in (("add", extra), ("add_", 0.0)):
            more = (
                hot_seconds(name, [*shape, *shape], shape, (), known).seconds
                - hot_seconds(name, [*shape, *shape], shape, (), profile).seconds
            )
            assert more == pytest.approx(paid, abs=1e-12)
    assert fresh_seconds("add", [(np.array([8, 2**23]),)], known).tolist() == [0.0, 2**25 * 5e-10]


def test_without_a_curve_nothing_is_evicted() -> None:
    assert miss_seconds(1e6, np.inf, hardware("nvidia-h100-sxm")) == 0
    assert among_seconds("relu", 5, hardware("nvidia-h100-sxm")) == 0


def test_distances_count_different_operators_since_the_last_call() -> None:
    assert distances(["a", "a", "b", "a", "c"]) == [2, 1, 3, 2, 3]
    assert distances(["a", "b", "a"], repeated=False) == [2, 2, 2]
    assert distances([]) == []


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40))
def test_distances_repeat_like_two_rounds(names: list[str]) -> None:
    assert distances(names + names)[len(names) :] == distances(names)
    assert max(distances(names)) <= len(set(names))


def test_layers_of_a_stack_are_one_place() -> None:
    names, modules = ["linear", "relu", "relu"] * 2, ["net.0"] * 3 + ["net.1"] * 3
    sites = call_sites(names, modules, [1, 0, 0] * 2)
    assert sites[:3] == sites[3:]
    assert len(set(sites)) == 3
    assert distances(sites) == [3] * 6


def test_among_others(profile: HardwareProfile) -> None:
    np.testing.assert_allclose(
        among_seconds("relu", np.array([1, 4, 16, 99]), profile), [0, 1e-6, 4e-6, 4e-6]
    )
    assert among_seconds("view", 16, profile, view=True) == 3e-6
    assert among_seconds("linear", 16, profile, inputs=3) == 7e-6
    assert among_seconds("where", 16, profile, inputs=1) == 5e-6
    assert among_seconds("frobnicate", 16, profile) == 4e-6


def test_after_other_data(profile: HardwareProfile) -> None:
    code = code_of("relu", False, 1, profile)
    one = cold_seconds(code, 1, 10, np.array([0.0, 1e6, 1e7, 1e9]), 1e9, profile)
    np.testing.assert_allclose(one, [0, 0.2e-5 + 0.1e-6, 1e-5 + 1e-6, 1e-5 + 5e-6])
    assert cold_seconds(
        code_of("frobnicate", False, 1, profile), 1, 1, 1e9, 1e9, profile
    ) == pytest.approx(8e-6 + 5e-6)
    assert cold_seconds(
        code_of("view", True, 1, profile), 1, 1, 1e9, 1e9, profile
    ) == pytest.approx(2e-6 + 5e-6)
    assert cold_seconds(code, 1, 1, 1e9, 1e6, profile) == pytest.approx(
        0.2e-5 + 1e-6
    )  # the same memory over and over
    assert cold_seconds(code, 1, 1, 1e9, 1e9, hardware("nvidia-h100-sxm")) == 0


def test_the_first_call_after_something_else_finds_its_code_evicted(
    profile: HardwareProfile,
) -> None:
    none, bytes_ = np.zeros(2), np.array([4e6, 4e6])
    of = Side(
        2,
        none,
        none,
        {"dispatch": none},
        activation_bytes=bytes_,
        moved_bytes=2 * bytes_,
        calls={"relu": np.array([4.0, 0.0])},
    )
    assert of.returning(profile, None) == {}
    assert of.returning(profile, 0.0)["relu"].tolist() == [0.0, 0.0]
    found = of.returning(profile, 1e9)["relu"]
    assert found[0] == pytest.approx(
        float(own_seconds("relu", 1e9, profile) - own_seconds("relu", 1e6, profile))
    )
    assert found[1] == 0  # it is not called
    assert 0 < of.returning(profile, 2e6)["relu"][0] < found[0]
    assert of.returning(hardware("nvidia-h100-sxm"), 1e9) == {}


@given(touched=st.floats(0, 1e9), more=st.floats(0, 1e9), calls=st.integers(1, 50))
def test_more_data_never_makes_an_operator_faster(
    profile: HardwareProfile, touched: float, more: float, calls: int
) -> None:
    a, b = (cold_seconds("relu", calls, 50, t, 1e9, profile) for t in (touched, touched + more))
    assert b >= a
    assert cold_seconds("relu", calls + 1, 51, touched, 1e9, profile) <= a


@given(flops=st.floats(0, 1e15), traffic=st.floats(0, 1e12), factor=st.floats(1, 10))
def test_roofline_is_monotone_in_work_and_bandwidth(
    flops: float, traffic: float, factor: float
) -> None:
    device = hardware("nvidia-h100-sxm")
    t, dispatch = roofline_seconds(flops, traffic, device)
    assert t >= dispatch
    assert roofline_seconds(flops * factor, traffic * factor, device)[0] >= t
    wider = device.replace(
        **{"memory.hbm.bandwidth": device.memory["hbm"].bandwidth.value * factor}
    )
    assert roofline_seconds(flops, traffic, wider)[0] <= t


def test_a_dtype_the_device_lacks_is_refused() -> None:
    with pytest.raises(CondsimError, match="google-tpu-v4 has no fp32; it has bf16, int8"):
        hot_seconds(
            "linear", [(8, 64), (64, 64)], [(8, 64)], (), hardware("google-tpu-v4"), dtype="fp32"
        )


def test_a_device_from_a_data_sheet_is_estimated() -> None:
    hot = hot_seconds(
        "linear",
        [(np.array([1, 4096]), 4096), (4096, 4096)],
        [(np.array([1, 4096]), 4096)],
        (),
        hardware("nvidia-h100-sxm"),
    )
    assert hot.basis == "estimated"
    memory, compute = hot.seconds - hot.dispatch
    assert memory == pytest.approx(2 * (4096 * 4096 + 2 * 4096) / 3.35e12)
    assert compute == pytest.approx(2 * 4096**3 / (9.89e14 * 0.803))


def test_energy_is_clipped_at_the_power_limit() -> None:
    device = hardware("nvidia-h100-sxm")
    assert energy_j(1.0, 0, 0, device) == 70
    assert energy_j(1.0, 1e18, 1e15, device) == 700
    assert energy_j(2.0, 1e12, 1e9, device) == pytest.approx(140 + 0.45 + 0.122)
    with pytest.raises(CondsimError, match="fp64"):
        energy_j(1.0, 1, 1, device, dtype="fp64")
