"""Rules for rows: gathered by a decision, put back, multiplied by a mask, added up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from condsim.live.lift.mask_rules import numbers
from condsim.live.lift.meanings import (
    OF_DECISIONS,
    AllTrue,
    BranchIds,
    BranchWeights,
    Condition,
    Gathered,
    Mask,
    MaskedSum,
    Meaning,
    Mixture,
    NotLiftable,
    OneHot,
    Plain,
    RowIndex,
    RowNumbers,
    Select,
    SlotIndex,
    Sum,
    WeightedResult,
    context_of,
    is_value,
)
from condsim.live.lift.reading import Call
from condsim.live.lift.rules import RULES, Given

# Gathering


@RULES.register("getitem")
def getitem(call: Call) -> Given:
    """value[key]: rows gathered by a decision, a column of a one-hot choice, a new shape."""
    value, key = call.args
    keys = key if isinstance(key, tuple) else (key,)
    if isinstance(value, OneHot):
        column = _column(call, value, keys)
        if column is not None:
            return column
    first = keys[0]
    if not is_value(first):
        return _sliced(call, value, keys)
    if isinstance(value, BranchWeights) and isinstance(first, (Mask, RowIndex)):
        same = first.decision == value.decision and first.choice == value.choice
        if value.everyone and same:
            return replace(value, ref=call.ref, everyone=False)
    if isinstance(first, RowIndex) and _then_slots(keys) and isinstance(value, Plain):
        return BranchWeights(call.ref, first.decision, first.choice, value)
    if not _keeps_shape(keys[1:]):
        return None
    if isinstance(first, AllTrue) and is_value(value):
        return value  # type: ignore[no-any-return]
    if isinstance(first, Mask) and first.per != "row":
        return _gathered_choices(call, value, first)
    if isinstance(first, (Mask, RowIndex)):
        return _gathered(call, value, first)
    return None


def _column(call: Call, value: OneHot, keys: tuple[Any, ...]) -> Given:
    """One column of a one-hot choice: the mask of that branch."""
    columns = [key for key in keys if isinstance(key, int)]
    others = [key for key in keys if not isinstance(key, int)]
    if len(columns) != 1 or not _keeps_shape(tuple(others)):
        return None
    return Mask(call.ref, value.decision, columns[0])


def _sliced(call: Call, value: Any, keys: tuple[Any, ...]) -> Given:
    """A part of a value that no decision chose: the value, where all its rows are kept."""
    if isinstance(value, BranchWeights):
        return replace(value, ref=call.ref)
    if isinstance(value, RowIndex) and keys[0] == slice(None) and keys[1:] == (0,):
        return replace(value, ref=call.ref)
    if isinstance(value, (Mask, AllTrue, BranchIds)) and _keeps_shape(keys):
        return replace(value, ref=call.ref)
    return None


def _keeps_shape(keys: tuple[Any, ...]) -> bool:
    """Whether keys keep all there is along their dimensions, and at most add new ones."""
    for key in keys:
        if is_value(key) or not (key is None or key is Ellipsis or key == slice(None)):
            return False
    return True


def _then_slots(keys: tuple[Any, ...]) -> bool:
    """Whether the second key numbers slots, and the others add dimensions."""
    if len(keys) < 2 or not isinstance(keys[1], SlotIndex):
        return False
    return all(key is None for key in keys[2:])


def _gathered_choices(call: Call, value: Any, mask: Mask) -> Given:
    """What a mask of choices, [rows, k] or flat, gathers: their rows' numbers, or their weights."""
    slots = call.decision(mask.decision).slots
    if isinstance(value, RowNumbers) and mask.per == "flat" and value.times == slots:
        return RowIndex(call.ref, mask.decision, mask.choice)
    if isinstance(value, Plain):
        return BranchWeights(call.ref, mask.decision, mask.choice, value)
    raise NotLiftable("it gathers by a mask of choices what is not their weights")


@RULES.register("index_select")
def index_select(call: Call) -> Given:
    """Rows by their numbers."""
    value, dim, index = call.args
    if dim != 0 or not isinstance(index, RowIndex):
        return None
    return _gathered(call, value, index)


