"""A tape with the meaning of each of its tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from condsim.live.lift.meanings import (
    OF_DECISIONS,
    AllTrue,
    BranchWeights,
    Count,
    Decision,
    Mask,
    MaskedSum,
    Meaning,
    Plain,
    PlainDecision,
    RowNumbers,
    Select,
    SlotIndex,
    Unknown,
    WeightedResult,
    context_of,
    is_value,
)
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.tape import Tape

Arguments = tuple[Any, Any]
"""Positional arguments of a call and those by keyword, with a meaning for every tensor."""

ZEROS = {"zeros", "zeros_like", "new_zeros"}


@dataclass
class Reading:
    """What was read of a tape.

    rows: of the run that was taped. values: what each tensor means. arguments: node → those of its
    call. decisions: node → the decision that it is. output: the forward's result, with meanings.
    """

    tape: Tape
    rows: int
    values: dict[Ref, Meaning] = field(default_factory=dict)
    arguments: dict[int, Arguments] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    output: Any = None
    _completed: dict[Ref, Select] = field(default_factory=dict)

    def with_meanings(self, tree: Any) -> Any:
        """A tree of arguments with the meaning in place of every Ref."""

        def meaning(leaf: Any) -> Any:
            return self.values[leaf] if isinstance(leaf, Ref) else leaf

        return tree_map(meaning, tree)

    def with_plain(self, tree: Any) -> Any:
        """A tree of arguments with an ordinary tensor in place of every other meaning."""

        def plain(leaf: Any) -> Any:
            return self.plain(leaf) if is_value(leaf) else leaf

        return tree_map(plain, tree, is_leaf=is_value)

    def values_read(self, node: int) -> list[Meaning]:
        """The tensors among a node's arguments."""
        leaves = tree_leaves(self.arguments[node], is_leaf=is_value)
        return [leaf for leaf in leaves if is_value(leaf)]

    def plain(self, value: Meaning) -> Meaning:
        """A value as an ordinary tensor, made by the call that made it in the forward."""
        if isinstance(value, MaskedSum):
            return self._complete(value)
        if isinstance(value, OF_DECISIONS):
            node = value.ref.node
            if node not in self.decisions:
                self.arguments[node] = self.with_plain(self.arguments[node])
            if isinstance(value, (RowNumbers, AllTrue)):
                return Plain(value.ref, context_of(value))
            context = self.decisions[value.decision].context
            return PlainDecision(value.ref, context, decision=value.decision)
        if isinstance(value, Count):
            return Unknown(value.ref, "it computes with the number of rows that took a branch")
        if isinstance(value, (BranchWeights, WeightedResult, SlotIndex)):
            return Unknown(
                value.ref, "it uses an expert's weighted rows in another way than to add them up"
            )
        return value

    def _complete(self, value: MaskedSum) -> Meaning:
        """A sum with a part for every branch as a selection of rows."""
        decision = self.decisions[value.decision]
        if len(value.options) != decision.branches:
            return Unknown(value.ref, "it multiplies by a mask and leaves other rows zero")
        if value.ref not in self._completed:
            self._completed[value.ref] = Select(
                ref=value.ref,
                context=decision.context,
                decision=value.decision,
                options=dict(value.options),
                base=None,
                number=value.ref.node,
            )
        return self._completed[value.ref]

    def shaped(self, mask: Mask) -> Mask:
        """A mask of a decision of several slots, with what its entries are for."""
        slots = self.decisions[mask.decision].slots
        if not slots:
            return mask
        out = self.tape.nodes[mask.ref.node].out
        if out.ndim == 1:
            per = "flat"
        elif out.ndim == 2 and out.shape[-1] == slots:
            per = "slot"
        else:
            per = "other"
        return Mask(mask.ref, mask.decision, mask.choice, per)

    def is_zero(self, value: Meaning) -> bool:
        """Whether a tensor was made as zeros."""
        if not isinstance(value, Plain):
            return False
        node = self.tape.nodes[value.ref.node]
        return node.name in ZEROS


@dataclass(frozen=True)
class Call:
    """One call that is to be read. args, kwargs: with meanings."""

    reading: Reading
    node: Node
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def ref(self) -> Ref:
        """The result."""
        return Ref(self.node.number)

    @property
    def first(self) -> Any:
        """The first argument; None without any."""
        return self.args[0] if self.args else None

    def decision(self, number: int) -> Decision:
        """The decision that a node is."""
        return self.reading.decisions[number]

    def plain(self, value: Meaning) -> Meaning:
        """A value as an ordinary tensor."""
        return self.reading.plain(value)

    @property
    def out(self) -> torch.Tensor:
        """The tensor that the call gave. Only for calls that give one."""
        assert isinstance(self.node.out, torch.Tensor)
        return self.node.out
