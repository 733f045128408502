"""Joined operators are the kernels that the real torch.compile makes on this machine's CPU."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import compiled


@pytest.mark.skipif(shutil.which("g++") is None, reason="TorchInductor needs a C++ compiler")
@pytest.mark.parametrize("name", [n for n in compiled.MODULES if n != "attention"])
def test_kernels_are_those_of_inductor(name: str) -> None:
    module = compiled.MODULES[name]().eval()
    assert compiled.agrees(compiled.predicted(module), compiled.compiled(module))


@pytest.mark.skipif(shutil.which("g++") is None, reason="TorchInductor needs a C++ compiler")
def test_on_a_cpu_every_module_has_the_kernels_of_inductor() -> None:
    module = compiled.MODULES["attention"]().eval()
    assert compiled.agrees(compiled.predicted(module, "cpu"), compiled.compiled(module))


def test_a_scale_before_a_softmax_joins_the_product_before_it() -> None:
    """Inductor joins it to the softmax, since the product is a library's: as many kernels on a
    device whose compiler has products of its own."""
    assert compiled.predicted(compiled.MODULES["attention"]().eval()) == [("mul",), ("softmax",)]
