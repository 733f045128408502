"""Recurrent cells and layers."""

from __future__ import annotations

from condsim.program.work import work

UNITS, STEPS, INPUTS, HIDDEN = 4, 10, 32, 64
GATES = 4 * HIDDEN


def test_a_layer_is_a_cell_a_step() -> None:
    x, state = (UNITS, INPUTS), (UNITS, HIDDEN)
    weights = [(GATES, INPUTS), (GATES, HIDDEN)]
    cell = work("lstm_cell", [x, state, state, *weights], [state, state])
    assert cell.flops == 2 * UNITS * GATES * (INPUTS + HIDDEN)
    states = (1, UNITS, HIDDEN)
    layer = work(
        "lstm", [(STEPS, UNITS, INPUTS), states, states, *weights], [(STEPS, UNITS, HIDDEN)]
    )
    assert layer.flops == STEPS * cell.flops
    assert (layer.m, layer.groups) == (UNITS, STEPS)
