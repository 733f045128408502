"""The constants of a GPU: the path that measures them runs here on the CPU, with its clock; what
is fitted is found again."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import condsim
from condsim.calibrate import accelerator
from condsim.calibrate.accelerator import CONSTANTS, Clock, calibrate_accelerator
from condsim.calibrate.fit import fit
from condsim.hardware import HardwareProfile, fingerprint

GPU = condsim.hardware("nvidia-h100-sxm")
MEASURED = (
    "host.dispatch",
    "host.view",
    "host.synchronise",
    "host.instruction",
    "gpu.kernel_s",
    "gpu.dram_fraction",
    "memory.l2.bandwidth",
    *CONSTANTS,
)


@pytest.fixture(scope="module")
def slow_gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As fast as a core, in its dtype."""
    numbers = {
        "peak_flops.fp32": 2e11,
        "memory.hbm.bandwidth": 2e10,
        "memory.l2.bandwidth": 1e11,
        "gpu.sms": 1,
    }
    return GPU.replace(dtype="fp32", **numbers).save(
        tmp_path_factory.mktemp("profiles") / "core.yaml"
    )


def at(profile: HardwareProfile, dotted: str) -> condsim.hardware.Quantity:
    value = profile
    for part in dotted.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def test_what_it_measures_is_marked_and_the_rest_is_the_profile_of_its_kind(slow_gpu: Path) -> None:
    seen: list[str] = []
    found = calibrate_accelerator(
        "cpu", str(slow_gpu), lambda what, _share: seen.append(what), save=False, most_bytes=2e6
    )
    for name in MEASURED:
        assert at(found, name).basis == "calibrated", name
        assert at(found, name).value > 0
    assert found.gpu is not None
    assert found.gpu.sms.value == 1
    assert found.power == GPU.power
    assert "NOT on a GPU" in found.description
    assert seen == ["the host", "memory", "matmuls", "matmuls"]
    read = condsim.hardware(found.save(slow_gpu.with_name("found.yaml")))
    assert read.fingerprint == fingerprint()


def test_constants_that_made_the_times_are_found_again() -> None:
    sizes = accelerator._sizes(1e9, 2)
    assert len(sizes) == accelerator.MATMULS == len(set(sizes))
    true = {
        "matmul_efficiency": 0.7,
        "gpu.operand_bytes_per_clock": 50.0,
        "gpu.overlap": 3.0,
        "gpu.tile_s": 4e-7,
    }
    seconds = accelerator._predicted(sizes, GPU.replace(**true))
    found = fit(partial(accelerator._predicted, sizes), seconds, GPU, CONSTANTS)
    again = accelerator._predicted(sizes, GPU.replace(**found))
    assert np.median(np.abs(again / seconds - 1)) < 0.02
    assert found["matmul_efficiency"] == pytest.approx(0.7, rel=0.1)


def test_host_and_device_time_the_same_call() -> None:
    calls = []
    clock = Clock(torch.device("cpu"))
    assert clock.host(lambda: calls.append(1)) > 0
    assert clock.device_s(lambda: calls.append(1), 3) > 0
    assert len(calls) == accelerator.ROUNDS * accelerator.HOST_CALLS + (accelerator.ROUNDS + 1) * 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-sxm"),
        ("NVIDIA A100-SXM4-80GB", "nvidia-a100-sxm-80gb"),
        ("NVIDIA L40S", "nvidia-l40s"),
    ],
)
def test_a_device_finds_the_profile_of_its_kind(name: str, kind: str) -> None:
    assert accelerator._profile_named(name) == kind


@pytest.mark.parametrize(
    ("device", "like", "said"),
    [
        ("nonsense", None, "no device 'nonsense'"),
        ("cpu", "google-tpu-v4", "class tpu"),
        ("cpu", "nvidia-h9", "unknown profile"),
    ],
)
def test_what_cannot_be_calibrated_is_named(device: str, like: str | None, said: str) -> None:
    with pytest.raises(condsim.CondsimError, match=said):
        calibrate_accelerator(device, like, save=False)


def test_a_name_that_no_profile_has() -> None:
    with pytest.raises(condsim.CondsimError, match="--like"):
        accelerator._profile_named("Acme X1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_cuda_it_says_so() -> None:
    with pytest.raises(condsim.CondsimError, match="no CUDA device"):
        calibrate_accelerator("cuda", save=False)
