"""Costs of operands that do not lie in one piece."""

from __future__ import annotations

import pytest
import torch

from condsim.calibrate import strided
from condsim.calibrate.strided import FIRST_OPERANDS, HEADS, POSITIONS, WIDTH, strided_costs
from condsim.timing.cases import Pool


def test_all_first_operands_have_one_shape_and_lie_differently() -> None:
    operands = {name: make(Pool()) for name, make in FIRST_OPERANDS.items()}
    assert {tensor.shape for tensor in operands.values()} == {(HEADS, POSITIONS, WIDTH)}
    assert operands["whole"].is_contiguous()
    assert not operands["loops"].is_contiguous()
    assert operands["elements"].stride(-1) == 2


def test_every_case_runs() -> None:
    with torch.inference_mode():
        for make in strided.cases(Pool()).values():
            assert make()().shape == (HEADS, POSITIONS, WIDTH)


def test_costs_are_what_is_beyond_a_whole_operand_and_never_negative() -> None:
    seconds = {("strided", "whole"): 1.0, ("strided", "loops"): 3.0, ("strided", "elements"): 0.5}
    costs = strided_costs(seconds)
    assert costs["strided.loops"] == pytest.approx(2.0 / POSITIONS)
    assert costs["strided.element"] == 0.0
