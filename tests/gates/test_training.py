"""Gates of training steps: at sizes and decisions that nothing was fitted to, the program gives
the recorded stream, operator by operator, and the bytes that lived at once.

Forward, backward and optimizer, with zero tolerance.
"""

from __future__ import annotations

import pytest

from condsim.predict.peak_memory import peak_bytes
from gates.models import case
from gates.trained import trained

MIXTURE = ("looped", "grouped", "batched", "padded", "same-params", "same-flops")


@pytest.mark.parametrize("strategy", MIXTURE)
def test_a_mixture_gives_the_recorded_stream(strategy: str) -> None:
    for pair in trained("mixtral").pairs(strategy):
        pair.assert_same_order()
        assert peak_bytes(pair.calls) == pair.recorder.peak_bytes


def test_every_size_of_a_mixture_fits_a_form() -> None:
    programs = trained("mixtral").trace.programs
    assert {key: program.flagged for key, program in programs.items() if program.flagged} == {}


@pytest.mark.parametrize("strategy", ["compacted", "masked", "wait", "same-params", "same-flops"])
def test_skipped_layers_give_the_recorded_stream(strategy: str) -> None:
    for pair in trained("stranger-skips").pairs(strategy):
        pair.assert_same_order()


def test_nested_guards_give_the_recorded_stream() -> None:
    """An exit, behind it a skipped block and experts that are modules of their own."""
    nested = trained("marked")
    compacted = next(name for name in nested.assignments if name.count("compacted") == 2)
    for strategy in (compacted, "same-params"):
        for pair in nested.pairs(strategy):
            pair.assert_same_order()
            assert peak_bytes(pair.calls) == pair.recorder.peak_bytes


def test_the_models_are_as_before() -> None:
    for name in ("mixtral", "stranger-skips", "marked"):
        trained(name)
        assert all(weight.grad is None for weight in case(name).model.parameters())
