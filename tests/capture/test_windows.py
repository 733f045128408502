"""Layers with a window: in decode steps their sizes follow the window instead of all positions."""

from __future__ import annotations

import torch

from condsim.capture.windows import windowed, windows_of
from condsim.program import Dim, Op, Product, Program, Scope, Tensor

TOTAL = Dim.product(2, "batch", "total", plus=1)
LONG = {"batch": 3, "total": 100, "total@8": 8}


def reading(module: str) -> Op:
    """An operator that reads all positions and allocates as much, and as much squared."""
    tensor = Tensor((TOTAL,), "float")
    allocs = ((TOTAL, "float"), (Product((TOTAL, TOTAL)), "float"))
    return Op("mul", (tensor,), (tensor,), module=module, allocs=allocs)


def program(regime: str, probed: int = 6) -> Program:
    scope = Scope((reading("near"), reading("far")))
    return Program("dense", regime, scope, probed=({"batch": 2, "total": probed},))


def sizes(program: Program) -> list[int]:
    """What each operator reads where 100 positions are there."""
    ops = [node for node in program.root.nodes if isinstance(node, Op)]
    return [op.inputs[0].dims[0](LONG) for op in ops]


def test_a_window_limits_all_sizes_of_its_module_and_of_no_other() -> None:
    fitted = windowed(program("decode-n"), {"near": 8})
    assert sizes(fitted) == [2 * 3 * 8 + 1, 2 * 3 * 100 + 1]
    near = fitted.root.nodes[0]
    assert isinstance(near, Op)
    assert near.outputs == near.inputs
    assert [size(LONG) for size, _ in near.allocs] == [49, 49 * 49]


def test_prefill_sees_all_positions() -> None:
    prefill = program("prefill-n")
    assert windowed(prefill, {"near": 8}) is prefill


def test_a_window_that_probing_filled_is_in_the_program_already() -> None:
    filled = program("decode-n", probed=8)
    assert windowed(filled, {"near": 8}) is filled


def test_windows_are_those_that_modules_name() -> None:
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity(), torch.nn.Identity())
    model.sliding_window = 5  # the whole model has no path
    model[0].sliding_window = 8
    model[1].sliding_window = None
    assert windows_of(model) == {"0": 8}
