"""Products that read only the neurons that some row asks for, where they lie.

A kernel looks a block's weights up by its number, so that no smaller matrix is copied and the host
learns nothing: a graph can hold it. A row's neurons that others asked for are computed, too, and
set to zero. How near such kernels come to a library's products was not measured.
Source: Song et al., 2023, "PowerInfer", section 5.4 (neuron-aware operators); Liu et al., 2023,
"Deja Vu", section 4 (indexing fused into the product).
"""

from __future__ import annotations

from dataclasses import replace

from condsim.hardware import abilities
from condsim.mechanisms import Guards, Rows
from condsim.program import Loop, Op, Program, Scope
from condsim.program.operators import looks_up_rows
from condsim.program.rewrite import absorbed
from condsim.strategies.alone import gathered
from condsim.strategies.strategy import BLOCKS, strategy

NUMBERS = "nonzero"
"""The operator that tells the host how many blocks there are."""


def rewritten(program: Program) -> Program:
    """Return a captured program of `gathered` without its copies of weights."""
    return replace(program, strategy="neuron_kernels", root=_rewritten_scope(program.root))


def _rewritten_scope(scope: Scope) -> Scope:
    nodes: list[Op | Loop] = []
    for node in scope.nodes:
        if isinstance(node, Loop):
            bodies = {key: _without_copies(body) for key, body in node.bodies.items()}
            node = Loop(node.site, node.choices, bodies)
        nodes.append(node)
    return Scope(tuple(nodes), scope.frees)


def _without_copies(scope: Scope) -> Scope:
    nodes: list[Op | Loop] = []
    for node in scope.nodes:
        gone = isinstance(node, Op) and (node.name == NUMBERS or _copies_weights(node))
        nodes.append(absorbed(node) if gone and isinstance(node, Op) else node)
    return Scope(tuple(nodes), scope.frees)


def _copies_weights(op: Op) -> bool:
    return looks_up_rows(op.name) and bool(op.inputs[0].weight)


@strategy(
    "neuron_kernels",
    BLOCKS,
    needs=(abilities.CUDA,),
    runs={BLOCKS: "gathered"},
    rewrites=rewritten,
)
def neuron_kernels(guards: Guards) -> Rows:
    """The union of the blocks that rows ask for."""
    return gathered(guards)
