"""Steps in executed order: those that enter the same scopes are played together."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.lower import lower
from condsim.lowered import Lowered
from condsim.predict.choose import choose_strategies, program_of
from condsim.resources import resource
from condsim.steps.rebatch import rebatch, site_rules


def lowered(name: str) -> Lowered:
    """Eight steps of a shipped trace."""
    trace = condsim.load(resource("traces") / name)
    strategies = choose_strategies(trace, None)
    cut = rebatch(trace, batch=3, phase="prefill")
    program = program_of(trace, strategies, cut.regime)
    return lower(program, site_rules(trace), strategies, cut.steps.take(slice(0, 8)))


@pytest.mark.parametrize("name", ["moe-bytes", "skip-fashion"])
def test_steps_are_played_together_as_each_is_alone(name: str) -> None:
    program = lowered(name)
    seen = []
    for together in program.played_alike():
        for place, step in enumerate(together.numbers.tolist()):
            alone = program.played(step)
            np.testing.assert_array_equal(alone.scopes, together.scopes)
            np.testing.assert_array_equal(alone.calls[0], together.calls[place])
            assert alone.order is together.order
            seen.append(step)
    assert sorted(seen) == list(range(8))


def test_a_scope_is_entered_after_the_one_around_it_and_choices_in_their_order() -> None:
    program = lowered("moe-bytes")
    played = program.played(5)
    met = set()
    last_choice: dict[tuple[int, int, int], int] = {}
    for scope, call in zip(played.scopes.tolist(), played.calls[0].tolist(), strict=True):
        calls = program.scopes[scope]
        assert calls.step[call] == 5
        around = (calls.parent, int(calls.parent_call[call]))
        assert calls.parent < 0 or around in met
        met.add((scope, call))
        loop = (*around, calls.placed.loop)
        assert int(calls.choice[call]) >= last_choice.get(loop, -1)
        last_choice[loop] = int(calls.choice[call])
