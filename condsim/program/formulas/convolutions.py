"""What convolutions compute, as implicit matmuls."""

from __future__ import annotations

from condsim.program import elements
from condsim.program.work import OPERATORS, Params, Shape, Work


@OPERATORS.register("conv1d", "conv2d", "conv3d")
def convolution(inputs: list[Shape], outputs: list[Shape], params: Params) -> Work:
    """A convolution as an implicit matmul.

    m: output positions of all images. n: output channels. k: inputs of one position in its group.
    params: (stride, groups).
    """
    w = inputs[1]
    groups = params[1] if len(params) > 1 else 1
    n = w[0]
    m = elements(outputs[0]) // n
    k = elements(w[1:])
    flops = 2 * m * n * k
    return Work("conv2d", m, n, k, groups, flops)


@OPERATORS.register("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """Each position of the input, [channels], times weights [channels, outputs * kernel]."""
    x, w = inputs[:2]
    k = w[0]
    m = elements(x) // k
    n = elements(w[1:])
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("conv_tbc")
def convolution_over_time(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """x [time, batch, channels], w [width, channels, n]."""
    width, channels, n = inputs[1]
    m = elements(outputs[0][:-1])
    k = width * channels
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)
