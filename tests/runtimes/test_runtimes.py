"""The registry of runtimes."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.runtimes import KINDS, RUNTIMES, the_runtime


@pytest.mark.parametrize("kind", KINDS)
def test_every_device_can_run_eagerly(kind: str) -> None:
    assert the_runtime(None, "eager", kind) is the_runtime("eager", "magic", kind)


def test_products_take_nothing_in_where_a_cpu_compiles() -> None:
    assert (
        the_runtime("compiled", "eager", "cpu").joins
        is not the_runtime("compiled", "eager", "gpu").joins
    )
    with pytest.raises(CondsimError, match="runtime 'compiled' is not for a npu"):
        the_runtime("compiled", "npu", "npu")


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(CondsimError, match="unknown runtime 'egaer'; did you mean 'eager'"):
        the_runtime("egaer", "eager", "gpu")


def test_a_runtime_is_for_known_classes_and_named_once() -> None:
    assert all(set(r.kinds) <= set(KINDS) and r.name == name for name, r in RUNTIMES.items())
