"""A mixture whose experts are slices of stacked parameters, found by what its tensors hold.

Nothing calls such experts one by one, so their form is looked for too: which parameter reads the
rows, which one gives the result, what stands between them. The form that gives a tensor of the tape
is the right one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from condsim.live.lift.by_value import (
    Chosen,
    Found,
    holding,
    possible_weights,
    results_of,
    tensors_before,
    total_of,
)
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Ref
from condsim.live.lift.tape import Tape, tensor_of

Activation = Callable[[torch.Tensor], torch.Tensor]


def _tanh_gelu(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


def _squared_relu(x: torch.Tensor) -> torch.Tensor:
    return F.relu(x).square()


ACTIVATIONS: tuple[Activation, ...] = (F.silu, F.gelu, F.relu, _tanh_gelu, _squared_relu)
"""What may stand between the projections."""


@dataclass(frozen=True)
class Stacks:
    """The parameters of all experts of one block.

    matrices: [experts, in, out] or [experts, out, in], two or three of them.
    biases: [experts, out].
    """

    matrices: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]

    @property
    def experts(self) -> int:
        """How many there are."""
        return len(self.matrices[0])


def stacks_of(block: nn.Module) -> Stacks | None:
    """The stacked parameters that a block itself holds; None where it holds none."""
    parameters = [parameter.detach() for parameter in block.parameters(recurse=False)]
    matrices = tuple(parameter for parameter in parameters if parameter.ndim == 3)
    if len(matrices) not in (2, 3) or len({len(matrix) for matrix in matrices}) > 1:
        return None
    experts = len(matrices[0])
    biases = tuple(p for p in parameters if p.ndim == 2 and len(p) == experts)
    return Stacks(matrices, biases) if experts > 1 else None


class Slice(nn.Module):
    """One expert: its slices of the stacked parameters.

    ups, down: [out, in]. up_biases, down_bias: [out]. between: activation(first) x second where two
    projections read the rows, or the halves of one do.
    """

    def __init__(self, form: Form, expert: int) -> None:
        super().__init__()
        self.ups = [_oriented(up, turned, expert) for up, turned in form.ups]
        self.down = _oriented(*form.down, expert)
        self.up_biases = [None if bias is None else bias[expert] for bias in form.up_biases]
        self.down_bias = None if form.down_bias is None else form.down_bias[expert]
        self.form = form

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, hidden] → [rows, hidden]."""
        parts = []
        for up, bias in zip(self.ups, self.up_biases, strict=True):
            parts.append(F.linear(x, up, bias))
        if self.form.halves:
            parts = list(parts[0].chunk(2, dim=-1))
        hidden = self.form.activation(parts[0])
        if len(parts) > 1:
            hidden = hidden * parts[1]
        return F.linear(hidden, self.down, self.down_bias)


Oriented = tuple[torch.Tensor, bool]
"""A stack of matrices, and whether they are [in, out]."""


@dataclass(frozen=True)
class Form:
    """How experts may use their parameters.

    halves: whether one projection gives both the gate and the values.
    """

    ups: tuple[Oriented, ...]
    up_biases: tuple[torch.Tensor | None, ...]
    down: Oriented
    down_bias: torch.Tensor | None
    activation: Activation
    halves: bool

    def experts(self) -> list[nn.Module]:
        """The experts as modules."""
        stack, _ = self.down
        return [Slice(self, expert) for expert in range(len(stack))]


def _oriented(stack: torch.Tensor, turned: bool, expert: int) -> torch.Tensor:
    """One matrix [out, in] of a stack."""
    return stack[expert].t() if turned else stack[expert]


def forms(stacks: Stacks, hidden: int) -> Iterator[Form]:
    """Yield the forms that the sizes of the parameters allow. hidden: of the rows."""
    for order in itertools.permutations(stacks.matrices):
        *ups, down = order
        for turned in itertools.product((False, True), repeat=len(order)):
            *ups_turned, down_turned = turned
            widths = {_ends(up, t) for up, t in zip(ups, ups_turned, strict=True)}
            inner, out = _ends(down, down_turned)
            if out != hidden or len(widths) > 1:
                continue
            ((read, made),) = widths
            halves = len(ups) == 1 and made == 2 * inner
            if read != hidden or not (halves or made == inner):
                continue
            biases = _biases(stacks.biases, len(ups), made, hidden)
            if biases is None:
                continue
            oriented = tuple(zip(ups, ups_turned, strict=True))
            for activation in ACTIVATIONS:
                yield Form(
                    oriented, biases[:-1], (down, down_turned), biases[-1], activation, halves
                )


def _ends(stack: torch.Tensor, turned: bool) -> tuple[int, int]:
    """What a stack's matrices read and give: (in, out)."""
    rows, columns = stack.shape[1:]
    return (rows, columns) if turned else (columns, rows)


def _biases(
    biases: Sequence[torch.Tensor], ups: int, made: int, hidden: int
) -> tuple[torch.Tensor | None, ...] | None:
    """The biases of the projections in order; all None without any, None where sizes differ."""
    if not biases:
        return (None,) * (ups + 1)
    widths = [*[made] * ups, hidden]
    if len(biases) != len(widths):
        return None
    fits = all(bias.shape[1] == width for bias, width in zip(biases, widths, strict=True))
    return tuple(biases) if fits else None


def find_stacked_mixture(tape: Tape, stacks: Stacks) -> tuple[list[nn.Module], Found]:
    """The experts and the mixture of them. Raises NotLiftable where no form gives the result."""
    for decision in tape.nodes:
        if decision.branches != stacks.experts:
            continue
        chosen = Chosen.of(decision)
        for rows in tensors_before(tape, decision.number, chosen.rows):
            found = _with_rows(tape, chosen, rows, stacks)
            if found is not None:
                experts, weights, result = found
                slots = chosen.ids.shape[1]
                return experts, Found(decision, slots, rows, weights, result)
    raise NotLiftable("no usual form of experts gives what its stacked parameters give")


def _with_rows(
    tape: Tape, chosen: Chosen, rows: Ref, stacks: Stacks
) -> tuple[list[nn.Module], Ref | None, Ref] | None:
    """(experts, their weights, the tensor that holds their sum) where they take some rows."""
    taken = tensor_of(tape, rows)
    for form in forms(stacks, taken.shape[-1]):
        experts = form.experts()
        results = results_of(chosen, taken, experts)
        for weights in possible_weights(tape, chosen, len(tape.nodes)):
            total = total_of(tape, chosen, results, weights)
            result = holding(tape, total, rows, rows.node)
            if result is not None:
                return experts, weights, result
    return None


def strategy_of(tape: Tape, found: Found) -> str:
    """The strategy that a forward follows, by the products that it calls."""
    names = {node.name for node in tape.nodes}
    if any("grouped_mm" in name for name in names):
        return "grouped"
    choices = found.decision.decided().shape
    for node in tape.nodes:
        copies_weights = node.name == "getitem" and node.single and node.out.ndim >= 3
        if copies_weights and node.out.shape[: len(choices)] == choices:
            return "batched"
    return "looped"
