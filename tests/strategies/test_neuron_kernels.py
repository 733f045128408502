"""Products that read picked neurons where they lie: no copies of weights, no wait of the host."""

from __future__ import annotations

import condsim
from condsim.program import Loop, Op, Program
from condsim.resources import resource
from condsim.strategies.neuron_kernels import rewritten

NAME = "sparse-bytes"


def operators(program: Program) -> list[Op]:
    """Those behind guards that cost something."""
    found = []
    for loop in program.root.nodes:
        if isinstance(loop, Loop):
            for body in loop.bodies.values():
                found += [node for node in body.nodes if isinstance(node, Op) and not node.view]
    return found


def test_copies_of_weights_are_gone_and_products_stay() -> None:
    program = condsim.load(resource("traces") / NAME).programs["gathered/prefill-n"]
    before, after = operators(program), operators(rewritten(program))
    assert [op for op in before if op.name == "index_select" and op.inputs[0].weight]
    assert not [op for op in after if op.name == "index_select" and op.inputs[0].weight]
    assert not any(op.sync for op in after)
    products = [op for op in before if op.name == "linear"]
    assert [op for op in after if op.name == "linear"] == products


def test_a_graph_can_hold_it_and_it_is_no_slower_than_copies() -> None:
    trace = condsim.load(resource("traces") / NAME)
    gpu = "nvidia-h100-sxm"
    kept = condsim.simulate(trace, gpu, "neuron_kernels", runtime="eager")
    copied = condsim.simulate(trace, gpu, "gathered", runtime="eager")
    assert kept.latency_s < copied.latency_s
    assert condsim.simulate(trace, gpu, "neuron_kernels", runtime="cuda_graphs").latency_s > 0
