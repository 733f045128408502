"""The effects of a GPU: laws, limits and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu import split, tiles, traffic
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.overlap import soft_maximum
from condsim.hardware import HardwareProfile, Tile, hardware
from condsim.program.operators import work

GPU = hardware("nvidia-h100-sxm")
assert GPU.gpu is not None
seconds = st.floats(0, 1)


def fused(
    rows: list[int],
    profile: HardwareProfile = GPU,
    n: int = 512,
    k: int = 1024,
    here: int | None = None,
    tokens: int | None = None,
) -> tuple[float, dict[str, float]]:
    """(seconds, worlds) of one fused matmul whose experts have so many rows."""
    total = sum(rows)
    x, w, out = (tokens or total, k), (len(rows) if here is None else here, n, k), (total, n)
    found = kernel(
        "fused_moe_mm",
        work("fused_moe_mm", [x, w], [out]),
        [x, w],
        [out],
        (1,),
        profile,
        "bf16",
        2,
        np.array([rows]),
    )
    return float(found.seconds[0]), {name: float(np.max(s)) for name, s in found.worlds.items()}


@given(seconds, seconds, st.floats(1, 50))
def test_the_soft_maximum_lies_between_the_longer_one_and_the_sum(
    a: float, b: float, p: float
) -> None:
    assert max(a, b) * (1 - 1e-9) <= soft_maximum(a, b, p) <= (a + b) * (1 + 1e-9)
    assert soft_maximum(a, b, 1.0) == pytest.approx(a + b)
    assert soft_maximum(a, b, 1e4) == pytest.approx(max(a, b), rel=1e-3)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20), st.integers(1, 128))
def test_row_blocks_hold_all_rows_and_none_is_empty(rows: list[int], m: int) -> None:
    blocks = int(tiles.row_blocks(np.array(rows), m))
    assert blocks == sum(-(-r // m) for r in rows)
    assert blocks * m >= sum(rows)
    assert blocks <= sum(rows)


def test_a_rule_takes_the_first_tile_whose_limit_holds() -> None:
    rule = [Tile(m=16, n=64, rows=32), Tile(m=64, n=128, rows=512), Tile(m=128, n=128)]
    m, n = tiles.by_rule(rule, np.array([1, 32, 33, 512, 513, 10**6]))
    assert m.tolist() == [16, 16, 64, 64, 128, 128]
    assert n.tolist() == [64, 64, 128, 128, 128, 128]


def test_waves_are_whole_rounds_over_the_sms() -> None:
    gpu = GPU.gpu
    assert gpu is not None
    sms = int(gpu.sms.value)
    one, full, over = (
        float(tiles.tiled_seconds(b, 128, 1024, 128, 128, gpu, 8e14, 2)) for b in (1, sms, sms + 1)
    )
    assert one == full
    assert over == 2 * full


def test_a_tile_of_several_sms_takes_in_its_operands_once() -> None:
    gpu = GPU.gpu
    assert gpu is not None
    sms = int(gpu.sms.value)
    fast = 1e30  # arithmetic for nothing: what is taken in remains
    alone = float(tiles.tiled_seconds(sms, 128, 1024, 128, 128, gpu, fast, 2))
    pair = float(tiles.tiled_seconds(sms // 2, 128, 1024, 256, 128, gpu, fast, 2, sms=2))
    assert pair == pytest.approx(alone * (256 + 128) / (2 * 256))
    slow = 1.0  # arithmetic alone: the same on one or two
    assert float(tiles.tiled_seconds(sms // 2, 128, 1024, 256, 128, gpu, slow, 2, sms=2)) == float(
        tiles.tiled_seconds(sms, 128, 1024, 128, 128, gpu, slow, 2)
    )


def dense(m: int, n: int, k: int, parts: tuple[int, ...] = split.PARTS) -> float:
    """Seconds of a product that may be cut into so many parts."""
    job = work("linear", [(m, k), (n, k)], [(m, n)], ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "PARTS", parts)
        return float(kernel("linear", job, [(m, k), (n, k)], [(m, n)], (), GPU, "bf16", 2).seconds)


@given(
    st.integers(1, 5000), st.sampled_from([512, 4096, 16384]), st.sampled_from([512, 8192, 65536])
)
def test_split_k_is_never_slower(m: int, n: int, k: int) -> None:
    assert dense(m, n, k) <= dense(m, n, k, (1,))


def test_split_k_is_for_few_deep_tiles() -> None:
    assert dense(16, 512, 65536) < 0.4 * dense(16, 512, 65536, (1,))
    assert dense(20_000, 8192, 8192) == dense(20_000, 8192, 8192, (1,))
    assert GPU.gpu is not None
    assert float(split.reduction_seconds(1, 1e6, GPU, GPU.gpu)) == 0.0
    two, four = (float(split.reduction_seconds(parts, 1e6, GPU, GPU.gpu)) for parts in (2, 4))
    assert GPU.gpu.kernel_s.value < two < four


def test_weights_that_fit_l2_stay_there() -> None:
    size = GPU.memory["l2"].bytes.value
    assert traffic.resident_share(
        np.array([0.1 * size, size, 1.25 * size, 1.5 * size, 9 * size]), GPU
    ).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert GPU.gpu is not None
    kept, read = (float(traffic.weight_seconds(1e7, share, GPU, GPU.gpu)) for share in (1.0, 0.0))
    assert kept < read


def test_a_gather_moves_whole_sectors() -> None:
    assert GPU.gpu is not None
    assert traffic.sector_bytes(100, 2, GPU.gpu) == 100 * 32
    assert traffic.sector_bytes(100, 64, GPU.gpu) == 100 * 64


@given(st.lists(st.integers(0, 200), min_size=2, max_size=40).filter(any))
def test_the_worlds_of_a_matmul_add_up_to_its_time(rows: list[int]) -> None:
    total, worlds = fused(rows)
    ideal = 2.0 * sum(rows) * 512 * 1024 / GPU.peak_flops["bf16"].value
    assert total == pytest.approx(ideal + sum(worlds.values()), rel=1e-9)


@pytest.mark.parametrize(
    "field",
    [
        "gpu.dram_fraction",
        "gpu.operand_bytes_per_clock",
        "gpu.sms",
        "memory.hbm.bandwidth",
        "memory.l2.bandwidth",
        "matmul_efficiency",
    ],
)
@pytest.mark.parametrize("rows", [[1, 0, 0, 3], [40] * 64, [4096, 1, 1, 900]])
def test_more_of_a_resource_is_never_slower(field: str, rows: list[int]) -> None:
    place = GPU.model_dump()
    for part in field.split("."):
        place = place[part]
    assert fused(rows, GPU.replace(**{field: place["value"] * 2}))[0] <= fused(rows)[0] * (1 + 1e-9)


def test_tiles_of_one_element_leave_no_quantisation() -> None:
    fine = GPU.replace(
        **{
            "gpu.grouped_tiles": [{"m": 1, "n": 1}],
            "gpu.tile_s": 1e-30,
            "gpu.operand_bytes_per_clock": 1e9,
            "gpu.sms": 1,
        }
    )
    _, worlds = fused([64, 3, 0, 17], fine)
    assert worlds["quantisation"] == pytest.approx(0.0, abs=1e-12)


def test_few_tokens_pay_for_touched_experts_only() -> None:
    """At one row an expert the weights are the time, and half of the experts take half of it."""
    profile = GPU.replace(**{"gpu.kernel_s": 1e-12, "gpu.tile_s": 1e-30})
    wide = {"n": 4096, "k": 4096}
    few, many = (fused([1] * n + [0] * (64 - n), profile, **wide)[0] for n in (16, 32))
    assert many / few == pytest.approx(2.0, rel=0.05)


def test_experts_that_are_elsewhere_cost_their_blocks_but_no_arithmetic() -> None:
    alone, shared = fused([8] * 8, tokens=64), fused([8] * 64, here=8, tokens=64)
    assert shared[0] > alone[0]
    assert shared[1]["weight_traffic"] == pytest.approx(alone[1]["weight_traffic"])
