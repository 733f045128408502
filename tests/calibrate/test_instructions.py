"""What a bytecode instruction costs."""

from __future__ import annotations

from functools import partial

import torch

from condsim.calibrate.instructions import Layers, count_instructions, instruction_s
from condsim.timing.yardstick import Yardstick

IMAGE, ROWS = torch.ones(1, 4, 4, 4), torch.ones(4, 16)


def test_layers_compute_the_same_with_and_without_their_modules() -> None:
    layers = Layers()
    with torch.inference_mode():
        for with_modules, bare in zip(layers(IMAGE, ROWS), layers.bare(IMAGE, ROWS), strict=True):
            assert torch.equal(with_modules, bare)


def test_modules_take_more_instructions() -> None:
    layers = Layers()
    with torch.inference_mode():
        with_modules = count_instructions(partial(layers, IMAGE, ROWS))
        bare = count_instructions(partial(layers.bare, IMAGE, ROWS))
    assert with_modules > bare > 0


def test_an_instruction_takes_time() -> None:
    with torch.inference_mode():
        assert 1e-9 <= instruction_s(Yardstick(), rounds=1) < 1e-5
