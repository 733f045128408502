"""Of each four activations in a row the two largest are kept.

The second product of a feed-forward then runs on 2:4 sparse tensor cores. All blocks run; what is
made 2:4 is the mask's result. Which blocks were asked for does not matter, only that most
activations are zero anyway.
Source: Haziza et al., "Accelerating Transformer inference and training with 2:4 activation
sparsity", 2025 (arXiv 2503.16672).
"""

from __future__ import annotations

from dataclasses import replace

from condsim.errors import CondsimError
from condsim.hardware import abilities
from condsim.mechanisms import Guards, Rows
from condsim.program import Loop, Op, Program, Scope
from condsim.strategies.masked import masked
from condsim.strategies.strategy import BLOCKS, strategy

ACTIVATIONS, WEIGHTS = (0,), (1,)
"""params of `two_four_linear`: which operand is sparse."""


def rewritten(program: Program) -> Program:
    """Return a captured program of `masked` whose last linear layer behind each guard takes 2:4
    activations.

    Raises CondsimError where a guard has no linear layer after its first.
    """
    return replace(program, strategy="two_four", root=_rewritten_scope(program.root, ""))


def sparse_weights(op: Op) -> Op:
    """Return a linear layer whose weights are 2:4."""
    return replace(op, name="two_four_linear", params=WEIGHTS)


def _rewritten_scope(scope: Scope, site: str) -> Scope:
    nodes = [_rewritten_node(node) for node in scope.nodes]
    if site and nodes:
        last = _last_linear(nodes, site)
        op = nodes[last]
        assert isinstance(op, Op)
        nodes[last] = replace(op, name="two_four_linear", params=ACTIVATIONS)
    return Scope(tuple(nodes), scope.frees)


def _rewritten_node(node: Op | Loop) -> Op | Loop:
    if isinstance(node, Op):
        return node
    bodies = {}
    for key, body in node.bodies.items():
        bodies[key] = _rewritten_scope(body, node.site)
    return Loop(node.site, node.choices, bodies)


def _last_linear(nodes: list[Op | Loop], site: str) -> int:
    linear = []
    for position, node in enumerate(nodes):
        if isinstance(node, Op) and node.name == "linear" and not node.role:
            linear.append(position)
    if len(linear) < 2:
        raise CondsimError(
            f"site {site!r} has no second linear layer, whose input strategy two_four would make "
            "2:4"
        )
    return linear[-1]


@strategy(
    "two_four",
    BLOCKS,
    needs=(abilities.CUDA,),
    runs={BLOCKS: "masked"},
    rewrites=rewritten,
    changes="two of each four activations are dropped, so outputs differ from the model's",
)
def two_four(guards: Guards) -> Rows:
    """All blocks."""
    return masked(guards)
