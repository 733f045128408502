"""One calibration with very few sizes, that several files look at."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from condsim.calibrate import calibrate, shapes
from condsim.calibrate.cpu import Beside
from condsim.hardware import HardwareProfile


@dataclass
class TinyCalibration:
    """A profile, what was told while it was made, and the rounds that something came between."""

    profile: HardwareProfile
    told: list[tuple[str, float]] = field(default_factory=list)
    between: list[tuple[int, float]] = field(default_factory=list)
    seconds: dict[object, float] = field(default_factory=dict)


@pytest.fixture(scope="session")
def tiny() -> TinyCalibration:
    told: list[tuple[str, float]] = []
    between: list[tuple[int, float]] = []
    beside = Beside(
        cases={("sum", 3): lambda: lambda: sum(range(3))},
        between=lambda number, fast_s: between.append((number, fast_s)),
    )
    profile = calibrate(
        size=shapes.TINY,
        save=False,
        progress=lambda what, share: told.append((what, share)),
        beside=beside,
    )
    return TinyCalibration(profile, told, between, beside.seconds)


@pytest.fixture(scope="session")
def tiny_profile(tiny: TinyCalibration) -> HardwareProfile:
    return tiny.profile
