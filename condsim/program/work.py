"""What each operator computes: shapes → sizes of the matmul inside, and FLOPs.

One registry, one short function an operator. The functions take shapes whose entries are ints or
int arrays [n] (n: rows of a table), and return `Work` of the same form. FLOPs count a multiply and
an add as two. An operator that is not registered moves its inputs and outputs and computes nothing
of note.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.program import elements
from condsim.program.einsum import contractions
from condsim.registry import Registry

Shape = tuple[Any, ...]
Params = tuple[int, ...]

GROUPED = ("_grouped_mm", "fused_moe_mm", "trtllm_gen_mm", "grouped_mm_fallback")
"""Operators that multiply the rows of all experts of a site at once."""
MATMULS = ("linear", "bmm", "grouped_mm", "conv2d", "attention")
"""Families of operators that are matmuls."""


@dataclass(frozen=True)
class Work:
    """The matmul inside an operator: `groups` products of [m, k] and [k, n].

    family: which matmul it is, one of `MATMULS`; of any other operator its own name.
    m, n, k: sizes of the product; 0 where there is none.
    groups: number of products; of a grouped matmul the number of weights, which share the m rows.
    flops: a multiply and an add count two.
    """

    family: str
    m: Any = 0
    n: Any = 0
    k: Any = 0
    groups: Any = 1
    flops: Any = 0

    def at(self, rows: slice | np.ndarray) -> Work:
        """Return the work of some rows of the table; a number is the same for all."""
        sizes = [self.m, self.n, self.k, self.groups, self.flops]
        chosen = [size[rows] if np.ndim(size) else size for size in sizes]
        return Work(self.family, *chosen)


Formula = Callable[[list[Shape], list[Shape], Params], Work]
OPERATORS: Registry[Formula] = Registry("operator")


def work(name: str, inputs: list[Shape], outputs: list[Shape], params: Params = ()) -> Work:
    """The work of one operator.

    name: as recorded. inputs, outputs: shapes. params: what else its formula needs, such as a
    stride; see `condsim.program.Op`.
    Raises CondsimError for tensors that the operator could not have.
    """
    known = name if name in OPERATORS else out_of_place(name)
    if known not in OPERATORS:
        return Work(known)
    try:
        return OPERATORS[known](inputs, outputs, params)
    except (IndexError, ValueError, TypeError, ArithmeticError) as error:
        dims = [len(shape) for shape in (*inputs, *outputs)]
        raise CondsimError(
            f"operator {name} cannot have {len(inputs)} inputs and {len(outputs)} outputs of "
            f"{dims} dimensions and these sizes ({error})"
        ) from error


WITHOUT_FORMULA = (
    *("_convolution", "_fft_", "_linalg_", "_weight_int4pack_mm", "cholesky", "convolution"),
    *("fft_", "istft", "linalg_", "lu_solve", "matrix_exp", "matrix_power", "stft"),
    *("triangular_solve",),
)
"""How the names of operators begin that multiply much, and that have no formula here."""


def has_formula(name: str) -> bool:
    """Whether FLOPs of an operator, or of the one that it is in place, are counted."""
    return name in OPERATORS or out_of_place(name) in OPERATORS


def is_uncounted(name: str) -> bool:
    """Whether an operator of PyTorch computes something of note that has no formula."""
    return name.startswith(WITHOUT_FORMULA) and not has_formula(name)


def out_of_place(name: str) -> str:
    """The name of the operator that does the same without overwriting its input: add_ → add.

    A name that begins with an underscore (`__and__`) is kept.
    """
    return name if name.startswith("_") else name.rstrip("_")


@OPERATORS.register("linear")
def linear(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [..., k] times w [n, k] transposed."""
    x, w = inputs[:2]
    m = elements(x[:-1])
    n, k = w[:2]
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("two_four_linear")
def two_four_linear(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [..., k] times w [n, k] transposed, one of them 2:4 sparse: half the depth is multiplied.

    params: (which input is sparse,): 0 = x, 1 = w. Of each four of its k in a row two are zero.
    """
    x, w = inputs[:2]
    m = elements(x[:-1])
    n, k = w[:2]
    flops = m * n * k
    return Work("linear", m, n, k / 2, flops=flops)


@OPERATORS.register("linear_dynamic", "linear_relu_dynamic", "linear_dynamic_fp16")
def quantised_linear(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """x [..., k] times weights that are packed into an object, to [..., n]."""
    return _rows_times(inputs[0], outputs[0][-1])


def _rows_times(x: Shape, n: Any) -> Work:
    """x [..., k] times [k, n]."""
    m = elements(x[:-1])
    k = x[-1]
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("mm", "_int_mm", "_scaled_mm")
def mm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[m, k] times [k, n]."""
    return _plain_product(inputs[0], inputs[1])


@OPERATORS.register("addmm", "_addmm_activation")
def addmm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """bias + [m, k] times [k, n]."""
    return _plain_product(inputs[1], inputs[2])


def _plain_product(left: Shape, right: Shape) -> Work:
    m, k = left
    n = right[1]
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("mv")
def mv(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[m, k] times [k]."""
    return _rows_times(inputs[0], 1)


@OPERATORS.register("addmv")
def addmv(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """bias + [m, k] times [k]."""
    return _rows_times(inputs[1], 1)


@OPERATORS.register("dot", "vdot")
def dot(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[k] times [k]."""
    return _rows_times(inputs[0], 1)


@OPERATORS.register("csr_mm")
def sparse_rows_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Compressed sparse rows [n, k], in their three parts, times [k, m]."""
    return _of_values("csr_mm", inputs, inputs[3][1], outputs[0][0])


@OPERATORS.register("csc_mm")
def sparse_columns_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Compressed sparse columns [n, k], in their three parts, times [k, m]."""
    return _of_values("csc_mm", inputs, inputs[3][1], outputs[0][0])


@OPERATORS.register("csr_sparse_sampled_addmm")
def sampled_product(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[n, m] times [m, k] where compressed sparse rows [n, k], in three parts, have values."""
    return _of_values("csr_sparse_sampled_addmm", inputs, inputs[3][1], inputs[3][0])


def _of_values(family: str, inputs: list[Shape], m: Any, n: Any) -> Work:
    """A product that multiplies each value of a sparse matrix m times. n: rows of the result."""
    values = inputs[2][0]
    return Work(family, m, n, values / n, flops=2 * values * m)


@OPERATORS.register("bmm")
def bmm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[groups, m, k] times [groups, k, n]."""
    return _stacked_product(inputs[0], inputs[1])


@OPERATORS.register("baddbmm", "addbmm")
def baddbmm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """bias + [groups, m, k] times [groups, k, n]."""
    return _stacked_product(inputs[1], inputs[2])


def _stacked_product(left: Shape, right: Shape) -> Work:
    groups, m, k = left
    n = right[2]
    flops = 2 * groups * m * n * k
    return Work("bmm", m, n, k, groups, flops)


@OPERATORS.register("cdist", "_cdist_forward")
def cdist(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Distances of [..., m, k] and [..., n, k], which are products of them."""
    left, right = inputs[:2]
    groups = elements(outputs[0][:-2])
    m, k = left[-2:]
    n = right[-2]
    flops = 2 * groups * m * n * k
    return Work("bmm", m, n, k, groups, flops)


@OPERATORS.register("matmul")
def matmul(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """The general product: a linear layer of a matrix or vector on the right, else a bmm."""
    left, right = inputs[:2]
    k = left[-1]
    if len(right) > 2:
        in_front = -2 if len(left) > 1 else -1
        groups = elements(outputs[0][:in_front])
        m = left[-2] if len(left) > 1 else 1
        n = right[-1]
        flops = 2 * groups * m * n * k
        return Work("bmm", m, n, k, groups, flops)
    m = elements(left[:-1])
    n = right[-1] if len(right) > 1 else 1
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("_grouped_mm", "grouped_mm_fallback")
def grouped_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """x [m, k] in ragged groups times w [groups, k, n]; every row is in one group.

    Of two matrices [m, rows] and [rows, n] the rows are in groups: the gradients of weights.
    """
    if len(inputs[1]) == 2:
        return _ragged_depth(inputs, outputs)
    m, k = inputs[0]
    groups, _, n = inputs[1]
    flops = 2 * m * n * k
    return Work("grouped_mm", m, n, k, groups, flops)


def _ragged_depth(inputs: list[Shape], outputs: list[Shape]) -> Work:
    """[m, rows] times [rows, n], a product for the rows of each group."""
    m, rows = inputs[0]
    n = inputs[1][1]
    groups = outputs[0][0]
    flops = 2 * m * rows * n
    return Work("bmm", m, n, np.maximum(rows / groups, 1), groups, flops)


@OPERATORS.register("fused_moe_mm", "trtllm_gen_mm")
def fused_moe_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Rows of x, sorted by expert, times w [groups, n, k] transposed.

    x: [tokens, k], or [tokens * top_k, k]. The result is [tokens * top_k, n].
    """
    m = outputs[0][0]
    groups, n, k = inputs[1]
    flops = 2 * m * n * k
    return Work("grouped_mm", m, n, k, groups, flops)


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


@OPERATORS.register(
    "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable",
)
def attention(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """q [b, h, m, d], k [b, h, n, d], v [b, h, n, dv]: two products a head.

    The half of them that a causal kernel may skip is counted.
    """
    query, key, value = inputs[:3]
    heads = elements(query[:-2])
    m, d = query[-2:]
    n = key[-2]
    dv = value[-1]
    flops = 2 * heads * m * n * (d + dv)
    return Work("attention", m, n, d, heads, flops)


@OPERATORS.register("paged_attention")
def paged_attention(inputs: list[Shape], _outputs: list[Shape], params: Params) -> Work:
    """q [b, h, m, d], keys and values together [b, heads that share them, n, width].

    params: (depth of both products together,). The queries of heads that share keys are the rows of
    one product.
    """
    query, cache = inputs[:2]
    batch, heads, m = query[:3]
    shared, n = cache[1], cache[2]
    depth = params[0]
    rows = heads * m // shared
    groups = batch * shared
    return Work("attention", rows, n, depth, groups, 2 * groups * rows * n * depth)


@OPERATORS.register("causal_attention")
def causal_attention(inputs: list[Shape], outputs: list[Shape], params: Params) -> Work:
    """As `paged_attention`, where a query sees the positions before it only: half of them."""
    whole = paged_attention(inputs, outputs, params)
    return Work("attention", whole.m, whole.n / 2, whole.k, whole.groups, whole.flops // 2)


@OPERATORS.register("_native_multi_head_attention")
def attention_layer(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """q, k, v [b, t, d], and weights of both projections, each before its bias."""
    query, key = inputs[:2]
    return _with_attention(query, key[1], [inputs[3], inputs[5]])


@OPERATORS.register("_transformer_encoder_layer_fwd")
def encoder_layer(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [b, t, d], weights of two projections, two norms, weights of two layers, with biases."""
    x = inputs[0]
    return _with_attention(x, x[1], [inputs[place] for place in (1, 3, 9, 11)])


def _with_attention(x: Shape, keys: Any, weights: list[Shape]) -> Work:
    """Rows of x [b, t, d] times each of the weights, and attention to so many keys.

    It is taken as one product of the same FLOPs.
    """
    m = elements(x[:-1])
    k = x[-1]
    products = sum(elements(weight) for weight in weights)
    flops = 2 * m * products + 4 * m * keys * k
    return Work("linear", m, products / k + 2 * keys, k, flops=flops)


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


@OPERATORS.register("bilinear")
def bilinear(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [..., i], y [..., j], w [n, i, j]: a product with x, and another of the result with y."""
    x, _, w = inputs[:3]
    m = elements(x[:-1])
    n, i, j = w
    flops = 2 * m * n * j * (i + 1)
    return Work("linear", m, n * j, i + 1, flops=flops)


@OPERATORS.register("linalg_vecdot")
def vecdot(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """[..., k] times [..., k], element by element, and summed up."""
    longer = np.maximum(elements(inputs[0]), elements(inputs[1]))
    m = elements(outputs[0])
    return Work("linear", m, 1, longer / np.maximum(m, 1), flops=2 * longer)


@OPERATORS.register("inner", "tensordot")
def tensordot(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Products over dimensions that both inputs have and the result has not."""
    left, right = (elements(shape) for shape in inputs[:2])
    results = elements(outputs[0])
    shared = np.maximum(left, 1.0) * np.maximum(right, 1.0) / np.maximum(results, 1)
    k = _whole(np.sqrt(shared))
    m = left // np.maximum(k, 1)
    n = right // np.maximum(k, 1)
    flops = 2 * results * k
    return Work("linear", m, n, k, flops=flops)


def _whole(value: Any) -> Any:
    """The nearest whole number, int or int array."""
    whole = np.rint(value).astype(np.int64)
    return whole if np.ndim(value) else int(whole)


@OPERATORS.register("linalg_multi_dot", "chain_matmul")
def chain(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """Matrices one after the other, in the order of the fewest FLOPs."""
    first, last = inputs[0], inputs[-1]
    sizes = [first[0] if len(first) > 1 else 1]
    sizes += [shape[0] for shape in inputs[1:]]
    sizes.append(last[1] if len(last) > 1 else 1)
    fewest: dict[tuple[int, int], Any] = {(i, i): 0 for i in range(len(inputs))}
    for length in range(1, len(inputs)):
        for i in range(len(inputs) - length):
            j = i + length
            ways = []
            for cut in range(i, j):
                last_product = 2 * sizes[i] * sizes[cut + 1] * sizes[j + 1]
                ways.append(fewest[i, cut] + fewest[cut + 1, j] + last_product)
            fewest[i, j] = functools.reduce(np.minimum, ways)
    flops = fewest[0, len(inputs) - 1]
    m, k = sizes[:2]
    return Work("linear", m, flops / np.maximum(2 * m * k, 1), k, flops=flops)


@OPERATORS.register("einsum")
def einsum(inputs: list[Shape], outputs: list[Shape], params: Params) -> Work:
    """Products of two inputs after another, from the left.

    params: the characters of the equation as numbers; none in traces of before, whose product is
    taken to be over the last dimension of the first input.
    """
    if not params:
        k = inputs[0][-1]
        n = elements(outputs[0])
        flops = 2 * n * k
        return Work("bmm", 1, n, k, flops=flops)
    products = contractions("".join(map(chr, params)), inputs)
    flops = sum(2 * p.groups * p.m * p.n * p.k for p in products)
    if not products:
        return Work("einsum")
    first = products[0]
    of_first = 2 * first.groups * first.m * first.k
    return Work("bmm", first.m, flops / np.maximum(of_first, 1), first.k, first.groups, flops)


def even_rows(rows: Any, groups: int) -> np.ndarray:
    """Rows of each group where rows are spread as evenly as can be, int [groups] or [n, groups].

    rows: of all groups together, int or int array [n].
    """
    together = np.asarray(rows)[..., None]
    gets_one_more = np.arange(groups) < together % groups
    even: np.ndarray = together // groups + gets_one_more
    return even
