"""Experts that are modules of their own, as stacked weights.

Where each is linear, elementwise, linear (gated or not); read from a tape of its forward, however
it is spelt: layers or their functions, in modules of modules, with what does nothing in evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from condsim.live.expert_forms import ExpertWeights
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.tape import Tape

ELEMENTWISE = {
    "relu",
    "silu",
    "gelu",
    "sigmoid",
    "tanh",
    "mul",
    "rmul",
    "imul",
    "truediv",
    "div",
    "neg",
    "erf",
    "exp",
    "softplus",
    "logsigmoid",
    "leaky_relu",
    "elu",
    "celu",
    "selu",
    "hardswish",
    "hardsigmoid",
    "mish",
    "relu6",
    "clamp",
    "square",
    "pow",
    "add",
    "radd",
    "iadd",
    "sub",
    "rsub",
    "to",
    "float",
    "type_as",
    "chunk",
    "split",
    "glu",
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
    nn.CELU,
    nn.SELU,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Mish,
    nn.ReLU6,
    nn.GLU,
)
"""Modules that may stand between the linear layers."""

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
KEEPS = {
    "dropout",
    "dropout1d",
    "alpha_dropout",
    "feature_alpha_dropout",
    "view",
    "reshape",
    "contiguous",
    "clone",
}
"""Functions that may give what they take: in evaluation mode, or because the shape is right."""

PRODUCTS = {"matmul", "mm"}
"""Functions that multiply rows by a weight [in, out]."""

INPUT = Ref(0)
"""The rows that an expert takes."""


def stack(experts: list[nn.Module], x: torch.Tensor) -> ExpertWeights | None:
    """The experts' weights, stacked; None where an expert is anything else.

    x: a few rows that an expert takes, [rows, hidden].
    """
    forwards = []
    for expert in experts:
        tape = Tape(expert, lone=True, opens=_has_parts).run(expert.forward, (x,), {})
        forward = _Reader(tape).read()
        if forward is None:
            return None
        forwards.append(forward)
    if not _alike(forwards) or not forwards[0].activates_any_rows(x):
        return None
    up = torch.stack([forward.up_weight() for forward in forwards])
    down = torch.stack([forward.down.weight for forward in forwards])
    up_bias, down_bias = None, None
    if forwards[0].ups[0].bias is not None:
        up_bias = torch.stack([forward.up_bias() for forward in forwards]).detach()
    down_biases = [forward.down.bias for forward in forwards]
    if down_biases[0] is not None:
        down_bias = torch.stack([bias for bias in down_biases if bias is not None]).detach()
    activation = forwards[0].activation
    return ExpertWeights(up.detach(), down.detach(), up_bias, down_bias, activation)


def _has_parts(module: nn.Module) -> bool:
    """Whether a module is put together from others, or is not one of torch's own."""
    is_torchs = type(module).__module__.startswith("torch.nn.")
    return not is_torchs or isinstance(module, nn.Sequential)


