"""Rules for what is made of a decision: masks, one-hot choices, row numbers, counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from condsim.live.lift.meanings import (
    MEANINGS,
    AllTrue,
    BranchIds,
    BranchWeights,
    Count,
    Mask,
    MaskedSum,
    NotLiftable,
    OneHot,
    RowIndex,
    RowNumbers,
    SlotIndex,
    Unknown,
    is_value,
)
from condsim.live.lift.nodes import Ref
from condsim.live.lift.reading import Call
from condsim.live.lift.rules import RULES, Given

COPIES = {"clone", "detach", "contiguous", "cpu", "alias"}
CASTS = {"float", "to", "type_as", "type", "long", "int", "bool"}
RESHAPES = {
    "view",
    "reshape",
    "unsqueeze",
    "squeeze",
    "expand",
    "expand_as",
    "view_as",
    "flatten",
    "ravel",
}
NEGATIONS = ("invert", "logical_not", "bitwise_not")
COUNTS = ("any", "all", "sum", "count_nonzero", "max", "numel")
NUMBERINGS = ("nonzero", "argwhere", "where")


def unchanged(call: Call) -> Given:
    """What a copy, a cast or a new shape of a decision gives: the same; None for any other call."""
    name, first = call.node.name, call.first
    if name in COPIES and isinstance(first, MEANINGS) and not isinstance(first, (Unknown, Count)):
        return first
    if name not in CASTS and name not in RESHAPES:
        return None
    if isinstance(first, Mask):
        return call.reading.shaped(replace(first, ref=call.ref))
    if isinstance(first, BranchIds) and _is_a_mask(call, first):
        return call.reading.shaped(Mask(call.ref, first.decision, 1))
    if isinstance(first, (BranchIds, RowIndex, AllTrue, BranchWeights)):
        return replace(first, ref=call.ref)
    if isinstance(first, OneHot) and name in CASTS:
        return replace(first, ref=call.ref)
    return None


def _is_a_mask(call: Call, ids: BranchIds) -> bool:
    """Whether a call makes factors of the numbers of two branches: 0 or 1 for each row."""
    decision = call.decision(ids.decision)
    return decision.branches == 2 and not decision.slots and call.out.is_floating_point()


def of_slots(call: Call, mask: Mask) -> Given:
    """What a call gives of a mask of choices [rows, k]; None where the mask is of rows.

    Row and slot numbers, or a mask of the rows.
    """
    name = call.node.name
    if not call.decision(mask.decision).slots or mask.per == "row":
        return None
    if name in ("where", "nonzero") and mask.per == "slot" and not call.node.single:
        rows = Ref(call.node.number, 0)
        slots = Ref(call.node.number, 1)
        row_numbers = RowIndex(rows, mask.decision, mask.choice)
        slot_numbers = SlotIndex(slots, mask.decision, mask.choice)
        return row_numbers, slot_numbers
    if name == "any" and mask.per == "slot" and call.out.ndim == 1:
        return Mask(call.ref, mask.decision, mask.choice)
    if name in COUNTS:
        return Count(call.ref)
    if name in NUMBERINGS:
        raise NotLiftable("it numbers the choices of rows in a way that is not known")
    return None


@RULES.register(*NEGATIONS, "rsub", "sub")
def negation(call: Call) -> Given:
    """not mask, 1 - mask: the rows that took the other one of two branches."""
    name, args = call.node.name, call.args
    mask = args[0]
    if name == "sub":
        if is_value(args[0]) or args[0] != 1:
            return None
        mask = args[1]
    if name == "rsub" and not _is_one(args[1]):
        return None
    if not isinstance(mask, Mask) or call.decision(mask.decision).branches != 2:
        return None
    return Mask(call.ref, mask.decision, 1 - mask.choice)


def _is_one(argument: Any) -> bool:
    return not is_value(argument) and bool(argument == 1)


@RULES.register("eq")
def equal(call: Call) -> Given:
    """ids == branch."""
    ids = call.first
    if not isinstance(ids, BranchIds) or not isinstance(call.args[1], int):
        return None
    mask = Mask(call.ref, ids.decision, call.args[1])
    return call.reading.shaped(mask)


@RULES.register("ne")
def not_equal(call: Call) -> Given:
    """ids != branch, where there are two."""
    ids = call.first
    if not isinstance(ids, BranchIds) or not isinstance(call.args[1], int):
        return None
    if call.decision(ids.decision).branches != 2:
        return None
    return Mask(call.ref, ids.decision, 1 - call.args[1])


@RULES.register("one_hot")
def one_hot(call: Call) -> Given:
    """A mask for each branch."""
    ids = call.first
    return OneHot(call.ref, ids.decision) if isinstance(ids, BranchIds) else None


@RULES.register(*(name for name in COUNTS if name != "sum"))
def count(call: Call) -> Given:
    """Whether any row, or how many rows, took a branch."""
    first = call.first
    if not isinstance(first, (Mask, RowIndex)):
        return None
    call.decision(first.decision).waits = True
    return Count(call.ref)


@RULES.register("sum")
def total(call: Call) -> Given:
    """How many rows took a branch; or (weights * mask).sum(-1): each row's weight of a branch."""
    value = call.first
    if not isinstance(value, MaskedSum):
        return count(call)
    slots = call.decision(value.decision).slots
    if not slots or len(value.options) != 1 or call.out.ndim > 2:
        return None
    ((choice, weights),) = value.options
    return BranchWeights(call.ref, value.decision, choice, weights, everyone=True)


@RULES.register("nonzero", "argwhere")
def numbers(call: Call) -> Given:
    """The numbers of the rows that took a branch."""
    mask = call.first
    if not isinstance(mask, Mask):
        return None
    return RowIndex(call.ref, mask.decision, mask.choice)


@RULES.register("arange")
def arange(call: Call) -> Given:
    """The numbers of all rows: 0, 1, 2, ... as many as there are rows, or a multiple of them."""
    numbers = call.out
    length = numbers.shape[0]
    if length == 0 or length % call.reading.rows != 0:
        return None
    if int(numbers[0]) != 0 or int(numbers[-1]) != length - 1:
        return None
    return RowNumbers(call.ref, ())


@RULES.register("repeat_interleave")
def repeat_interleave(call: Call) -> Given:
    """The number of each row k times."""
    numbers = call.first
    if not isinstance(numbers, RowNumbers) or call.kwargs or len(call.args) != 2:
        return None
    times = call.args[1]
    return replace(numbers, ref=call.ref, times=times) if isinstance(times, int) else None


@RULES.register("ones", "ones_like")
def ones(call: Call) -> Given:
    """A mask that is true everywhere."""
    return AllTrue(call.ref) if call.out.dtype == torch.bool else None
