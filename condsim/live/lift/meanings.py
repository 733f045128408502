"""What the tensors on a tape mean.

A tensor may hold the rows behind a guard, say which rows took a branch, number those rows, or be
put together again from what the branches gave. `mask_rules` and `row_rules` tell which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from condsim.live.lift.nodes import Ref

Condition = tuple[int, int]
"""(node of a decision, branch): what a row fulfils that took the branch."""

Context = tuple[Condition, ...]
"""The conditions, from the outside in, that the rows of a tensor fulfil; () for all rows."""


class NotLiftable(Exception):
    """The forward does something with a decision that cannot be told apart into branches."""


@dataclass(frozen=True)
class Value:
    """What one tensor means. ref: the tensor on the tape."""

    ref: Ref


@dataclass(frozen=True)
class Plain(Value):
    """An ordinary tensor.

    context: the conditions that its rows fulfil. rows: whether its first dimension is rows.
    """

    context: Context
    rows: bool = True


@dataclass(frozen=True)
class PlainDecision(Plain):
    """A decision, or what was made of it, used as an ordinary tensor."""

    decision: int = -1


@dataclass(frozen=True)
class Unknown(Value):
    """Something that cannot be read; nothing is wrong as long as nobody needs it."""

    reason: str


@dataclass(frozen=True)
class Gathered(Value):
    """The rows of another value that fulfil a condition, as the forward gathered them."""

    source: Meaning
    condition: Condition


@dataclass(frozen=True)
class BranchIds(Value):
    """The branch of each row, int."""

    decision: int


@dataclass(frozen=True)
class Mask(Value):
    """1 for the rows that took a branch.

    per: what its entries are for: "row", "slot" [rows, k], "flat" [rows x k] or "other".
    """

    decision: int
    choice: int
    per: str = "row"


@dataclass(frozen=True)
class OneHot(Value):
    """A mask for each branch, [rows, branches]."""

    decision: int


@dataclass(frozen=True)
class AllTrue(Value):
    """A mask that is true everywhere."""


@dataclass(frozen=True)
class RowIndex(Value):
    """Numbers of the rows that took a branch, among the rows that arrive at the decision."""

    decision: int
    choice: int


@dataclass(frozen=True)
class SlotIndex(Value):
    """For each row of a RowIndex, which of its k choices took it there."""

    decision: int
    choice: int


@dataclass(frozen=True)
class RowNumbers(Value):
    """Numbers of the rows of a context, among all rows. times: how often each is there."""

    context: Context
    times: int = 1


@dataclass(frozen=True)
class Count(Value):
    """Only whether, or how many, rows took a branch."""


@dataclass(frozen=True)
class BranchWeights(Value):
    """Combination weights of a branch.

    weights: the tensor of all weights [rows, k]. everyone: whether the rows that did not take the
    branch are there too, with zero.
    """

    decision: int
    choice: int
    weights: Meaning
    everyone: bool = False


@dataclass(frozen=True)
class WeightedResult(Value):
    """A branch's result times its weights.

    weights: of all rows; None where there are none. result: of the branch. onto: the rows that it
    was added to, if it was.
    """

    decision: int
    choice: int
    weights: Meaning | None
    result: Meaning
    onto: Meaning | None = None


@dataclass(frozen=True)
class MaskedSum(Value):
    """A sum of values times masks, zero in the rows of other branches.

    options: (branch, value) of each part.
    """

    decision: int
    options: tuple[tuple[int, Meaning], ...]


@dataclass(eq=False)
class Select:
    """A tensor whose rows come from the branch that each took.

    context: the conditions that its rows fulfil. options: branch → what its rows get. base: what
    the rows of other branches get; None where there are none. number: of the node that completes
    it.
    """

    ref: Ref
    context: Context
    decision: int
    options: dict[int, Meaning]
    base: Meaning | None
    number: int


@dataclass(eq=False)
class Mixture(Select):
    """A sum over the branches that each row took, k of them, each times its weight.

    base: the zeros that it starts from. weights: [rows, k]; None where there are none.
    """

    weights: Meaning | None = None


@dataclass(eq=False)
class Sum:
    """What a row that enters gets: value plus addend (x + mask * f(x)). number: of the addition."""

    ref: Ref
    value: Meaning
    addend: Meaning
    number: int


Meaning = Value | Select | Sum
MEANINGS = (Value, Select, Sum)
OF_DECISIONS = (Mask, BranchIds, OneHot, RowIndex, RowNumbers, AllTrue)
"""What is made of a decision and of nothing else."""


@dataclass
class Decision:
    """A place where rows part.

    node: its number on the tape. branches: ways that there are. boolean: whether its tensor is a
    mask itself. context: the conditions that the rows fulfil that arrive. slots: branches that each
    row takes, where that may be several (mixture of experts); else 0.
    gathers: whether some rows are gathered by it. masks: whether all rows run somewhere and are
    masked by it. waits: whether it is asked if any row takes a branch. leaves: whether rows that do
    not enter reach no decision after it.
    """

    node: int
    branches: int
    boolean: bool
    context: Context
    slots: int = 0
    gathers: bool = False
    masks: bool = False
    waits: bool = False
    leaves: bool = False


def is_value(leaf: Any) -> bool:
    """Whether a leaf of a call's arguments stands for a tensor of the tape."""
    return isinstance(leaf, MEANINGS)


def context_of(value: Meaning) -> Context:
    """The conditions that the rows of a value fulfil."""
    if isinstance(value, Gathered):
        return (*context_of(value.source), value.condition)
    if isinstance(value, Sum):
        return context_of(value.value)
    if isinstance(value, (Plain, Select, RowNumbers)):
        return value.context
    return ()


def ungathered(value: Meaning) -> Meaning:
    """The value that rows were gathered from, however often."""
    while isinstance(value, Gathered):
        value = value.source
    return value


def plains(value: Meaning | None) -> list[Plain]:
    """The ordinary tensors that a value is put together from."""
    if value is None:
        return []
    value = ungathered(value)
    if isinstance(value, Sum):
        return plains(value.value) + plains(value.addend)
    if isinstance(value, Select):
        parts = []
        for part in (*value.options.values(), value.base):
            parts += plains(part)
        return parts
    return [value] if isinstance(value, Plain) else []