@dataclass(frozen=True)
class Layer:
    """A linear layer. weight: [out, in]. bias: [out]."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass(frozen=True)
class Activation:
    """What stands between the linear layers of an expert.

    ups: nodes of the layers that read the input. between: nodes of what follows, in order. result:
    what the last layer reads.
    """

    ups: tuple[int, ...]
    between: tuple[Node, ...]
    result: Ref

    @property
    def spelling(self) -> tuple[str, ...]:
        """What is called, in order."""
        return tuple(node.name or type(node.module).__name__ for node in self.between)

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

    ups: tuple[Layer, ...]
    down: Layer
    activation: Activation

    def up_weight(self) -> torch.Tensor:
        """Weights of the layers that read the input, one below the other; [n, hidden]."""
        return torch.cat([up.weight for up in self.ups])

    def up_bias(self) -> torch.Tensor:
        """Their biases, [n]. Only for layers that have one."""
        return torch.cat([up.bias for up in self.ups if up.bias is not None])

    def activates_any_rows(self, x: torch.Tensor) -> bool:
        """Whether what stands between the layers does not mind one dimension more."""
        hidden = torch.cat([F.linear(x, up.weight, up.bias) for up in self.ups], dim=-1)
        alone = self.activation(hidden.clone())
        try:
            with_experts = self.activation(hidden.unsqueeze(1).clone())
        except Exception:  # a stranger's activation may count its dimensions
            return False
        return torch.equal(with_experts, alone.unsqueeze(1))


class _Reader:
    """Reads one tape of an expert. same: result of a call that does nothing → what it took."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.same: dict[Ref, Ref] = {}
        self.constants: dict[Ref, torch.Tensor] = {}

    def read(self) -> ExpertForward | None:
        """The linear layers of the tape and what is between; None for any other structure."""
        ups: list[Layer] = []
        numbers: list[int] = []
        between: list[Node] = []
        for taped in self.tape.nodes[1:]:
            node = replace(taped, args=self._known(taped.args), kwargs=self._known(taped.kwargs))
            if self._is_constant(node) or self._does_nothing(node):
                continue
            layer = self._layer(node)
            if layer is None:
                if not _is_elementwise(node):
                    return None
                between.append(node)
            elif node.args[0] == INPUT:
                ups.append(layer)
                numbers.append(node.number)
            elif ups and self._is_last(node):
                activation = Activation(tuple(numbers), tuple(between), node.args[0])
                return ExpertForward(tuple(ups), layer, activation)
            else:
                return None
        return None

    def _known(self, tree: Any) -> Any:
        """Arguments with weights in place of what is made of them alone."""

        def known(leaf: Any) -> Any:
            if not isinstance(leaf, Ref):
                return leaf
            leaf = self.same.get(leaf, leaf)
            return self.constants.get(leaf, leaf)

        return tree_map(known, tree)

    def _is_constant(self, node: Node) -> bool:
        """Whether a call reads nothing but weights, as `weight.t()` does."""
        if node.read or not isinstance(node.out, torch.Tensor):
            return False
        self.constants[Ref(node.number)] = node.out
        return True

    def _does_nothing(self, node: Node) -> bool:
        """Whether a call gives what it takes."""
        keeps = isinstance(node.module, (*DROPOUTS, nn.Identity)) or node.name in KEEPS
        if not keeps or not node.args or not isinstance(node.args[0], Ref):
            return False
        taken = self._tensor(node.args[0])
        if not isinstance(node.out, torch.Tensor) or not torch.equal(node.out, taken):
            return False
        self.same[Ref(node.number)] = node.args[0]
        return True

    def _tensor(self, ref: Ref) -> torch.Tensor:
        out = self.tape.nodes[ref.node].out
        tensor = out if ref.item is None else tree_leaves(out)[ref.item]
        assert isinstance(tensor, torch.Tensor)
        return tensor

    def _is_last(self, node: Node) -> bool:
        """Whether a call gives the expert's result, but for calls after it that do nothing."""
        for later in self.tape.nodes[node.number + 1 :]:
            taken = replace(later, args=self._known(later.args))
            if not self._does_nothing(taken):
                return False
        result = self.tape.output
        return bool(self.same.get(result, result) == Ref(node.number))

    def _layer(self, node: Node) -> Layer | None:
        """The linear layer that a call is; None for any other call."""
        if isinstance(node.module, nn.Linear):
            return Layer(node.module.weight, node.module.bias)
        operands = [*node.args, *node.kwargs.values()]
        weight = operands[1] if len(operands) > 1 else None
        if not isinstance(weight, torch.Tensor) or weight.ndim != 2:
            return None
        if node.name == "linear":
            bias = operands[2] if len(operands) > 2 else None
            return Layer(weight, bias)
        if node.name in PRODUCTS:
            return Layer(weight.t())
        return None


def _is_elementwise(node: Node) -> bool:
    """Whether a call may stand between the linear layers.

    It reads neither the input nor weights of the expert.
    """
    if node.module is not None:
        return isinstance(node.module, ACTIVATIONS)
    leaves = tree_leaves((node.args, node.kwargs))
    reads_weights = any(isinstance(leaf, torch.Tensor) for leaf in leaves)
    return node.name in ELEMENTWISE and INPUT not in leaves and not reads_weights


def _alike(forwards: list[ExpertForward]) -> bool:
    """Whether all experts have as many layers, of the same sizes, with or without biases."""
    layers = {len(forward.ups) for forward in forwards}
    ups: list[Layer] = []
    for forward in forwards:
        ups += forward.ups
    shapes = {up.weight.shape for up in ups}
    up_biases = {up.bias is None for up in ups}
    down_biases = {forward.down.bias is None for forward in forwards}
    between = {forward.activation.spelling for forward in forwards}
    kinds = (layers, shapes, up_biases, down_biases, between)
    return all(len(kind) == 1 for kind in kinds)
