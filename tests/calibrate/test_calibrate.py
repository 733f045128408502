"""A calibration with very few sizes, and the list of sizes that a normal one visits."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from condsim.calibrate import calibrate, matmul, operators, shapes
from condsim.calibrate.compiled_graphs import compiled_costs
from condsim.calibrate.new_shapes import new_shape_costs
from condsim.cost.cpu.new_memory import NEW
from condsim.cost.cpu.operator_time import hot_seconds
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, cache_folder, fingerprint, hardware, this_machine
from condsim.timing.cases import Pool, Rotation, between_neighbours, sample, threads
from condsim.timing.yardstick import Yardstick

SEEN: list[tuple[str, float]] = []
BETWEEN: list[tuple[int, float]] = []


@pytest.fixture(scope="module")
def profile() -> HardwareProfile:
    return calibrate(
        size=shapes.TINY,
        save=False,
        progress=lambda what, share: SEEN.append((what, share)),
        between=lambda *at: BETWEEN.append(at),
    )


def test_a_calibration_can_be_saved_and_read(profile: HardwareProfile, tmp_path: Path) -> None:
    back = hardware(profile.save(tmp_path / "own.yaml"))
    assert back.fingerprint == fingerprint()
    assert back.matmuls.keys() == profile.matmuls.keys()
    assert back == profile


def test_it_is_saved_where_this_machine_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: HardwareProfile
) -> None:
    monkeypatch.setattr(
        sys.modules[cache_folder.__module__], "user_cache_dir", lambda _name: str(tmp_path)
    )
    monkeypatch.setattr(sys.modules[calibrate.__module__], "_calibrated", lambda *_: profile)
    calibrate()
    assert hardware("this-machine").name == profile.name
    graphs = profile.model_copy(update={"extra_s": {**profile.extra_s, "compiled.graph": 1e-4}})
    monkeypatch.setattr(sys.modules[calibrate.__module__], "_calibrated", lambda *_: graphs)
    calibrate(compiled=True)
    monkeypatch.setattr(sys.modules[calibrate.__module__], "_calibrated", lambda *_: profile)
    assert calibrate().extra_s["compiled.graph"] == 1e-4  # kept, though not measured again
    assert hardware("this-machine").extra_s["compiled.graph"] == 1e-4


@pytest.fixture(scope="module")
def in_bf16() -> HardwareProfile:
    return calibrate(size=shapes.TINY, save=False, dtype="bf16")


def test_a_calibration_in_bf16_times_bf16(
    in_bf16: HardwareProfile, profile: HardwareProfile
) -> None:
    assert (in_bf16.dtype, list(in_bf16.peak_flops)) == ("bf16", ["bf16"])
    assert in_bf16.name == f"{profile.name}-bf16"
    assert in_bf16.residency is not None
    assert profile.residency is not None
    assert [2 * b for b in in_bf16.residency.bytes] == pytest.approx(
        profile.residency.bytes, rel=1e-3
    )
    assert in_bf16.operators.keys() == profile.operators.keys()


def test_every_operator_is_timed_in_the_dtype_of_its_pool() -> None:
    pool = Pool(torch.bfloat16)
    assert pool(3, 5).dtype == torch.bfloat16
    assert all(pool(7).data_ptr() % 64 == 0 for _ in range(3))
    with torch.inference_mode():
        for name in (
            "add",
            "add_",
            "zeros",
            "full",
            "new_zeros",
            "batch_norm",
            "group_norm",
            "layer_norm",
            "scatter_",
            "softmax",
            "cat",
        ):
            build = {**operators.ELEMENTWISE, **operators.ROWWISE}[name]
            assert build(pool, 256, 16)().dtype == torch.bfloat16, name
        assert operators.ELEMENTWISE["to"](pool, 256, 16)().dtype == torch.float32


def test_this_machine_has_a_profile_for_each_dtype(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    profile: HardwareProfile,
    in_bf16: HardwareProfile,
) -> None:
    monkeypatch.setattr(
        sys.modules[cache_folder.__module__], "user_cache_dir", lambda _name: str(tmp_path)
    )
    assert this_machine() is None
    for p in (profile, in_bf16):
        p.save(cache_folder() / f"{p.name}.yaml")
    assert this_machine() == profile
    assert this_machine(dtype="bf16") == in_bf16


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(CondsimError, match="unknown dtype 'fp8'"):
        calibrate(dtype="fp8")


@pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="kernels for sizes are oneDNN's"
)
def test_new_sizes_of_a_convolution_wait_for_their_kernels() -> None:
    with threads(1):
        assert new_shape_costs(Pool())["conv2d"] > 0
        assert new_shape_costs(Pool())["conv2d"] > 0  # what was written before is forgotten


@pytest.mark.skipif(shutil.which("g++") is None, reason="TorchInductor needs a C++ compiler")
def test_compiled_graphs_have_costs() -> None:
    with threads(1):
        found = compiled_costs(Pool(), Yardstick(), rounds=1)
    assert found.keys() == {"compiled.graph", "compiled.kernel", "compiled.product"}
    assert found["compiled.graph"] > 0


def test_every_time_is_positive_and_every_family_has_an_uncertainty(
    profile: HardwareProfile,
) -> None:
    assert {
        "linear",
        "mm",
        "attention",
        "conv2d",
        "conv2d_depthwise",
        "bmm_row",
        "bmm_column",
    } <= profile.matmuls.keys()
    assert profile.residency is not None
    assert profile.activations is not None
    assert len(profile.activations.distance) == len(profile.activations.read)
    assert profile.extra_s[NEW] >= 0
    assert profile.residency.others >= 0
    assert (
        len(profile.residency.one_row)
        == len(profile.residency.more_rows)
        == len(profile.residency.bytes)
    )
    assert profile.among is not None
    assert profile.cold is not None
    assert set(profile.cold.own_s) == set(profile.among.extra_s)
    assert profile.host.instruction is not None
    assert 1e-9 <= profile.host.instruction.value < 1e-5
    assert profile.yardstick_s is not None
    for table in profile.matmuls.values():
        assert table.uncertainty > 0
        assert min(table.seconds) > 0


def test_a_larger_operator_takes_longer(profile: HardwareProfile) -> None:
    """Only what no noise can turn: a thousand times the work."""
    for name, small, large in (("linear", (1, 64), (4096, 64)), ("relu", (1, 16), (4096, 1024))):
        weights = [(64, 64)] if name == "linear" else []
        a = hot_seconds(name, [small, *weights], [small], (), profile)
        b = hot_seconds(name, [large, *weights], [large], (), profile)
        assert a.seconds < b.seconds
        assert a.seconds >= a.dispatch * 0.99


def test_progress_is_shared_and_threads_are_restored(profile: HardwareProfile) -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="stop"), threads(before + 1):
        raise RuntimeError("stop")
    assert torch.get_num_threads() == before
    assert profile.calibrated
    assert {what for what, _ in SEEN} >= {
        "operators and matmuls",
        "evicted weights",
        "among others",
        "after other data",
    }
    assert all(0 <= share <= 1 for _, share in SEEN)
    assert [(r, fast_s > 0) for r, fast_s in BETWEEN] == [
        (r, True) for r in range(shapes.TINY.rounds - 1)
    ]


def test_a_rotation_comes_round_and_keeps_what_was_made() -> None:
    calls: list[int] = []
    turn = Rotation([lambda i=i: calls.append(i) or [i] for i in range(3)])  # type: ignore[misc]
    assert calls == [0, 1, 2]
    turn()
    assert calls == [0, 1, 2, 0]
    assert list(turn._kept) == [[1], [2], [0]]


def test_what_others_evict_moves_a_curve_to_more_bytes() -> None:
    of = sys.modules["condsim.calibrate.residency"]
    distance, extra = np.array([1e6, 4e6, 8e6, 2e7]), np.array([0.0, 1e-11, 5e-11])
    assert of._shifted(0.0, distance, np.zeros(3), extra).tolist() == [0.0, 1e-11, 5e-11, 5e-11]
    rounds = np.array([0.0, 4e-3, 1.2e-2])  # at 1 GB/s: seen at 1, 8 and 20 MB
    assert of._shifted(1e9, distance, rounds, extra).tolist() == pytest.approx(
        [0.0, 1e-11 * 3 / 7, 1e-11, 5e-11]
    )
    paused = [(7e-3, 1e-11)]  # as much as 8 MB
    assert of._misfit(1e9, distance, 1e6, rounds, extra, paused) < of._misfit(
        0.0, distance, 1e6, rounds, extra, paused
    )


def test_every_case_runs() -> None:
    pool = Pool()
    with torch.inference_mode():
        for make in {
            **operators.cases(pool, shapes.TINY),
            **matmul.cases(pool, shapes.TINY),
        }.values():
            make()()


@pytest.mark.parametrize("name", ["where", "masked_fill"])
def test_conditions_are_alike_for_whole_rows(name: str) -> None:
    call: Any = operators.ELEMENTWISE[name](Pool(), 64 * 64, 64)
    (condition,) = [x for x in call.args if isinstance(x, torch.Tensor) and x.dtype == torch.bool]
    assert condition.shape == (64, 1)
    assert 0 < int(condition.sum()) < 64
    assert call().shape == (64, 64)


def test_a_sample_is_the_time_of_one_call() -> None:
    calls: list[int] = []
    assert sample(lambda: calls.append(1)) > 0
    assert len(calls) > 10


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system does not say where a thread may run"
)
def test_waiting_moves_between_processors_and_lets_the_thread_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allowed, seen = os.sched_getaffinity(0), []
    with threads(1):
        yardstick = Yardstick()
        monkeypatch.setattr(yardstick, "_read", lambda: seen.append(os.sched_getaffinity(0)) or 1.0)
        assert yardstick.wait(limit_s=0.5, patience_s=0.02 * len(allowed))[0] == 1.0
        assert {frozenset(s) for s in seen} >= {frozenset({cpu}) for cpu in allowed}
        yardstick.let_go()
        assert os.sched_getaffinity(0) == allowed
        yardstick.wait(limit_s=0.5, patience_s=0.01)
    assert os.sched_getaffinity(0) == allowed


def test_patience_is_used_up_by_waiting() -> None:
    yardstick = Yardstick(patience_s=0.01)
    yardstick._fast, yardstick._of = 1e-12, 10**6  # nothing is ever as fast
    yardstick.begin()
    assert yardstick.patience_s < 0.001
    before = len(yardstick._seconds)
    yardstick.begin()
    assert len(yardstick._seconds) == before + 1


def test_a_doubtful_time_is_no_longer_than_its_neighbours_say() -> None:
    times = {("linear", 4, 8, k): float(k) for k in (8, 32, 128)} | {
        ("item", 1, 1): 5.0,
        ("linear", 4, 16, 32): 7.0,
    }
    times["linear", 4, 8, 32] = 57.0
    found = between_neighbours(times, {("linear", 4, 8, 32), ("item", 1, 1), ("linear", 4, 16, 32)})
    assert found["linear", 4, 8, 32] == pytest.approx(32.0)
    assert (found["item", 1, 1], found["linear", 4, 16, 32]) == (5.0, 7.0)  # nothing beside them
    assert (
        between_neighbours(times | {("linear", 4, 8, 32): 20.0}, {("linear", 4, 8, 32)})[
            "linear", 4, 8, 32
        ]
        == 20.0
    )


def test_visited_sizes_are_the_ones_that_are_timed() -> None:
    timed = {key[1:] for key in matmul.cases(Pool(), shapes.NORMAL) if key[0] == "linear"}
    assert {(m, n, k) for m, n, k, _ in shapes.visited("linear")} == timed
    assert shapes.overlap([("linear", (16, 64, 32, 1)), ("linear", (17, 65, 32, 1))]) == 0.5
    assert shapes.overlap([]) == 0.0
    for family in ("bmm", "attention", "conv2d"):
        assert len(shapes.visited(family)) > 50


def test_shapes_are_drawn_alike_every_time() -> None:
    assert shapes.conv_sizes("conv2d", 20) == shapes.conv_sizes.__wrapped__("conv2d", 20)
