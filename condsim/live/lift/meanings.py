"""What the tensors on a tape mean: rows behind guards, masks and row numbers that a decision gave, and what is put together again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from condsim.live.lift.tape import Ref

Guard = tuple[int, int]  # the decision's node, the branch
Context = tuple[Guard, ...]


class Unlike(Exception):
    """The forward does something with a decision that cannot be told apart into branches."""


@dataclass(frozen=True)
class Value:
    """ref: the tensor on the tape."""

    ref: Ref


@dataclass(frozen=True)
class Plain(Value):
    """An ordinary tensor. context: whose rows it has. rows: False where its first dimension is not rows."""

    context: Context
    rows: bool = True


@dataclass(frozen=True)
class Leak(Plain):
    """A decision, or what was made of it, used as an ordinary tensor."""

    decision: int = -1


@dataclass(frozen=True)
class Unknown(Value):
    """Something that cannot be read; nothing is wrong as long as nobody needs it."""

    reason: str


@dataclass(frozen=True)
class Taken(Value):
    """The rows of a value that took a guard, as the forward gathered them."""

    of: Any
    guard: Guard


@dataclass(eq=False)
class Select:
    """A tensor whose rows come from the branch that each took; those of no branch in it from base. number: of the node that completes it."""

    ref: Ref
    context: Context
    decision: int
    options: dict[int, Any]
    base: Any
    number: int


@dataclass(eq=False)
class Sum:
    """What a row that enters gets: value plus addend (x + mask * f(x))."""

    ref: Ref
    value: Any
    addend: Any
    number: int


@dataclass(eq=False)
class Mixture(Select):
    """A sum over the branches that each row took, k of them, each times its weight. base: the zeros that it starts from."""

    weights: Any = None


@dataclass(frozen=True)
class Decided(Value):
    """Branch of each row, int."""

    decision: int


@dataclass(frozen=True)
class Mask(Value):
    """1 for the rows that took a branch. per: "row", "slot" [rows, k] or "flat" [rows x k]."""

    decision: int
    choice: int
    per: str = "row"


@dataclass(frozen=True)
class OneHot(Value):
    """A mask a branch."""

    decision: int


@dataclass(frozen=True)
class Index(Value):
    """Numbers of the rows that took a branch, among the rows that arrive."""

    decision: int
    choice: int


@dataclass(frozen=True)
class Numbers(Value):
    """Numbers of the rows of a context, among all. times: how often each is there."""

    context: Context
    times: int = 1


@dataclass(frozen=True)
class Slot(Value):
    """Which of their k choices took the rows of an Index there."""

    decision: int
    choice: int


@dataclass(frozen=True)
class Weighted(Value):
    """Combination weights of the rows that took a branch; of all rows (zero for the others) where everyone."""

    decision: int
    choice: int
    weights: Any
    everyone: bool = False


@dataclass(frozen=True)
class Scaled(Value):
    """A branch's result times its weight. onto: what it was added to, if it was."""

    decision: int
    choice: int
    weights: Any
    result: Any
    onto: Any = None


@dataclass(frozen=True)
class All(Value):
    """A mask that is true everywhere."""


@dataclass(frozen=True)
class Control(Value):
    """Says only whether (or how many) rows took a branch."""


@dataclass(frozen=True)
class Partial(Value):
    """Values times masks: zero in the rows of other branches."""

    decision: int
    options: tuple[tuple[int, Any], ...]


@dataclass
class Decision:
    """A decision. branches: ways that there are. boolean: it is a mask itself. leaks: its tensor is used as an ordinary one too."""

    node: int
    branches: int
    boolean: bool
    context: Context
    slots: int = (
        0  # how many branches each row takes, where more than one may be (mixture of experts)
    )
    gathers: set[bool] = field(
        default_factory=set
    )  # True: rows are gathered, False: all rows run and are masked
    waits: bool = False  # it is asked whether any row takes a branch


def context_of(value: Any) -> Context:
    """The guards whose rows a value has."""
    if isinstance(value, Taken):
        return (*context_of(value.of), value.guard)
    if isinstance(value, Sum):
        return context_of(value.value)
    return value.context if isinstance(value, (Plain, Select, Numbers)) else ()
