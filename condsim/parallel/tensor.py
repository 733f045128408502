"""Tensor parallelism: every rank has all layers, and an equal part of their heads and widths.

A rank's program is that of a model with so many times fewer heads and narrower feed-forwards, and
what ranks add up: after each attention and each feed-forward they reduce the hidden states of all
tokens, after the embedding too, and the logits of the parts of the vocabulary are gathered.
Source: Shoeybi et al., 2019, "Megatron-LM: Training Multi-Billion Parameter Language Models Using
Model Parallelism", sections 3 and 5; it is what vLLM and SGLang run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from condsim.errors import CondsimError
from condsim.parallel.sharding import site_of
from condsim.program import Loop, Op, Program, Tensor
from condsim.program.operators import is_product
from condsim.program.rewrite import inserted

ALL_REDUCE, ALL_GATHER = "all_reduce", "all_gather"
COLLECTIVES = (ALL_REDUCE, ALL_GATHER)
"""Operators of ranks together; params: (ranks,)."""
PART = re.compile(r"(.*\blayers\.\d+)\.([^.]+)")
"""A layer, and one of its parts: attention, or a feed-forward."""
EMBEDDING, HEAD = "embedding", "lm_head"


def with_collectives(program: Program, ranks: int, sites: Iterable[str] = ()) -> Program:
    """Return a rank's program with what ranks do together. program: of a rank's share.

    sites: whose loops stand for experts. Raises CondsimError where no embedding says how wide
    hidden states are.
    """
    nodes = program.root.nodes
    hidden = _hidden(program)
    after: dict[int, Op] = {}
    wanted = tuple(sites)
    for place, module in _last_of_parts(nodes, wanted).items():
        after[place] = _collective(ALL_REDUCE, hidden, ranks, module)
    for place, node in enumerate(nodes):
        if isinstance(node, Op) and node.name == EMBEDDING:
            after[place] = _collective(ALL_REDUCE, hidden, ranks, node.module)
        if isinstance(node, Op) and node.module == HEAD and is_product(node.name):
            part = node.outputs[0]
            whole = replace(part, dims=(*part.dims[:-1], part.dims[-1] * ranks))
            after[place] = _collective(ALL_GATHER, whole, ranks, HEAD)
    return inserted(program, after)


def ranks_of(programs: Iterable[Program]) -> int:
    """Return how many ranks share a model, 1 where its programs are whole."""
    for program in programs:
        for node in program.root.nodes:
            if isinstance(node, Op) and node.name in COLLECTIVES:
                return node.params[0]
    return 1


def _hidden(program: Program) -> Tensor:
    for node in program.root.nodes:
        if isinstance(node, Op) and node.name == EMBEDDING:
            return node.outputs[0]
    raise CondsimError("parallel: tensor: the model has no embedding that says how wide it is")


def _last_of_parts(nodes: tuple[Op | Loop, ...], sites: tuple[str, ...]) -> dict[int, str]:
    """Last node of each part of a layer that multiplies weights → the layer's module."""
    last: dict[tuple[str, str], int] = {}
    multiplies: set[tuple[str, str]] = set()
    for place, node in enumerate(nodes):
        module = node.site if isinstance(node, Loop) else node.module or site_of(node, sites)
        found = PART.match(module)
        if found is None:
            continue
        part = (found[1], found[2])
        last[part] = place
        if isinstance(node, Loop) or _multiplies_weights(node):
            multiplies.add(part)
    return {place: part[0] for part, place in last.items() if part in multiplies}


def _multiplies_weights(op: Op) -> bool:
    return is_product(op.name) and any(tensor.weight for tensor in op.inputs)


def _collective(name: str, whole: Tensor, ranks: int, module: str) -> Op:
    """An operator that changes what is there. whole: of all ranks together."""
    tensor = Tensor(whole.dims, "float")
    return Op(name, (tensor,), (tensor,), (ranks,), module=module)
