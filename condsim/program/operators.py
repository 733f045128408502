"""All that is known of each operator, in one table; what it computes is in `condsim.program.work`.

An operator that the table does not have stands alone: no compiler joins it, its time follows its
largest tensor, and nobody else's measured time or code answers for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from condsim.program import elements
from condsim.program.formulas.gradients import ATTENTION_PRODUCTS as ATTENTION_PRODUCTS
from condsim.program.work import (
    GROUPED,
    MATMULS,
    OPERATORS,
    Formula,
    Shape,
    Work,
    out_of_place,
    work,
)
from condsim.registry import Registry

__all__ = [
    "FACTS",
    "GROUPED",
    "MATMULS",
    "OPERATORS",
    "Facts",
    "Formula",
    "Shape",
    "Work",
    "called",
    "extent",
    "facts",
    "fuses_elementwise",
    "is_epilogue",
    "is_product",
    "looks_up_rows",
    "out_of_place",
    "reduces",
    "reduces_inward",
    "strides_recorded",
    "synchronises",
    "takes_rows",
    "work",
]

Extent = tuple[Any, Any]
"""(elements, length of one row of them); ints or int arrays [n]."""


# What the time of an operator follows.


def of_largest(inputs: list[Shape], outputs: list[Shape]) -> Extent:
    """The largest tensor, in rows as long as those of the first input."""
    shapes = [*inputs, *outputs] or [()]
    count: Any = 0
    for shape in shapes:
        size = elements(shape)
        if isinstance(count, np.ndarray) or isinstance(size, np.ndarray):
            count = np.maximum(count, size)
        else:
            count = max(count, size)
    return count, _last(shapes[0])


def of_input(inputs: list[Shape], outputs: list[Shape]) -> Extent:
    """The first input."""
    if not inputs:
        return of_result(inputs, outputs)
    return elements(inputs[0]), _last(inputs[0])


def of_result(_inputs: list[Shape], outputs: list[Shape]) -> Extent:
    """The first result."""
    if not outputs:
        return 1, 1
    return elements(outputs[0]), _last(outputs[0])


def of_source(inputs: list[Shape], outputs: list[Shape]) -> Extent:
    """The last input: what is written into the first one."""
    if not inputs:
        return of_result(inputs, outputs)
    return elements(inputs[-1]), _last(inputs[-1])


def of_all(inputs: list[Shape], outputs: list[Shape]) -> Extent:
    """All inputs together, as of an operator that goes over many weights."""
    if not inputs:
        return of_result(inputs, outputs)
    count: Any = 0
    for shape in inputs:
        count = count + elements(shape)
    return count, _last(inputs[0])


def of_taken(inputs: list[Shape], outputs: list[Shape]) -> Extent:
    """The result, in rows of as many elements as one index takes."""
    if len(inputs) < 2 or not outputs:
        return of_result(inputs, outputs)
    count = elements(outputs[0])
    indices = np.maximum(elements(inputs[1]), 1)
    return count, count / indices


def of_reduced(inputs: list[Shape], outputs: list[Shape]) -> Extent:
    """The first input, in rows of as many elements as become one."""
    if not inputs or not outputs:
        return of_input(inputs, outputs)
    count = elements(inputs[0])
    results = np.maximum(elements(outputs[0]), 1)
    return count, count / results


def _last(shape: Shape) -> Any:
    return shape[-1] if shape else 1


# The table.

Fuses = Literal["alone", "elementwise", "inward", "product", "lookup"]
Access = Literal["in order", "takes rows", "puts rows", "by column"]


@dataclass(frozen=True)
class Facts:
    """What is known of an operator.

    strides_recorded: it goes over its operands element by element, and traces tell how these lie in
        memory; its time depends on that.
    fuses: what a compiler makes of it. An "elementwise" one joins the kernel before it; an "inward"
        one (a normalisation or a reduction) does, unless that kernel is a product; a "product"
        begins a kernel; a "lookup" is done by the kernel that reads its result.
    epilogue: a library's product comes with it.
    extent: the elements that its time follows.
    curve: the operator whose measured times answer for it, since it runs the same kind of kernel.
    code: the operator whose code it runs.
    access: how it goes over memory: takes rows that indices name, or puts rows there.
    one_thread_block: on a GPU one thread block does all of it.
    synchronises: the host waits for its result.
    operands: of a product, the inputs that its rows are multiplied with.
    """

    strides_recorded: bool = False
    fuses: Fuses = "alone"
    epilogue: bool = False
    extent: Callable[[list[Shape], list[Shape]], Extent] = of_largest
    curve: str = ""
    code: str = ""
    access: Access = "in order"
    one_thread_block: bool = False
    synchronises: bool = False
    operands: tuple[int, ...] = (1,)


FACTS: Registry[Facts] = Registry("operator")

# Element by element, strides recorded and fused by compilers.

FACTS.register("abs", "cos", "elu", "exp", "gelu", "log", "neg", "rsqrt", "silu", "sin")(
    Facts(strides_recorded=True, fuses="elementwise")
)
FACTS.register("add", "leaky_relu", "relu", "sigmoid", "tanh")(
    Facts(strides_recorded=True, fuses="elementwise", epilogue=True)
)
FACTS.register("bitwise_and", "bitwise_not", "bitwise_or", "clamp", "div", "eq", "ge", "gt", "le")(
    Facts(strides_recorded=True, fuses="elementwise")
)
FACTS.register("lt", "mul", "ne", "pow", "rsub", "softplus", "sqrt", "sub")(
    Facts(strides_recorded=True, fuses="elementwise")
)
FACTS.register("__and__", "logical_and")(
    Facts(strides_recorded=True, fuses="elementwise", curve="bitwise_and")
)
FACTS.register("__or__", "logical_or")(
    Facts(strides_recorded=True, fuses="elementwise", curve="bitwise_or")
)
FACTS.register("logical_not")(
    Facts(strides_recorded=True, fuses="elementwise", curve="bitwise_not")
)
FACTS.register("clamp_max", "clamp_min", "hardtanh")(
    Facts(strides_recorded=True, fuses="elementwise", curve="clamp")
)
FACTS.register("floor_divide", "reciprocal")(
    Facts(strides_recorded=True, fuses="elementwise", curve="div")
)
FACTS.register("maximum", "minimum", "square")(
    Facts(strides_recorded=True, fuses="elementwise", curve="mul")
)
FACTS.register("floor")(Facts(strides_recorded=True, fuses="elementwise", curve="neg"))

# Element by element, strides recorded, not known to be fused.

FACTS.register("bitwise_xor")(Facts(strides_recorded=True))
FACTS.register("ceil")(Facts(strides_recorded=True, curve="neg"))
FACTS.register("remainder")(Facts(strides_recorded=True, curve="div"))

# Element by element, fused by compilers, strides not recorded.

FACTS.register("clone", "copy", "dropout", "erf", "masked_fill", "mish", "relu6", "round")(
    Facts(fuses="elementwise")
)
FACTS.register("sign", "to", "tril", "triu", "where")(Facts(fuses="elementwise"))
FACTS.register("hardswish")(Facts(fuses="elementwise", epilogue=True))
FACTS.register("batch_norm")(Facts(fuses="elementwise", epilogue=True, extent=of_input))
FACTS.register("divide")(Facts(fuses="elementwise", curve="div"))
FACTS.register("greater")(Facts(fuses="elementwise", curve="gt", code="gt"))
FACTS.register("greater_equal")(Facts(fuses="elementwise", curve="ge"))
FACTS.register("less")(Facts(fuses="elementwise", curve="lt", code="lt"))
FACTS.register("less_equal")(Facts(fuses="elementwise", curve="le"))
FACTS.register("multiply")(Facts(fuses="elementwise", curve="mul"))
FACTS.register("not_equal")(Facts(fuses="elementwise", curve="ne"))
FACTS.register("subtract")(Facts(fuses="elementwise", curve="sub"))
FACTS.register("_to_copy")(Facts(fuses="elementwise", curve="to", code="to"))

# Normalisations and reductions.

FACTS.register("group_norm", "layer_norm", "rms_norm", "log_softmax", "softmax")(
    Facts(fuses="inward", extent=of_input)
)
FACTS.register("adaptive_avg_pool2d")(Facts(fuses="inward", extent=of_input))
FACTS.register("native_layer_norm")(Facts(fuses="inward", curve="layer_norm"))
FACTS.register("_log_softmax")(Facts(fuses="inward", extent=of_input, curve="log_softmax"))
FACTS.register("_softmax")(Facts(fuses="inward", extent=of_input, curve="softmax"))
FACTS.register("amax", "any", "argmax", "max", "mean", "prod", "std", "sum", "var")(
    Facts(fuses="inward", extent=of_reduced)
)
FACTS.register("all")(Facts(fuses="inward", extent=of_reduced, curve="any"))
FACTS.register("amin")(Facts(fuses="inward", extent=of_reduced, curve="amax"))
FACTS.register("argmin")(Facts(fuses="inward", extent=of_reduced, curve="argmax"))
FACTS.register("min")(Facts(fuses="inward", extent=of_reduced, curve="max"))

# Products.

FACTS.register("bmm", "conv2d", "linear", "matmul", "mm")(Facts(fuses="product"))
FACTS.register("conv1d", "conv3d", "mv")(Facts(fuses="product"))
FACTS.register("addbmm", "baddbmm")(Facts(fuses="product", operands=(2,)))
FACTS.register("addmm")(Facts(fuses="product", code="linear.bias", operands=(2,)))
FACTS.register("_addmm_activation", "addmv")(Facts(operands=(2,)))
FACTS.register("_grouped_mm")(Facts(code="grouped_mm"))
FACTS.register("scaled_dot_product_attention")(Facts(code="attention", operands=(1, 2)))
FACTS.register(
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable",
)(Facts(operands=(1, 2)))

# Rows that indices name.

FACTS.register("index", "index_select")(Facts(fuses="lookup", extent=of_taken, access="takes rows"))
FACTS.register("embedding")(Facts(extent=of_taken, access="takes rows"))
FACTS.register("gather")(Facts(extent=of_result, access="takes rows"))
FACTS.register("_unsafe_index")(Facts(curve="index"))
FACTS.register("index_add_", "index_copy_", "index_put_", "scatter_", "scatter_add_")(
    Facts(extent=of_source, access="puts rows")
)
FACTS.register("index_put")(Facts(extent=of_source, curve="index_put_", access="puts rows"))
FACTS.register("scatter")(Facts(curve="scatter_"))
FACTS.register("copy_")(Facts(extent=of_source))
FACTS.register("transposed")(Facts(access="by column"))
FACTS.register("moe_align_block_size")(Facts(one_thread_block=True))

# New tensors, and tensors put together.

FACTS.register("cat", "one_hot", "repeat_interleave", "take_along_dim")(Facts(extent=of_result))
FACTS.register("stack")(Facts(extent=of_result, curve="cat", code="cat"))
FACTS.register("concat")(Facts(curve="cat", code="cat"))
FACTS.register("constant_pad_nd")(Facts(curve="pad"))
FACTS.register("empty")(Facts(curve="empty_like"))
FACTS.register("new_full")(Facts(curve="new_zeros"))
FACTS.register("new_ones")(Facts(curve="new_zeros", code="new_zeros"))
FACTS.register("ones_like")(Facts(curve="zeros_like"))

# Others that go over their input.

FACTS.register("avg_pool2d", "cumsum", "histc", "max_pool2d", "sort", "topk")(
    Facts(extent=of_input)
)
FACTS.register("argsort")(Facts(extent=of_input, curve="sort"))

# The host waits for their result, or for the size of it.

FACTS.register("_unique2", "equal", "is_nonzero", "item", "masked_select", "tolist", "unique")(
    Facts(synchronises=True)
)
FACTS.register("_local_scalar_dense")(Facts(curve="item", code="item", synchronises=True))
FACTS.register("bool")(Facts(curve="item"))
FACTS.register("nonzero")(Facts(extent=of_input, synchronises=True))
FACTS.register("where1")(Facts(code="nonzero"))

# Of a training step: gradients, and updates of weights.

FACTS.register("convolution")(Facts(fuses="product", curve="conv2d"))
FACTS.register("gelu_backward")(Facts(curve="gelu"))
FACTS.register("silu_backward")(Facts(curve="silu"))
FACTS.register("hardtanh_backward", "leaky_relu_backward", "sigmoid_backward")(Facts(curve="mul"))
FACTS.register("tanh_backward", "threshold_backward")(Facts(curve="mul"))
FACTS.register("native_dropout_backward")(Facts(curve="mul"))
FACTS.register("_softmax_backward_data")(Facts(extent=of_input, curve="softmax"))
FACTS.register("_log_softmax_backward_data")(Facts(extent=of_input, curve="log_softmax"))
FACTS.register("native_layer_norm_backward")(Facts(extent=of_input, curve="layer_norm"))
FACTS.register("_fused_rms_norm_backward")(Facts(extent=of_input, curve="rms_norm"))
FACTS.register("native_batch_norm", "native_batch_norm_backward")(
    Facts(extent=of_input, curve="batch_norm")
)
FACTS.register("select_backward", "slice_backward", "embedding_dense_backward")(
    Facts(extent=of_result, curve="zeros_like")
)
FACTS.register("addcmul", "lerp")(Facts(curve="mul"))
FACTS.register("addcdiv")(Facts(curve="div"))
FACTS.register("_fused_adam_", "_fused_adamw_", "_fused_sgd_")(Facts(extent=of_all, curve="mul"))

_NOTHING_KNOWN = Facts()


# Questions.


def facts(name: str) -> Facts:
    """What is known of the operator of exactly this name."""
    if name not in FACTS:
        return _NOTHING_KNOWN
    return FACTS[name]


def called(name: str, inputs: int) -> str:
    """The operator that a recorded name means: `where` of one input is `nonzero`.

    inputs: number of tensors that it reads.
    """
    return "nonzero" if name == "where" and inputs == 1 else name


def strides_recorded(name: str) -> bool:
    """Whether traces record how the operands of an operator, or of its in-place form, lie."""
    return facts(out_of_place(name)).strides_recorded


def fuses_elementwise(name: str) -> bool:
    """Whether compilers join an operator, in place or not, element by element to a kernel."""
    return facts(out_of_place(name)).fuses == "elementwise"


def reduces_inward(name: str) -> bool:
    """Whether compilers join an operator to a kernel as a normalisation or a reduction."""
    return facts(out_of_place(name)).fuses == "inward"


def is_product(name: str) -> bool:
    """Whether compilers take an operator for a product, which begins a kernel or a library runs."""
    return facts(name).fuses == "product"


def is_epilogue(name: str) -> bool:
    """Whether a library's product comes with this operator, in place or not, as its epilogue."""
    return facts(out_of_place(name)).epilogue


def looks_up_rows(name: str) -> bool:
    """Whether a compiled kernel looks up what this operator would copy."""
    return facts(name).fuses == "lookup"


def takes_rows(name: str) -> bool:
    """Whether an operator reads those rows of its first input only that indices name."""
    return facts(name).access == "takes rows"


def reduces(name: str) -> bool:
    """Whether an operator makes one element of many."""
    return facts(out_of_place(name)).extent is of_reduced


def synchronises(name: str, inputs: int) -> bool:
    """Whether the host waits for an operator that reads so many tensors."""
    return facts(called(name, inputs)).synchronises


def extent(name: str, inputs: list[Shape], outputs: list[Shape]) -> Extent:
    """Elements that an operator's time follows, and the length of a row of them.

    inputs, outputs: shapes, entries int or int array [n]. Returns ints, or int arrays [n].
    """
    name = called(name, len(inputs))
    known = name if name in FACTS else out_of_place(name)
    return facts(known).extent(inputs, outputs)
