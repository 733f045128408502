"""Experts that are modules of their own, as stacked weights: where each is linear, elementwise, linear (gated or not), read from a tape of its forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from condsim.live.expert_forms import ExpertWeights
from condsim.live.lift.tape import Node, Ref, Tape

ELEMENTWISE = frozenset(
    [
        "relu",
        "silu",
        "gelu",
        "sigmoid",
        "tanh",
        "mul",
        "softplus",
        "leaky_relu",
        "elu",
        "hardswish",
        "mish",
        "relu6",
        "clamp",
        "square",
        "pow",
        "add",
        "sub",
        "chunk",
    ],
)
ACTIVATIONS = (
    nn.ReLU,
    nn.SiLU,
    nn.GELU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softplus,
    nn.LeakyReLU,
    nn.ELU,
    nn.Hardswish,
    nn.Mish,
    nn.ReLU6,
    nn.Dropout,
    nn.Identity,
)


def stack(experts: list[nn.Module], x: torch.Tensor) -> ExpertWeights | None:
    """The experts' weights, stacked; None where an expert is anything else. x: a few rows that an expert takes."""
    tapes = [Tape(e, True).run(e.forward, (x,), {}) for e in experts]
    reads = [_read(t) for t in tapes]
    if any(r is None for r in reads) or len({len(r[0]) for r in reads if r}) != 1:
        return None
    found = [r for r in reads if r is not None]
    ups, downs = [[n.module for n in r[0]] for r in found], [r[1].module for r in found]
    if (
        len({m.weight.shape for r in ups for m in r}) != 1
        or len({(m.bias is None) for r in ups for m in r}) != 1
        or len({d.bias is None for d in downs}) != 1
    ):  # type: ignore[union-attr]
        return None

    def joined(get: str) -> torch.Tensor | None:
        parts = [[getattr(m, get) for m in row] for row in ups]
        return (
            None if parts[0][0] is None else torch.stack([torch.cat(row) for row in parts]).detach()
        )

    up = joined("weight")
    assert up is not None
    down_bias = None if downs[0].bias is None else torch.stack([d.bias for d in downs]).detach()  # type: ignore[union-attr,misc]
    return ExpertWeights(
        up,
        torch.stack([d.weight for d in downs]).detach(),
        joined("bias"),
        down_bias,
        _activation(tapes[0], *found[0]),
    )  # type: ignore[union-attr,misc]


def _read(tape: Tape) -> tuple[list[Node], Node] | None:
    """The linear layers that read the input, and the one that gives the result; None for any other structure."""
    ups: list[Node] = []
    for node in tape.nodes[1:]:
        if isinstance(node.module, nn.Linear):
            if node.args[0] == Ref(0):
                ups.append(node)
            elif tape.output == Ref(node.number):
                return (ups, node) if ups else None
            else:
                return None
        elif not isinstance(node.module, ACTIVATIONS) and (
            node.module is not None or node.name not in ELEMENTWISE or Ref(0) in node.args
        ):
            return None
    return None


def _activation(tape: Tape, ups: list[Node], down: Node) -> Any:
    """[..., n] → [..., i]: what stands between the linear layers, on the result of all that read the input side by side."""
    between = [n for n in tape.nodes[1 : down.number] if n not in ups]
    result = down.args[0]

    def activate(h: torch.Tensor) -> torch.Tensor:
        made = {
            Ref(n.number): part
            for n, part in zip(
                ups, h.chunk(len(ups), dim=-1) if len(ups) > 1 else (h,), strict=True
            )
        }
        for n in between:
            args, kwargs = tree_map(
                lambda leaf, known=made: known[leaf] if isinstance(leaf, Ref) else leaf,
                (n.args, n.kwargs),
            )
            out = (n.module or n.fn)(*args, **kwargs)
            made |= (
                {Ref(n.number): out}
                if isinstance(out, torch.Tensor)
                else {Ref(n.number, i): t for i, t in enumerate(out)}
            )
        return made[result]

    return activate
