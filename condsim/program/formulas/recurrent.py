"""What recurrent cells and layers compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.program import elements
from condsim.program.work import OPERATORS, Params, Shape, Work


@OPERATORS.register("gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def recurrent_cell(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [..., i] and h [..., h] times weights [gates * h, i] and [gates * h, h]."""
    x, _, *weights = inputs
    return _recurrent(x, weights[:2], elements(x[:-1]))


@OPERATORS.register("lstm_cell")
def lstm_cell(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """As another cell, with two states."""
    x, _, _, *weights = inputs
    return _recurrent(x, weights[:2], elements(x[:-1]))


@OPERATORS.register("gru", "lstm", "rnn_relu", "rnn_tanh")
def recurrent_layers(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [..., i] a step after another: every row times all weights, of all layers and directions.

    The first three-dimensional input after x is the state [layers, units, h].
    """
    x, *rest = inputs
    weights = [shape for shape in rest if len(shape) == 2]
    states = [shape for shape in rest if len(shape) == 3]
    units = states[0][1] if states else 1
    return _recurrent(x, weights, units)


def _recurrent(x: Shape, weights: list[Shape], units: Any) -> Work:
    """Rows of x, so many units at a time, times each of the weights."""
    rows = elements(x[:-1])
    k = x[-1]
    products = sum(elements(weight) for weight in weights)
    steps = rows / np.maximum(units, 1)
    flops = 2 * rows * products
    return Work("bmm", units, products / k, k, steps, flops)
