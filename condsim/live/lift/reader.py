"""Read a tape: which tensors are decisions, which calls gather and scatter rows by them."""

from __future__ import annotations

import torch
from torch.utils._pytree import tree_leaves

import condsim.live.lift.row_rules  # noqa: F401  (registers rules)
from condsim.live.lift.mask_rules import of_slots, unchanged
from condsim.live.lift.meanings import (
    BranchIds,
    Context,
    Decision,
    Mask,
    Meaning,
    NotLiftable,
    Plain,
    Unknown,
    context_of,
)
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.reading import Call, Reading
from condsim.live.lift.rules import RULES, Given
from condsim.live.lift.tape import Tape


def read_tape(tape: Tape, rows: int) -> Reading:
    """What the tensors of a tape mean. rows: of the run that was taped."""
    reading = Reading(tape, rows)
    for node in tape.nodes:
        _read_node(reading, node)
    output = reading.with_meanings(tape.output)
    reading.output = reading.with_plain(output)
    return reading


def _read_node(reading: Reading, node: Node) -> None:
    """Find the meanings of a node's results; what cannot be read is unknown, and says why."""
    args, kwargs = reading.with_meanings((node.args, node.kwargs))
    reading.arguments[node.number] = (args, kwargs)
    ref = Ref(node.number)
    if node.is_input:
        has_rows = _is_as_long(node.out, reading.rows)
        reading.values[ref] = Plain(ref, (), has_rows)
        return
    try:
        given = None
        if node.module is None:
            given = _meaning(Call(reading, node, args, kwargs))
        if given is None:
            _read_ordinary_call(reading, node)
        else:
            _keep(reading, node, given)
    except NotLiftable as problem:
        unknown = Unknown(ref, str(problem))
        for result in (ref, *node.results):
            reading.values[result] = unknown


def _meaning(call: Call) -> Given:
    """What a call of a torch function gives where a decision takes part in it, else None."""
    given = unchanged(call)
    if given is not None:
        return given
    if isinstance(call.first, Mask):
        given = of_slots(call, call.first)
        if given is not None:
            return given
    name = call.node.name
    return RULES[name](call) if name in RULES else None


def _keep(reading: Reading, node: Node, given: Meaning | tuple[Meaning, ...]) -> None:
    """Note what a call gives: one meaning, the same for each item, or one for each."""
    if isinstance(given, tuple):
        for item, meaning in enumerate(given):
            reading.values[Ref(node.number, item)] = meaning
    else:
        for ref in node.results:
            reading.values[ref] = given


def _read_ordinary_call(reading: Reading, node: Node) -> None:
    """A call on ordinary tensors gives ordinary tensors; if it may be a decision, it is one."""
    arguments = reading.arguments[node.number]
    reading.arguments[node.number] = reading.with_plain(arguments)
    read = reading.values_read(node.number)
    context = _joined([context_of(value) for value in read], node.name)
    from_rows = any(_has_rows(value) for value in read)
    for ref, tensor in _tensors(node):
        as_many = not read and _is_as_long(tensor, reading.rows)
        has_rows = tensor.ndim > 0 and (from_rows or as_many)
        reading.values[ref] = Plain(ref, context, has_rows)
    if node.fork is not None:
        _read_decision(reading, node, context)


def _tensors(node: Node) -> list[tuple[Ref, torch.Tensor]]:
    """The tensors that a node gives."""
    leaves = [node.out] if node.single else tree_leaves(node.out)
    tensors: list[tuple[Ref, torch.Tensor]] = []
    for ref, leaf in zip(node.results, leaves, strict=True):
        if isinstance(leaf, torch.Tensor):
            tensors.append((ref, leaf))
    return tensors


def _is_as_long(tensor: torch.Tensor, rows: int) -> bool:
    """Whether a tensor has as many items along its first dimension as there are rows."""
    return tensor.ndim > 0 and tensor.shape[0] == rows


def _has_rows(value: Meaning) -> bool:
    return value.rows if isinstance(value, Plain) else True


def _read_decision(reading: Reading, node: Node, context: Context) -> None:
    fork = node.fork
    assert fork is not None
    boolean = node.decided().dtype == torch.bool
    reading.decisions[node.number] = Decision(
        node=node.number,
        branches=fork.branches,
        boolean=boolean,
        context=context,
        slots=fork.slots,
    )
    ref = Ref(node.number, fork.item)
    if boolean:
        reading.values[ref] = Mask(ref, node.number, 1)
    else:
        reading.values[ref] = BranchIds(ref, node.number)


def _joined(contexts: list[Context], name: str) -> Context:
    """The deepest of contexts that lie on one path. name: of the function that joins them."""
    deepest: Context = max(contexts, key=len, default=())
    for context in contexts:
        if deepest[: len(context)] != context:
            raise NotLiftable(f"rows of different branches meet in {name or 'a module'}")
    return deepest
