"""Of each four activations in a row the two largest are kept, so that the second product of a feed-forward runs on 2:4 sparse tensor cores.

All blocks run; the mask's result is what is made 2:4. Which blocks were asked for does not matter, only that most activations are zero anyway.
Source: Haziza et al., "Accelerating Transformer inference and training with 2:4 activation sparsity", 2025 (arXiv 2503.16672).
"""

from __future__ import annotations

from dataclasses import replace

from condsim.errors import CondsimError
from condsim.program import Loop, Op, Program, Scope
from condsim.strategies import Guard, Rows, rows_that_run, strategy

ACTIVATIONS, WEIGHTS = (0,), (1,)
"""params of `two_four_linear`: which operand is sparse."""


def rewritten(program: Program) -> Program:
    """A captured program of `masked` whose last linear layer behind each guard takes 2:4 activations.

    Raises CondsimError where a guard has no linear layer after its first.
    """
    return replace(program, strategy="two_four", root=_scope(program.root, ""))


def sparse_weights(op: Op) -> Op:
    """A linear layer whose weights are 2:4."""
    return replace(op, name="two_four_linear", params=WEIGHTS)


def _scope(scope: Scope, site: str) -> Scope:
    nodes: list[Op | Loop] = [
        Loop(n.site, n.choices, {key: _scope(body, n.site) for key, body in n.bodies.items()})
        if isinstance(n, Loop)
        else n
        for n in scope.nodes
    ]
    if site and nodes:
        linear = [
            i
            for i, n in enumerate(nodes)
            if isinstance(n, Op) and n.name == "linear" and not n.role
        ]
        if len(linear) < 2:
            raise CondsimError(
                f"site {site!r} has no second linear layer, whose input strategy two_four would make 2:4"
            )
        last = nodes[linear[-1]]
        assert isinstance(last, Op)
        nodes[linear[-1]] = replace(last, name="two_four_linear", params=ACTIVATIONS)
    return Scope(tuple(nodes), scope.frees)


@strategy(
    "two_four",
    "sparse_activation",
    kinds=("gpu",),
    runs={"sparse_activation": "masked"},
    rewrites=rewritten,
    changes="two of each four activations are dropped, so outputs differ from the model's",
)
def two_four(guard: Guard) -> Rows:
    """All blocks."""
    return rows_that_run("masked", guard)
