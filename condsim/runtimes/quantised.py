"""Weights in a narrower dtype than activations: fewer bytes are read, and kept.

The kernels of a product unpack them on the way, so that the arithmetic is that of the activations'
dtype. Scales are counted with the bits. Embeddings, norms, routers and the last product stay as
they are, as in published checkpoints.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from condsim.program import Loop, Op, Program, Scope, Tensor
from condsim.program.operators import is_product
from condsim.program.work import GROUPED
from condsim.registry import Registry


@dataclass(frozen=True)
class WeightDtype:
    """A dtype of weights.

    bits: of a weight, its share of the scales included. experts_only: of a model with experts only
        these are in it. about: how it is laid out, with a source. computes_in: the dtype that its
        products compute in, whose activations a kernel makes before; "": they unpack it.
        scaled_depth: elements of depth whose sum is scaled outside of the tensor cores; 0: none is.
    """

    bits: float
    about: str
    experts_only: bool = False
    computes_in: str = ""
    scaled_depth: int = 0


WEIGHT_DTYPES: Registry[WeightDtype] = Registry("dtype of weights")
WEIGHT_DTYPES.register("fp8")(WeightDtype(8 + 32 / 128**2, "a scale of 32 bits a 128 x 128 block"))
WEIGHT_DTYPES.register("fp8_block")(
    WeightDtype(
        8 + 32 / 128**2,
        "a scale of 32 bits a 128 x 128 block, and activations with one for 128 of a row "
        "(DeepSeek-AI, 2024, DeepSeek-V3, section 3.3)",
        computes_in="fp8",
        scaled_depth=128,
    )
)
WEIGHT_DTYPES.register("int8")(WeightDtype(8, "a scale a channel"))
WEIGHT_DTYPES.register("int4")(
    WeightDtype(4 + (16 + 4) / 128, "a scale and a zero a group of 128, as GPTQ and AWQ")
)
WEIGHT_DTYPES.register("mxfp4")(
    WeightDtype(4 + 8 / 32, "a scale of 8 bits a block of 32 (OCP Microscaling 1.0)", True)
)
WEIGHT_DTYPES.register("mxfp4_mxfp8")(
    WeightDtype(
        4 + 8 / 32,
        "as mxfp4, and activations in 8 bits with the same scales, which tensor cores apply",
        True,
        computes_in="fp8",
    )
)


def quantised(program: Program, dtype: str, sites: Collection[str]) -> Program:
    """Return the program with the weights of its layers' products in another dtype.

    sites: of the model, whose experts' weights have their names in front.
    Raises CondsimError for an unknown dtype.
    """
    only = tuple(f"{site}." for site in sites) if WEIGHT_DTYPES[dtype].experts_only else ()
    return replace(program, root=_scope(program.root, dtype, only))


def _scope(scope: Scope, dtype: str, only: tuple[str, ...]) -> Scope:
    nodes: list[Op | Loop] = []
    for node in scope.nodes:
        if isinstance(node, Loop):
            bodies = {key: _scope(body, dtype, only) for key, body in node.bodies.items()}
            nodes.append(Loop(node.site, node.choices, bodies))
        elif is_quantised(node, only):
            nodes.append(_narrowed(node, dtype))
        else:
            nodes.append(node)
    return Scope(tuple(nodes), scope.frees)


def is_quantised(op: Op, only: tuple[str, ...]) -> bool:
    """Whether an operator is a product with the weights of a layer.

    only: beginnings of the names of weights; empty for all.
    """
    if op.role or op.view or len(op.inputs) < 2:
        return False
    weight = op.inputs[1].weight
    if not weight or (only and not weight.startswith(only)):
        return False
    in_layer = any(part.isdigit() for part in op.module.split("."))
    multiplies = is_product(op.name) or op.name in GROUPED
    return multiplies and in_layer


def _narrowed(op: Op, dtype: str) -> Op:
    rows, weight, *others = op.inputs
    inputs: tuple[Tensor, ...] = (rows, replace(weight, dtype=dtype), *others)
    return replace(op, inputs=inputs)