def _gathered(call: Call, value: Any, key: Mask | RowIndex) -> Meaning:
    """The rows of a value that took a branch."""
    decision = call.decision(key.decision)
    condition = (key.decision, key.choice)
    of_all_rows = isinstance(value, Plain) and not value.context
    if context_of(value) != decision.context and not of_all_rows:
        raise NotLiftable("it gathers by a decision rows that did not take it")
    decision.gathers = True
    if isinstance(value, RowNumbers):
        return RowNumbers(call.ref, (*value.context, condition))
    if isinstance(value, OF_DECISIONS):
        raise NotLiftable("it gathers from a mask")
    return Gathered(call.ref, call.plain(value), condition)


# Putting back


@RULES.register("setitem")
def setitem(call: Call) -> Given:
    """value[key] = new."""
    value, key, new = call.args
    if isinstance(key, tuple) and len(key) == 1:
        key = key[0]
    return _written(call, value, key, new)


@RULES.register("index_copy")
def index_copy(call: Call) -> Given:
    """Rows put back by their numbers."""
    value, dim, key, new = call.args
    if dim != 0:
        return None
    return _written(call, value, key, new)


@RULES.register("index_put")
def index_put(call: Call) -> Given:
    """Rows put back by one key."""
    value, keys, new = call.args[:3]
    if len(keys) != 1:
        return None
    return _written(call, value, keys[0], new)


@RULES.register("index_add")
def index_add(call: Call) -> Given:
    """Rows added by their numbers: to zeros, to what is there, or to other experts' results."""
    value, dim, key, new = call.args
    if dim != 0 or not isinstance(key, (Mask, RowIndex, RowNumbers)):
        return None
    if isinstance(new, WeightedResult):
        return _mixed(call, value, key, new)
    if not isinstance(key, RowNumbers) and call.decision(key.decision).slots:
        result = call.plain(new)
        unweighted = WeightedResult(call.ref, key.decision, key.choice, None, result)
        return _mixed(call, value, key, unweighted)
    if call.reading.is_zero(value):
        return _written(call, value, key, new)
    before = call.plain(value)
    addend = call.plain(new)
    added = Sum(call.ref, before, addend, call.node.number)
    return _written(call, value, key, added)


def _written(call: Call, value: Any, key: Any, new: Any) -> Meaning:
    """A value of which the rows of a key are replaced."""
    if isinstance(key, AllTrue):
        return call.plain(new)
    if isinstance(key, (Mask, RowIndex)):
        if isinstance(new, WeightedResult) and _was_added_to(new, value):
            return _mixed(call, value, key, new)
        conditions: tuple[Condition, ...] = ((key.decision, key.choice),)
    elif isinstance(key, RowNumbers):
        conditions = key.context[len(context_of(value)) :]
    else:
        raise NotLiftable("it writes into single rows or columns of a tensor")
    if not is_value(new):
        raise NotLiftable("it writes a constant into the rows of a branch")
    return _merged(call, call.plain(value), conditions, call.plain(new))


def _was_added_to(new: WeightedResult, value: Any) -> bool:
    """Whether an expert's result was added to rows that were gathered from a value."""
    return isinstance(new.onto, Gathered) and new.onto.source is value


def _merged(call: Call, value: Meaning, conditions: tuple[Condition, ...], new: Meaning) -> Meaning:
    """A value with `new` in the rows that fulfil all the conditions."""
    if not conditions:
        return new
    return _selected(call, value, conditions, new)


def _selected(
    call: Call, value: Meaning, conditions: tuple[Condition, ...], new: Meaning
) -> Select:
    """The same for at least one condition."""
    decision, choice = conditions[0]
    context = call.decision(decision).context
    if context_of(value) != context:
        raise NotLiftable("it writes rows of a branch among rows that did not take it")
    options: dict[int, Meaning] = {}
    base: Meaning | None = value
    if isinstance(value, Select) and value.decision == decision:
        options = dict(value.options)
        base = value.base
    if choice in options:
        before = options[choice]
    else:
        before = Gathered(call.ref, base, conditions[0])  # type: ignore[arg-type]
    options[choice] = _merged(call, before, conditions[1:], new)
    return Select(call.ref, context, decision, options, base, call.node.number)


