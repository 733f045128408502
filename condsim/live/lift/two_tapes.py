"""What two tapes of one forward at different sizes say together: which numbers are sizes."""

from __future__ import annotations

import copy
from typing import Any

from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.tape import Tape, tensor_of


def require_same_calls(tape: Tape, other: Tape) -> None:
    """Raises NotLiftable where two tapes have other calls."""
    if _calls(tape) != _calls(other):
        raise NotLiftable("it makes other calls for other batch sizes")


def aligned(tape: Tape, other: Tape) -> Tape:
    """The other tape with its calls under the numbers of the first one, as far as both make the
    same from the start on and up to the end; None stands for the others."""
    calls, other_calls = _calls(tape), _calls(other)
    start = _as_many_alike(calls, other_calls)
    end = _as_many_alike(calls[::-1], other_calls[::-1])
    nodes: list[Node | None] = [None] * len(calls)
    nodes[:start] = other.nodes[:start]
    for number in range(max(start, len(calls) - end), len(calls)):
        nodes[number] = other.nodes[number + len(other_calls) - len(calls)]
    found = copy.copy(other)
    found.nodes = nodes  # type: ignore[assignment]
    return found


def _as_many_alike(calls: list[Any], other_calls: list[Any]) -> int:
    """How many calls are the same from the start on."""
    count = 0
    for call, other in zip(calls, other_calls, strict=False):
        if call != other:
            break
        count += 1
    return count


def _calls(tape: Tape) -> list[Any]:
    """What is called, in order."""
    return [node.name or node.module for node in tape.nodes]


def size_on_both(
    tape: Tape, other: Tape, node: Node, sizes: tuple[int, int]
) -> tuple[Ref, tuple[int, ...]]:
    """A tensor and its dimensions whose product has these sizes on the two tapes.

    It is one dimension, or the first ones together (units x positions). The tensor is one of a
    call's own arguments, or of the forward's. Raises NotLiftable where there is none.
    """
    inputs = [Ref(input_node.number) for input_node in tape.nodes if input_node.is_input]
    refs = [ref for ref in (*node.read, *inputs) if other.nodes[ref.node] is not None]
    for ref in refs:
        shapes = zip(tensor_of(tape, ref).shape, tensor_of(other, ref).shape, strict=False)
        for dim, both in enumerate(shapes):
            if both == sizes:
                return ref, (dim,)
    for ref in refs:
        shape, other_shape = tensor_of(tape, ref).shape, tensor_of(other, ref).shape
        for count in range(2, len(shape) + 1):
            if (shape[:count].numel(), other_shape[:count].numel()) == sizes:
                return ref, tuple(range(count))
    raise NotLiftable(f"{node.name or 'a call'} depends on a size that no tensor here has")
