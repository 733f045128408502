"""The registry of runtimes, and which of them a device has."""

from __future__ import annotations

import pytest

import condsim
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.hardware.device_classes.base import classes_with
from condsim.runtimes import RUNTIMES, choose_runtime

DEVICES = {
    "cpu": "raspberry-pi-5",
    "gpu": "nvidia-h100-sxm",
    "tpu": "google-tpu-v4",
    "npu": "google-edge-tpu",
}


def device(kind: str) -> HardwareProfile:
    return condsim.hardware(DEVICES[kind])


@pytest.mark.parametrize("kind", DEVICES)
def test_every_device_can_run_eagerly(kind: str) -> None:
    assert choose_runtime("eager", device(kind)).name == "eager"


def test_a_runtime_that_nobody_knows_is_not_preferred() -> None:
    magic = device("cpu").model_copy(update={"runtime": "magic"})
    assert choose_runtime(None, magic).name == "eager"


def test_products_take_nothing_in_where_a_cpu_compiles() -> None:
    on_cpu, on_gpu = (choose_runtime("compiled", device(kind)) for kind in ("cpu", "gpu"))
    assert on_cpu.fuses is not on_gpu.fuses


def test_a_runtime_of_another_class_is_refused() -> None:
    with pytest.raises(CondsimError, match="runtime 'compiled' is not for a npu"):
        choose_runtime("compiled", device("npu"))


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(CondsimError, match="unknown runtime 'egaer'; did you mean 'eager'"):
        choose_runtime("egaer", device("gpu"))


def test_a_runtime_is_for_known_classes_and_named_once() -> None:
    for name, runtime in RUNTIMES.items():
        assert runtime.name == name
        assert classes_with(runtime.needs), "no class of devices offers what it needs"
