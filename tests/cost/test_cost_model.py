"""Just one device model serves each device in each of its runtimes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from condsim.cost.cost_model import device_model
from condsim.cost.cpu.device import CpuModel
from condsim.cost.device import DEVICE_MODELS, Target
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.resources import resource
from condsim.runtimes import RUNTIMES

PROFILES = sorted(path.stem for path in Path(str(resource("hwprofiles"))).glob("*.yaml"))


def targets(name: str) -> list[Target]:
    """A profile under each runtime that its kind has."""
    profile = hardware(name)
    runtimes = [runtime for runtime in RUNTIMES.values() if runtime.is_for(profile)]
    return [Target(profile, profile.dtype, runtime) for runtime in runtimes]


@pytest.mark.parametrize("name", PROFILES)
def test_one_model_serves_a_device_in_each_runtime(name: str) -> None:
    for target in targets(name):
        serving = [model for model in DEVICE_MODELS.values() if model.serves(target)]
        assert len(serving) == 1, target.runtime.name


@pytest.fixture
def second_cpu_model() -> Iterator[None]:
    """While it lasts, two models serve a CPU."""
    DEVICE_MODELS.register("second")(type("SecondModel", (CpuModel,), {}))
    yield
    del DEVICE_MODELS._entries["second"]


@pytest.mark.usefixtures("second_cpu_model")
def test_two_models_for_one_target_are_refused() -> None:
    with pytest.raises(CondsimError, match="CpuModel and SecondModel both serve a cpu"):
        device_model(targets("amd-epyc-9655")[0])
