"""New memory is paid for by results so large that the library gives them back."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost.cpu.new_memory import KEPT_BYTES, NEW, fresh_seconds
from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.hot import SizedOperator
from condsim.hardware import HardwareProfile

S_PER_BYTE = 5e-10
ELEMENTS = KEPT_BYTES // 4


@pytest.fixture(scope="module")
def known(profile: HardwareProfile) -> HardwareProfile:
    return profile.model_copy(update={"extra_s": {**profile.extra_s, NEW: S_PER_BYTE}})


@pytest.mark.parametrize(
    ("name", "elements", "extra_s"),
    [
        ("add", ELEMENTS - 1, 0.0),
        ("add", ELEMENTS, KEPT_BYTES * S_PER_BYTE),
        ("add_", ELEMENTS, 0.0),
    ],
)
def test_only_large_new_results_cost(
    profile: HardwareProfile, known: HardwareProfile, name: str, elements: int, extra_s: float
) -> None:
    x = (elements,)
    paid = operator_time(SizedOperator(name, [x, x], [x]), known)
    free = operator_time(SizedOperator(name, [x, x], [x]), profile)
    assert paid.seconds - free.seconds == pytest.approx(extra_s, abs=1e-12)


def test_each_size_of_an_array_is_looked_at(known: HardwareProfile) -> None:
    seconds = fresh_seconds("add", [(np.array([8, ELEMENTS]),)], known)
    assert seconds.tolist() == [0.0, KEPT_BYTES * S_PER_BYTE]
