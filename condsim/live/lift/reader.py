"""Read a tape: which tensors are decisions, masks and row numbers, which calls gather and scatter rows, and so what stands behind which guard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from condsim.live.lift.meanings import (
    All,
    Context,
    Control,
    Decided,
    Decision,
    Guard,
    Index,
    Leak,
    Mask,
    Mixture,
    Numbers,
    OneHot,
    Partial,
    Plain,
    Scaled,
    Select,
    Slot,
    Sum,
    Taken,
    Unknown,
    Unlike,
    Value,
    Weighted,
    context_of,
)
from condsim.live.lift.tape import Node, Ref, Tape

VALUES = (Value, Select, Sum)
OF_DECISIONS = (Mask, Decided, OneHot, Index, Numbers, All)
CAST = {"float", "to", "type_as", "type", "long", "int", "bool"}
RESHAPED = CAST | {
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
COPIED = {"clone", "detach", "contiguous", "cpu", "alias"}
NOT = {"invert", "logical_not", "bitwise_not"}
ASKS = {"any", "all", "sum", "count_nonzero", "max", "numel"}
ZEROS = {"zeros", "zeros_like", "new_zeros"}


SEVERAL = object()
"""Says that a call's results have their values already."""


def is_value(leaf: Any) -> bool:
    """Whether a leaf of a call's arguments stands for a tensor of the tape."""
    return isinstance(leaf, VALUES)


