"""Neurons that are chosen by their activations and left out of the second product: by value.

A forward holds activations [rows, neurons], a mask of them, and the product of what is left with
the second layer's weights. Either it sets the others to zero, or it cuts out those that some row
needs; the first product runs in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_flatten

from condsim.live.lift.actions import Decided, RouteRows
from condsim.live.lift.by_value import Found, holding
from condsim.live.lift.environment import (
    Action,
    Environment,
    Run,
    Variable,
    forgetting,
    tensor_variable,
)
from condsim.live.lift.lifted import LiftedForward
from condsim.live.lift.meanings import Decision, NotLiftable
from condsim.live.lift.mixture import Calls
from condsim.live.lift.nodes import Ref
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.tape import Tape, tensor_of
from condsim.live.marks import branch
from condsim.mechanisms.sparse_activation import SparseActivation

MASKED = "masked"
FEWEST_NEURONS = 16


@dataclass(frozen=True)
class Neurons:
    """Where neurons are chosen. found: the mask, the activations and the product. layer: the second
    one. cuts: whether the forward multiplies by a part of its weights only."""

    found: Found
    layer: nn.Linear
    cuts: bool


def find_neurons(host: nn.Module, tape: Tape) -> Neurons:
    """The neurons that a forward chooses. Raises NotLiftable where it chooses none."""
    for layer in host.modules():
        if not isinstance(layer, nn.Linear) or layer.in_features < FEWEST_NEURONS:
            continue
        found = _left_out_of(layer, tape)
        if found is not None:
            called = any(node.module is layer for node in tape.nodes)
            return Neurons(found, layer, not called)
    raise NotLiftable("it leaves no neurons out of a layer's product, as far as can be seen")


def _left_out_of(layer: nn.Linear, tape: Tape) -> Found | None:
    """How neurons are left out of a layer's product; None where none are."""
    for mask in _masks(tape, layer.in_features):
        for activations in _activations(tape, tensor_of(tape, mask), layer.in_features):
            result = _result(tape, mask, activations, layer)
            if result is not None:
                return Found(tape.nodes[mask.node], 1, activations, None, result)
    return None


def _tensors(tape: Tape, width: int) -> Iterator[tuple[Ref, torch.Tensor]]:
    """Yield tensors [..., width] that calls made, the last one first."""
    for node in reversed(tape.nodes):
        if not node.single or node.is_input:
            continue
        if node.out.ndim > 1 and node.out.shape[-1] == width:
            yield Ref(node.number), node.out.detach()


def _masks(tape: Tape, neurons: int) -> Iterator[Ref]:
    """Yield what is 0 or 1 for each row and neuron, and not all the same."""
    for ref, tensor in _tensors(tape, neurons):
        values = tensor.float()
        is_mask = bool(((values == 0) | (values == 1)).all())
        if is_mask and values.min() != values.max():
            yield ref


def _activations(tape: Tape, mask: torch.Tensor, neurons: int) -> Iterator[Ref]:
    """Yield tensors of numbers of a mask's shape."""
    for ref, tensor in _tensors(tape, neurons):
        if tensor.is_floating_point() and tensor.shape == mask.shape:
            yield ref


def _result(tape: Tape, mask: Ref, activations: Ref, layer: nn.Linear) -> Ref | None:
    """The product of what is left of the activations; None where that is not on the tape."""
    values = tensor_of(tape, activations).detach()
    left = values * tensor_of(tape, mask).to(values.dtype)
    if torch.equal(left, values):
        return None  # nothing is left out that was not zero before
    total = F.linear(left, layer.weight, layer.bias).detach()
    after = max(mask.node, activations.node)
    return holding(tape, total.reshape(-1, total.shape[-1]), activations, after + 1)


class LiftedNeurons(LiftedForward):
    """Call it in place of the host's forward.

    Raises NotLiftable where a call that is needed cannot be repeated.
    """

    exact = False
    how_read = (
        "the neurons that {host} leaves out of its second product were found by value; those that "
        "some row needs are cut out in condsim's forms"
    )

    def __init__(self, name: str, tapes: tuple[Tape, Tape], neurons: Neurons) -> None:
        tape, other = tapes
        super().__init__(tape)
        self.neurons = neurons
        self.written = not neurons.cuts
        captured = SparseActivation.alone if neurons.cuts else MASKED
        decision = Decision(neurons.found.decision.number, neurons.layer.in_features, False, ())
        self.site = LiftedSite(name, SparseActivation.name, decision, None, captured=captured)
        calls = NeuronCalls(tape, other, neurons)
        self._calls = len(calls.needed)
        output, self._output_spec = tree_flatten(tape.output)
        self._output = [_variable(leaf) for leaf in output]
        inputs = [Ref(node.number) for node in tape.nodes if node.is_input]
        self._inputs = [tensor_variable(ref, ()) for ref in inputs]
        kept = {leaf for leaf in self._output if isinstance(leaf, Variable)}
        self._runs = forgetting(calls.actions(self.site, []), kept)

    @property
    def sites(self) -> dict[int, LiftedSite]:
        return {self.site.decision.node: self.site}

    @property
    def calls(self) -> int:
        return self._calls

    def forced(self) -> dict[str, np.ndarray]:
        mask = tensor_of(self.tape, Ref(self.neurons.found.decision.number)).bool()
        return {self.site.name: mask.reshape(-1, mask.shape[-1]).numpy()}


def _variable(leaf: Any) -> Any:
    return tensor_variable(leaf, ()) if isinstance(leaf, Ref) else leaf


class NeuronCalls(Calls):
    """The calls beside the second product."""

    def __init__(self, tape: Tape, other: Tape, neurons: Neurons) -> None:
        self.layer = neurons.layer
        super().__init__(tape, other, neurons.found)

    def _route(self, site: LiftedSite) -> Action:
        """The calls that lead to the mask."""
        inside = [self._call(number) for number in sorted(self.of_router)]
        written = {variable for action in inside for variable in action.writes}
        read = {variable for action in inside for variable in action.reads}
        mask = tensor_variable(Ref(self.found.decision.number), ())
        gate = NeuronGate(site, forgetting(inside, {mask}), mask)
        return Action(RouteRows(gate, None), read - written, set())

    def _mixture(self, site: LiftedSite, experts: list[nn.Module]) -> Action:
        """The second product."""
        activations = tensor_variable(self.found.rows, ())
        result = tensor_variable(self.found.result, ())
        return Action(SecondProduct(site, self.layer, activations, result), {activations}, {result})


@dataclass(frozen=True)
class NeuronGate:
    """What runs inside of `condsim.route`. runs: the calls that lead to the mask."""

    site: LiftedSite
    runs: list[Run]
    mask: Variable

    def decide(self, environment: Environment) -> Decided:
        """Run the calls; return which neurons each row keeps, bool [rows, neurons]."""
        for run in self.runs:
            run(environment)
        mask = environment.pop(self.mask)
        return mask.reshape(-1, mask.shape[-1]).bool(), None, None


@dataclass(frozen=True)
class SecondProduct:
    """Multiply what is left of the activations by the weights that are needed."""

    site: LiftedSite
    layer: nn.Linear
    activations: Variable
    result: Variable

    def __call__(self, environment: Environment) -> None:
        activations = environment[self.activations]
        with branch(self.site.name) as blocks:
            rows = activations.reshape(-1, activations.shape[-1])
            left = blocks.mask(blocks.weight(rows, 1))
            out = F.linear(left, blocks.weight(self.layer.weight, 1), self.layer.bias)
        environment[self.result] = out.view(*activations.shape[:-1], out.shape[-1])
