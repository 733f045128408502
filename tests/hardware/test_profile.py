"""A profile is frozen, and a what-if is another one."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, hardware


def test_uncertainty_follows_the_basis() -> None:
    profile = hardware("nvidia-h100-sxm")
    assert profile.peak_flops["bf16"].relative == 0.10
    assert profile.matmul_efficiency.relative == 0.10
    assert profile.host.view.relative == 0.30
    assert profile.host.synchronise.relative == 0.5


def test_replace_is_a_what_if_and_leaves_the_original() -> None:
    profile = hardware("nvidia-h100-sxm")
    faster = profile.replace(**{"memory.hbm.bandwidth": 1e13, "dtype": "fp8"})
    assert faster.memory["hbm"].bandwidth.value == 1e13
    assert faster.memory["hbm"].bandwidth.basis == "estimated"
    assert faster.dtype == "fp8"
    assert profile.memory["hbm"].bandwidth.value != 1e13
    assert profile.dtype == "bf16"


def test_replace_takes_a_quantity_as_it_is() -> None:
    profile = hardware("nvidia-h100-sxm")
    quantity = profile.memory["l2"].bandwidth
    same = profile.replace(**{"memory.hbm.bandwidth": quantity})
    assert same.memory["hbm"].bandwidth == quantity


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("memory.hbm.bandwith", 1.0, "did you mean 'memory.hbm.bandwidth'"),
        ("memory.dram.bandwidth", 1.0, "unknown profile field"),
        ("name.first", "x", "unknown profile field"),
        ("memory.hbm.bandwidth", 0.0, "greater than 0"),
        ("memory.hbm.bandwidth", "fast", "memory.hbm.bandwidth.value"),
    ],
)
def test_replace_refuses(path: str, value: object, words: str) -> None:
    with pytest.raises(CondsimError, match=words):
        hardware("nvidia-h100-sxm").replace(**{path: value})


def test_profiles_are_frozen() -> None:
    profile: HardwareProfile = hardware("nvidia-h100-sxm")
    with pytest.raises(ValueError, match="frozen"):
        profile.name = "x"


def test_the_largest_memory_is_the_main_one() -> None:
    profile = hardware("nvidia-h100-sxm")
    assert profile.dram == profile.memory["hbm"]


def test_a_copy_with_other_values_works_out_its_own() -> None:
    profile = hardware("nvidia-h100-sxm")
    before = profile.digest
    other = profile.model_copy(update={"links": {}, "name": "other"})
    assert other.digest != before
    assert profile.model_copy().digest == before