class Reading:
    """values: what each tensor means. arguments: of each node, with values. decisions: by node. output: of the host, with values."""

    def __init__(self, tape: Tape, rows: int) -> None:
        self.tape, self.rows = tape, rows
        self.values: dict[Ref, Any] = {}
        self.arguments: dict[int, tuple[Any, Any]] = {}
        self.decisions: dict[int, Decision] = {}
        self.completed: dict[Ref, Select] = {}
        for node in tape.nodes:
            self._read(node)
        self.output = tree_map(self.plain, self._valued(tape.output), is_leaf=is_value)

    def _valued(self, tree: Any) -> Any:
        return tree_map(lambda leaf: self.values[leaf] if isinstance(leaf, Ref) else leaf, tree)

    def _read(self, node: Node) -> None:
        args, kwargs = self.arguments[node.number] = self._valued((node.args, node.kwargs))
        ref = Ref(node.number)
        single = isinstance(node.out, torch.Tensor)
        try:
            if node.fn is None:
                self.values[ref] = Plain(
                    ref, (), node.out.ndim > 0 and node.out.shape[0] == self.rows
                )
                return
            found = None if node.module is not None else self._meaning(node, ref, args, kwargs)
            if found is None:
                self._ordinary(node, single)
            elif found is SEVERAL:
                return
            elif single:
                self.values[ref] = found
            else:
                self.values |= {
                    Ref(node.number, i): found for i in range(len(tree_leaves(node.out)))
                }
        except Unlike as e:
            unknown = Unknown(ref, str(e))
            self.values |= {
                Ref(node.number, i): unknown for i in (None, *range(len(tree_leaves(node.out))))
            }

    # --- ordinary calls ---------------------------------------------------------------------------------------------------------------

    def _ordinary(self, node: Node, single: bool) -> None:
        values = self.arguments[node.number] = tree_map(
            self.plain, self.arguments[node.number], is_leaf=is_value
        )
        read = [v for v in tree_leaves(values, is_leaf=is_value) if is_value(v)]
        context = joined([context_of(v) for v in read], node.name)
        depends = any(getattr(v, "rows", True) for v in read)
        for i, t in [(None, node.out)] if single else list(enumerate(tree_leaves(node.out))):
            ref = Ref(node.number, i)
            if isinstance(t, torch.Tensor):
                rows = t.ndim > 0 and (depends or (not read and t.shape[0] == self.rows))
                self.values[ref] = Plain(ref, context, rows)
        if node.branches:
            ref = Ref(node.number, node.decides)
            decided = node.out if single else tree_leaves(node.out)[node.decides or 0]
            self.decisions[node.number] = Decision(
                node.number, node.branches, decided.dtype == torch.bool, context, node.slots
            )
            self.values[ref] = (
                Mask(ref, node.number, 1)
                if decided.dtype == torch.bool
                else Decided(ref, node.number)
            )

    def plain(self, value: Any) -> Any:
        """A value as an ordinary tensor, made by the call that made it in the forward."""
        if isinstance(value, Partial):
            return self._complete(value)
        if isinstance(value, OF_DECISIONS):
            node = value.ref.node
            if node not in self.decisions:
                self.arguments[node] = tree_map(self.plain, self.arguments[node], is_leaf=is_value)
            if isinstance(value, (Numbers, All)):
                return Plain(value.ref, context_of(value))
            return Leak(value.ref, self.decisions[value.decision].context, True, value.decision)
        if isinstance(value, Control):
            return Unknown(value.ref, "it computes with the number of rows that took a branch")
        if isinstance(value, (Weighted, Scaled, Slot)):
            return Unknown(
                value.ref, "it uses an expert's weighted rows in another way than to add them up"
            )
        return value

    def _complete(self, value: Partial) -> Any:
        decision = self.decisions[value.decision]
        if len(value.options) != decision.branches:
            return Unknown(value.ref, "it multiplies by a mask and leaves other rows zero")
        if value.ref not in self.completed:
            self.completed[value.ref] = Select(
                value.ref,
                decision.context,
                value.decision,
                dict(value.options),
                None,
                value.ref.node,
            )
        return self.completed[value.ref]

    # --- calls that mean something ----------------------------------------------------------------------------------------------------

    def _meaning(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        """What a call of a torch function gives, where a decision takes part in it; None for an ordinary call."""
        name, first = node.name, args[0] if args else None
        if (
            name in COPIED
            and isinstance(first, VALUES)
            and not isinstance(first, (Unknown, Control))
        ):
            return first
        if (
            isinstance(
                first,
                (Mask, Decided, Index, All)
                if name in RESHAPED - CAST
                else (Mask, Decided, Index, All, OneHot),
            )
            and name in RESHAPED
        ):
            return self._shaped(replace(first, ref=ref))
        if name in RESHAPED and isinstance(first, Weighted):
            return replace(first, ref=ref)
        if (
            isinstance(first, Mask)
            and (slotted := self._slotted(node, ref, name, first)) is not None
        ):
            return slotted
        if name in NOT or name in ("rsub", "sub"):
            return self._negated(name, ref, args)
        if name in ("eq", "ne") and isinstance(first, Decided) and isinstance(args[1], int):
            if name == "eq":
                return self._shaped(Mask(ref, first.decision, args[1]))
            return (
                Mask(ref, first.decision, 1 - args[1])
                if self.decisions[first.decision].branches == 2
                else None
            )
        if name == "one_hot" and isinstance(first, Decided):
            return OneHot(ref, first.decision)
        if name in ASKS and isinstance(first, (Mask, Index)):
            self.decisions[first.decision].waits = True
            return Control(ref)
        if name in ("nonzero", "argwhere") or (name == "where" and len(args) == 1):
            return Index(ref, first.decision, first.choice) if isinstance(first, Mask) else None
        handler: Callable[..., Any] | None = getattr(self, f"_{name}", None)
        return None if handler is None else handler(node, ref, args, kwargs)

    def _shaped(self, value: Any) -> Any:
        """A mask of a decision of several slots, with what its entries are for."""
        if not isinstance(value, Mask) or not self.decisions[value.decision].slots:
            return value
        out, slots = self.tape.nodes[value.ref.node].out, self.decisions[value.decision].slots
        per = (
            "flat"
            if out.ndim == 1
            else "slot"
            if out.shape[-1] == slots and out.ndim == 2
            else "other"
        )
        return replace(value, per=per)

    def _slotted(self, node: Node, ref: Ref, name: str, mask: Mask) -> Any:
        """What calls on a mask [rows, k] give: row and slot numbers, or a mask of the rows."""
        if not self.decisions[mask.decision].slots or mask.per == "row":
            return None
        if (
            name in ("where", "nonzero")
            and not isinstance(node.out, torch.Tensor)
            and mask.per == "slot"
        ):
            self.values[Ref(node.number, 0)] = Index(
                Ref(node.number, 0), mask.decision, mask.choice
            )
            self.values[Ref(node.number, 1)] = Slot(Ref(node.number, 1), mask.decision, mask.choice)
            return SEVERAL
        if name == "any" and mask.per == "slot" and node.out.ndim == 1:
            return Mask(ref, mask.decision, mask.choice)
        if name in ASKS:
            return Control(ref)
        if name in ("where", "nonzero", "argwhere"):
            raise Unlike("it numbers the choices of rows in a way that is not known")
        return None

    def _sum(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        """(weights * mask).sum(-1): the weight that each row gives to a branch."""
        value = args[0]
        if (
            isinstance(value, Partial)
            and self.decisions[value.decision].slots
            and len(value.options) == 1
            and node.out.ndim <= 2
        ):
            ((choice, weights),) = value.options
            return Weighted(ref, value.decision, choice, weights, everyone=True)
        return None

    def _repeat_interleave(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        if (
            isinstance(args[0], Numbers)
            and len(args) == 2
            and isinstance(args[1], int)
            and not kwargs
        ):
            return replace(args[0], ref=ref, times=args[1])
        return None

    def _negated(self, name: str, ref: Ref, args: Any) -> Any:
        one = (
            name in NOT
            or (name == "rsub" and args[1] == 1)
            or (name == "sub" and not is_value(args[0]) and args[0] == 1)
        )
        mask = args[1] if name == "sub" else args[0]
        if one and isinstance(mask, Mask) and self.decisions[mask.decision].branches == 2:
            return Mask(ref, mask.decision, 1 - mask.choice)
        return None

    def _arange(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        length = node.out.shape[0]
        return (
            Numbers(ref, ())
            if length
            and length % self.rows == 0
            and int(node.out[0]) == 0
            and int(node.out[-1]) == length - 1
            else None
        )

    def _ones_like(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        return All(ref) if node.out.dtype == torch.bool else None

    _ones = _ones_like

    def _getitem(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        value, key = args
        keys = key if isinstance(key, tuple) else (key,)
        first, rest = keys[0], keys[1:]
        whole = all(k is None or k is Ellipsis or k == slice(None) for k in rest)
        columns = [k for k in keys if isinstance(k, int)]
        if (
            isinstance(value, OneHot)
            and len(columns) == 1
            and all(k is None or k is Ellipsis or k == slice(None) or k is columns[0] for k in keys)
        ):
            return Mask(ref, value.decision, columns[0])
        if (
            isinstance(value, (Mask, All, Decided))
            and not is_value(first)
            and whole
            and (first is None or first is Ellipsis or first == slice(None))
        ):
            return replace(value, ref=ref)
        if isinstance(value, Index) and first == slice(None) and rest == (0,):
            return replace(value, ref=ref)
        if isinstance(value, Weighted) and not is_value(first):
            return replace(value, ref=ref)
        if (
            isinstance(value, Weighted)
            and value.everyone
            and isinstance(first, (Mask, Index))
            and (first.decision, first.choice) == (value.decision, value.choice)
        ):
            return replace(value, ref=ref, everyone=False)
        if (
            isinstance(value, Plain)
            and isinstance(first, Index)
            and rest
            and isinstance(rest[0], Slot)
            and all(k is None for k in rest[1:])
        ):
            return Weighted(ref, first.decision, first.choice, value)
        if isinstance(first, Mask) and first.per != "row" and whole:
            if (
                isinstance(value, Numbers)
                and value.times == self.decisions[first.decision].slots
                and first.per == "flat"
            ):
                return Index(ref, first.decision, first.choice)
            if isinstance(value, Plain):
                return Weighted(ref, first.decision, first.choice, value)
            raise Unlike("it gathers by a mask of choices what is not their weights")
        if isinstance(first, All) and whole:
            return value
        if isinstance(first, (Mask, Index)) and whole:
            return self._taken(ref, value, first)
        return None

    def _index_select(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        value, dim, index = args
        return self._taken(ref, value, index) if dim == 0 and isinstance(index, Index) else None

    def _taken(self, ref: Ref, value: Any, key: Mask | Index) -> Any:
        decision = self.decisions[key.decision]
        guard = (key.decision, key.choice)
        if context_of(value) != decision.context and not (
            isinstance(value, Plain) and not value.context
        ):
            raise Unlike("it gathers by a decision rows that did not take it")
        decision.gathers.add(True)
        if isinstance(value, Numbers):
            return Numbers(ref, (*value.context, guard))
        if isinstance(value, OF_DECISIONS):
            raise Unlike("it gathers from a mask")
        return Taken(ref, self.plain(value), guard)

    def _setitem(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        value, key, new = args
        key = key[0] if isinstance(key, tuple) and len(key) == 1 else key
        if isinstance(key, All):
            return self.plain(new)
        if (
            isinstance(new, Scaled)
            and isinstance(key, (Mask, Index))
            and isinstance(new.onto, Taken)
            and new.onto.of is value
        ):
            return self._mixed(ref, value, key, new)
        if isinstance(key, (Mask, Index)):
            return self._written(ref, value, ((key.decision, key.choice),), new)
        if isinstance(key, Numbers):
            return self._written(ref, value, key.context[len(context_of(value)) :], new)
        raise Unlike("it writes into single rows or columns of a tensor")

    def _index_copy(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        value, dim, key, new = args
        return self._setitem(node, ref, (value, key, new), {}) if dim == 0 else None

    def _index_put(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        return (
            self._setitem(node, ref, (args[0], args[1][0], args[2]), {})
            if len(args[1]) == 1
            else None
        )

    def _index_add(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        value, dim, key, new = args
        if dim != 0 or not isinstance(key, (Mask, Index, Numbers)):
            return None
        if isinstance(new, Scaled):
            return self._mixed(ref, value, key, new)
        if not isinstance(key, Numbers) and self.decisions[key.decision].slots:
            return self._mixed(
                ref, value, key, Scaled(ref, key.decision, key.choice, None, self.plain(new))
            )
        added = (
            new if self._zero(value) else Sum(ref, self.plain(value), self.plain(new), node.number)
        )
        return self._setitem(node, ref, (value, key, added), {})

    def _mixed(self, ref: Ref, value: Any, key: Any, new: Scaled) -> Any:
        """One more expert's result, added to those before it."""
        decision = self.decisions[new.decision]
        if not decision.slots or (key.decision, key.choice) != (new.decision, new.choice):
            raise Unlike("it adds an expert's result to the rows of another")
        if (
            isinstance(value, Mixture)
            and value.decision == new.decision
            and value.weights is new.weights
            and new.choice not in value.options
        ):
            return Mixture(
                ref,
                value.context,
                value.decision,
                {**value.options, new.choice: new.result},
                value.base,
                ref.node,
                new.weights,
            )
        if not self._zero(value):
            raise Unlike("it adds an expert's result to something else than zeros")
        return Mixture(
            ref,
            decision.context,
            new.decision,
            {new.choice: new.result},
            value,
            ref.node,
            new.weights,
        )

    def _written(self, ref: Ref, value: Any, guards: tuple[Guard, ...], new: Any) -> Any:
        if not is_value(new):
            raise Unlike("it writes a constant into the rows of a branch")
        return self._merged(ref, self.plain(value), guards, self.plain(new))

    def _merged(self, ref: Ref, value: Any, guards: tuple[Guard, ...], new: Any) -> Any:
        if not guards:
            return new
        (decision, choice), rest = guards[0], guards[1:]
        context = self.decisions[decision].context
        if context_of(value) != context:
            raise Unlike("it writes rows of a branch among rows that did not take it")
        options, base = (
            (dict(value.options), value.base)
            if isinstance(value, Select) and value.decision == decision
            else ({}, value)
        )
        before = options.get(choice, Taken(ref, base, (decision, choice)))
        options[choice] = self._merged(ref, before, rest, new)
        return Select(ref, context, decision, options, base, ref.node)

    def _where(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        mask, yes, no = args
        if not isinstance(mask, Mask):
            return None
        if not is_value(yes) or not is_value(no):
            raise Unlike("it chooses between rows and a constant")
        decision = self.decisions[mask.decision]
        decision.gathers.add(False)
        value = self._merged(ref, self.plain(no), ((mask.decision, mask.choice),), self.plain(yes))
        if decision.branches == 2:
            value.options.setdefault(1 - mask.choice, value.base)
        return value

    def _mul(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        for weighted, other in (args, args[::-1]):
            if isinstance(weighted, Weighted) and is_value(other):
                return Scaled(
                    ref, weighted.decision, weighted.choice, weighted.weights, self.plain(other)
                )
        for mask, other in (args, args[::-1]):
            if isinstance(mask, Mask) and is_value(other) and not isinstance(other, OF_DECISIONS):
                if not self.decisions[mask.decision].slots:
                    self.decisions[mask.decision].gathers.add(False)
                return Partial(ref, mask.decision, ((mask.choice, self.plain(other)),))
        return None

    _rmul = _imul = _mul

    def _add(self, node: Node, ref: Ref, args: Any, kwargs: Any) -> Any:
        one, other = args
        for scaled, onto in ((one, other), (other, one)):
            if (
                isinstance(scaled, Scaled)
                and isinstance(onto, Taken)
                and onto.guard == (scaled.decision, scaled.choice)
            ):
                return replace(scaled, ref=ref, onto=onto)
        if (
            isinstance(one, Partial)
            and isinstance(other, Partial)
            and one.decision == other.decision
        ):
            return Partial(ref, one.decision, (*one.options, *other.options))
        for partial, value in ((one, other), (other, one)):
            if isinstance(partial, Partial) and (
                self._zero(value) or (not is_value(value) and value == 0)
            ):
                return partial
            if isinstance(partial, Partial) and is_value(value):
                value = self.plain(value)
                options = {b: Sum(ref, value, new, node.number) for b, new in partial.options}
                return Select(
                    ref,
                    self.decisions[partial.decision].context,
                    partial.decision,
                    options,
                    value,
                    node.number,
                )
        return None

    _radd = _iadd = _add

    def _zero(self, value: Any) -> bool:
        return isinstance(value, Plain) and self.tape.nodes[value.ref.node].name in ZEROS


def joined(contexts: list[Context], name: str) -> Context:
    """The deepest of contexts that lie on one path."""
    deepest = max(contexts, key=len, default=())
    if any(deepest[: len(c)] != c for c in contexts):
        raise Unlike(f"rows of different branches meet in {name or 'a module'}")
    return deepest