@RULES.register("where")
def where(call: Call) -> Given:
    """where(mask): row numbers. where(mask, yes, no): rows of either value."""
    if len(call.args) == 1:
        return numbers(call)
    mask, yes, no = call.args
    if not isinstance(mask, Mask):
        return None
    if not is_value(yes) or not is_value(no):
        raise NotLiftable("it chooses between rows and a constant")
    decision = call.decision(mask.decision)
    decision.masks = True
    condition = (mask.decision, mask.choice)
    other_rows = call.plain(no)
    rows = call.plain(yes)
    select = _selected(call, other_rows, (condition,), rows)
    if decision.branches == 2 and select.base is not None:
        select.options.setdefault(1 - mask.choice, select.base)
    return select


# Multiplying and adding


@RULES.register("mul", "rmul", "imul")
def multiplication(call: Call) -> Given:
    """A branch's result times its weights, or a value times a mask."""
    args = call.args
    for weights, other in (args, args[::-1]):
        if isinstance(weights, BranchWeights) and is_value(other):
            result = call.plain(other)
            return WeightedResult(
                call.ref, weights.decision, weights.choice, weights.weights, result
            )
    for mask, other in (args, args[::-1]):
        if isinstance(mask, Mask) and is_value(other) and not isinstance(other, OF_DECISIONS):
            decision = call.decision(mask.decision)
            if not decision.slots:
                decision.masks = True
            option = (mask.choice, call.plain(other))
            return MaskedSum(call.ref, mask.decision, (option,))
    return None


@RULES.register("add", "radd", "iadd")
def addition(call: Call) -> Given:
    """A branch's result added to its rows, or masked values added up."""
    one, other = call.args
    for weighted, onto in ((one, other), (other, one)):
        if isinstance(weighted, WeightedResult) and _are_rows_of(onto, weighted):
            return replace(weighted, ref=call.ref, onto=onto)
    both_masked = isinstance(one, MaskedSum) and isinstance(other, MaskedSum)
    if both_masked and one.decision == other.decision:
        options = (*one.options, *other.options)
        return MaskedSum(call.ref, one.decision, options)
    for masked, value in ((one, other), (other, one)):
        if isinstance(masked, MaskedSum):
            if is_value(value):
                return _masked_onto(call, masked, value)
            if value == 0:
                return masked
    return None


def _are_rows_of(rows: Any, weighted: WeightedResult) -> bool:
    """Whether rows were gathered for the branch whose result is to be added to them."""
    branch = (weighted.decision, weighted.choice)
    return isinstance(rows, Gathered) and rows.condition == branch


def _masked_onto(call: Call, masked: MaskedSum, value: Meaning) -> Meaning:
    """A masked value added to another one: to zeros, or to what each row has."""
    if call.reading.is_zero(value):
        return masked
    base = call.plain(value)
    options: dict[int, Meaning] = {}
    for choice, addend in masked.options:
        options[choice] = Sum(call.ref, base, addend, call.node.number)
    context = call.decision(masked.decision).context
    return Select(call.ref, context, masked.decision, options, base, call.node.number)


def _mixed(call: Call, value: Any, key: Any, new: WeightedResult) -> Mixture:
    """One more expert's result, added to those before it."""
    decision = call.decision(new.decision)
    same_branch = key.decision == new.decision and key.choice == new.choice
    if not decision.slots or not same_branch:
        raise NotLiftable("it adds an expert's result to the rows of another")
    options = {new.choice: new.result}
    base = value
    if _takes_more(value, new):
        options = {**value.options, **options}
        base = value.base
    elif not call.reading.is_zero(value):
        raise NotLiftable("it adds an expert's result to something else than zeros")
    return Mixture(
        ref=call.ref,
        context=decision.context,
        decision=new.decision,
        options=options,
        base=base,
        number=call.node.number,
        weights=new.weights,
    )


def _takes_more(value: Any, new: WeightedResult) -> bool:
    """Whether a value is a mixture of other experts of the same decision, with the same weights."""
    if not isinstance(value, Mixture) or value.decision != new.decision:
        return False
    return value.weights is new.weights and new.choice not in value.options
