"""Gates of training steps: the program gives the recorded stream, and the bytes that lived at once.

Forward, backward and optimizer, at sizes and decisions that nothing was fitted to, with zero
tolerance.
"""

from __future__ import annotations

import functools

import pytest
import torch

from condsim.predict.peak_memory import peak_bytes
from gates.trained import trained

FUSED = functools.partial(torch.optim.Adam, fused=True)
MOMENTUM = functools.partial(torch.optim.SGD, momentum=0.9)


@pytest.mark.parametrize(
    ("strategy", "single"),
    [("looped", True), ("looped", False), ("grouped", False), ("batched", False)],
)
def test_a_mixture_gives_the_recorded_stream(strategy: str, single: bool) -> None:
    for step in trained("mixture").steps(strategy, single):
        step.assert_same_order()
        assert peak_bytes(step.calls) == step.recorder.peak_bytes
        assert step.program.flagged == ()


@pytest.mark.parametrize("baseline", ["same-params", "same-flops"])
def test_so_does_its_dense_baseline(baseline: str) -> None:
    for step in trained("mixture").steps(baseline, single=False):
        step.assert_same_order()
        assert peak_bytes(step.calls) == step.recorder.peak_bytes


@pytest.mark.parametrize("optimizer", [MOMENTUM, FUSED], ids=["momentum", "fused"])
def test_so_do_other_optimizers(optimizer: functools.partial[torch.optim.Optimizer]) -> None:
    for step in trained("mixture", optimizer).steps("grouped", single=False):
        step.assert_same_order()


@pytest.mark.parametrize("strategy", ["compacted", "masked"])
def test_so_do_skipped_layers(strategy: str) -> None:
    for step in trained("stranger-skips").steps(strategy, single=False):
        step.assert_same_order()
        assert peak_bytes(step.calls) == step.recorder.peak_bytes


@pytest.mark.parametrize("strategy", ["wait", "compacted"])
def test_what_several_branches_read_lives_until_the_last_that_ran_is_played_back(
    strategy: str,
) -> None:
    """A block's input is that of the next one, too, where the block is skipped."""
    of_gates = trained("skips-in-a-row")
    program = of_gates.program(strategy, single=False)
    for run in range(8):
        step = of_gates.step(strategy, False, program, run)
        step.assert_same_order()
        assert peak_bytes(step.calls) == step.recorder.peak_bytes


@pytest.mark.slow
@pytest.mark.parametrize("single", [True, False])
def test_so_do_guards_in_guards(single: bool) -> None:
    """An exit, behind it a skipped block and experts that are modules of their own."""
    nested = trained("marked")
    compacted = next(name for name in nested.assignments if name.count("compacted") == 2)
    for strategy in (compacted, "same-params"):
        for step in nested.steps(strategy, single):
            step.assert_same_order()
            assert peak_bytes(step.calls) == step.recorder.peak_bytes
