"""One run of a model in which nothing is forced, and questions about its calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.tape import CONTAINERS, Tape, tensor_of


class NaturalTape(Tape):
    """All calls of one run of a model, in which nothing is forced.

    taken: by which calls Python took numbers out of tensors that the model had made.
    """

    def __init__(self, host: nn.Module) -> None:
        super().__init__(host, lone=False, opens=lambda _: True)
        self.taken: set[str] = set()

    def _note_question(self, name: str, tensor: torch.Tensor) -> None:
        super()._note_question(name, tensor)
        if tensor.is_floating_point() and tensor in self._made_by:
            self.taken.add(name.strip("_"))

    def _forked_by_function(self, name: str, args: tuple[Any, ...], out: Any) -> tuple[Any, None]:
        return out, None


@dataclass(frozen=True)
class Seen:
    """One run. units: of its batch. lists: lengths of what may be experts. readers: node → nodes
    that read it. experts: whether there are some."""

    tape: NaturalTape
    units: int
    lists: frozenset[int]
    readers: dict[int, list[Node]]
    experts: bool = False

    @classmethod
    def of(cls, model: nn.Module, tape: NaturalTape, units: int, experts: bool = False) -> Seen:
        """What a tape of a model shows."""
        lists = {len(part) for part in model.modules() if isinstance(part, CONTAINERS)}
        lists |= {len(weight) for weight in model.parameters() if weight.ndim == 3}
        readers: dict[int, list[Node]] = {}
        for node in tape.nodes:
            for ref in node.read:
                readers.setdefault(ref.node, []).append(node)
        return cls(tape, units, frozenset(lists - {0, 1}), readers, experts)

    def named(self, names: set[str]) -> list[Node]:
        """The calls of some functions."""
        return [node for node in self.tape.nodes if node.name in names]

    def after(self, node: Node) -> list[Node]:
        """What is made of a call's result, in order, however indirectly."""
        found: dict[int, Node] = {}
        waiting = [node.number]
        while waiting:
            for reader in self.readers.get(waiting.pop(), []):
                if reader.number not in found:
                    found[reader.number] = reader
                    waiting.append(reader.number)
        return [found[number] for number in sorted(found)]

    def before(self, node: Node) -> list[Node]:
        """What a call's result is made of, inputs among it."""
        found: dict[int, Node] = {}
        waiting = [ref.node for ref in node.read]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found[number] = self.tape.nodes[number]
                waiting += [ref.node for ref in self.tape.nodes[number].read]
        return list(found.values())

    def is_of_data(self, node: Node) -> bool:
        """Whether a choice is made by numbers of the model, and not by positions or by ids alone.

        What a mask leaves and what it puts elsewhere say nothing of how the mask was made.
        """
        asked = [ref for ref in node.read if not _is_chosen_among(self.tape, node, ref)]
        made_of = [self.tape.nodes[ref.node] for ref in asked]
        for earlier in list(made_of):
            made_of += self.before(earlier)
        return any(_gives_numbers(earlier) for earlier in made_of)

    def first(self, node: Node) -> torch.Tensor | None:
        """The first tensor that a call reads."""
        for leaf in tree_leaves(node.args):
            if isinstance(leaf, Ref):
                return tensor_of(self.tape, leaf)
            if isinstance(leaf, torch.Tensor):
                return leaf
        return None

    def reads_width(self, node: Node, width: int) -> bool:
        """Whether a call reads a tensor, or a weight, one side of which is so wide."""
        for leaf in tree_leaves(node.args):
            if isinstance(leaf, Ref):
                leaf = tensor_of(self.tape, leaf)
            if isinstance(leaf, torch.Tensor) and width in leaf.shape:
                return True
        return False


def _is_chosen_among(tape: NaturalTape, node: Node, ref: Ref) -> bool:
    """Whether a call of a mask chooses among the numbers of a tensor."""
    is_mask = tensor_of(tape, ref).dtype == torch.bool
    return node.name in ("where", "masked_fill", "scatter") and not is_mask


def _gives_numbers(node: Node) -> bool:
    """Whether a call gives floating-point numbers."""
    leaves = tree_leaves(node.out)
    return any(isinstance(leaf, torch.Tensor) and leaf.is_floating_point() for leaf in leaves)
