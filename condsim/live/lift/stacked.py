"""Experts that are modules of their own, as stacked weights.

Where each is linear, elementwise, linear (gated or not); read from a tape of its forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from condsim.live.expert_forms import ExpertWeights
from condsim.live.lift.tape import Node, Ref, Tape

ELEMENTWISE = {
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
}
"""Functions that may stand between the linear layers."""

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
"""Modules that may stand between the linear layers."""

INPUT = Ref(0)
"""The rows that an expert takes."""


def stack(experts: list[nn.Module], x: torch.Tensor) -> ExpertWeights | None:
    """The experts' weights, stacked; None where an expert is anything else.

    x: a few rows that an expert takes, [rows, hidden].
    """
    forwards = []
    for expert in experts:
        tape = Tape(expert, lone=True).run(expert.forward, (x,), {})
        forward = _read(tape)
        if forward is None:
            return None
        forwards.append(forward)
    if not _alike(forwards):
        return None
    up = torch.stack([forward.up_weight() for forward in forwards])
    down = torch.stack([forward.down.weight for forward in forwards])
    up_bias, down_bias = None, None
    if forwards[0].ups[0].bias is not None:
        up_bias = torch.stack([forward.up_bias() for forward in forwards]).detach()
    if forwards[0].down.bias is not None:
        down_bias = torch.stack([forward.down.bias for forward in forwards]).detach()
    activation = forwards[0].activation
    return ExpertWeights(up.detach(), down.detach(), up_bias, down_bias, activation)


@dataclass(frozen=True)
class Activation:
    """What stands between the linear layers of an expert.

    ups: nodes of the layers that read the input. between: nodes of what follows, in order. result:
    what the last layer reads.
    """

    ups: tuple[int, ...]
    between: tuple[Node, ...]
    result: Ref

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., n] → [..., i]. hidden: what the layers that read the input give, side by side."""
        made: dict[Ref, Any] = {}
        parts: tuple[torch.Tensor, ...] = (hidden,)
        if len(self.ups) > 1:
            parts = hidden.chunk(len(self.ups), dim=-1)
        for number, part in zip(self.ups, parts, strict=True):
            made[Ref(number)] = part
        for node in self.between:
            self._run(node, made)
        result: torch.Tensor = made[self.result]
        return result

    def _run(self, node: Node, made: dict[Ref, Any]) -> None:
        """Call a node's function on what was made before it, and keep what it gives."""

        def known(leaf: Any) -> Any:
            return made[leaf] if isinstance(leaf, Ref) else leaf

        assert node.fn is not None
        args, kwargs = tree_map(known, (node.args, node.kwargs))
        out = node.fn(*args, **kwargs)
        if isinstance(out, torch.Tensor):
            made[Ref(node.number)] = out
            return
        for item, leaf in enumerate(out):
            made[Ref(node.number, item)] = leaf


@dataclass(frozen=True)
class ExpertForward:
    """An expert's linear layers: those that read the input, and the one that gives the result."""

    ups: tuple[nn.Linear, ...]
    down: nn.Linear
    activation: Activation

    def up_weight(self) -> torch.Tensor:
        """Weights of the layers that read the input, one below the other; [n, hidden]."""
        return torch.cat([up.weight for up in self.ups])

    def up_bias(self) -> torch.Tensor:
        """Their biases, [n]. Only for layers that have one."""
        return torch.cat([up.bias for up in self.ups])


def _read(tape: Tape) -> ExpertForward | None:
    """The linear layers of a tape and what is between; None for any other structure."""
    ups: list[nn.Linear] = []
    numbers: list[int] = []
    between: list[Node] = []
    for node in tape.nodes[1:]:
        if not isinstance(node.module, nn.Linear):
            if not _is_elementwise(node):
                return None
            between.append(node)
        elif node.args[0] == INPUT:
            ups.append(node.module)
            numbers.append(node.number)
        elif ups and tape.output == Ref(node.number):
            activation = Activation(tuple(numbers), tuple(between), node.args[0])
            return ExpertForward(tuple(ups), node.module, activation)
        else:
            return None
    return None


def _is_elementwise(node: Node) -> bool:
    """Whether a call may stand between the linear layers: it does not read the input itself."""
    if node.module is not None:
        return isinstance(node.module, ACTIVATIONS)
    return node.name in ELEMENTWISE and INPUT not in node.args


def _alike(forwards: list[ExpertForward]) -> bool:
    """Whether all experts have as many layers, of the same sizes, with or without biases."""
    layers = {len(forward.ups) for forward in forwards}
    ups: list[nn.Linear] = []
    for forward in forwards:
        ups += forward.ups
    shapes = {up.weight.shape for up in ups}
    up_biases = {up.bias is None for up in ups}
    down_biases = {forward.down.bias is None for forward in forwards}
    kinds = (layers, shapes, up_biases, down_biases)
    return all(len(kind) == 1 for kind in kinds)
