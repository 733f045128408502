"""Gates of gradient accumulation, with zero tolerance.

A program of two recorded micro-batches gives the stream of three, and the bytes that lived at once.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from condsim.live import train_step
from condsim.predict.peak_memory import peak_bytes
from gates.trained import Trained, trained


def assert_three_micro_batches(
    of_two: Trained, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Record three micro-batches as they run, and compare with what the program says of them."""
    program = of_two.program(strategy, single=False)
    training = of_two.live.training
    assert training is not None
    three = replace(training, accumulate=3)
    of_three = replace(of_two, live=replace(of_two.live, training=three))
    monkeypatch.setattr(train_step, "RECORDED", 3)
    step = of_three.step(strategy, False, program, 1002)
    step.assert_same_order()
    assert peak_bytes(step.calls) == step.recorder.peak_bytes


@pytest.mark.parametrize("strategy", ["looped", "grouped"])
def test_a_mixture_gives_the_recorded_stream(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_two = trained("mixture", accumulate=2)
    for step in of_two.steps(strategy, single=False):
        step.assert_same_order()
        assert peak_bytes(step.calls) == step.recorder.peak_bytes
    assert_three_micro_batches(of_two, strategy, monkeypatch)


@pytest.mark.parametrize("strategy", ["compacted", "wait"])
def test_so_do_blocks_that_gates_skip(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block's weights have no gradient yet where no row took it."""
    assert_three_micro_batches(trained("skips-in-a-row", accumulate=2), strategy, monkeypatch)
