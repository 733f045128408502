"""What two tapes of one forward at different sizes say together: which numbers are sizes."""

from __future__ import annotations

from typing import Any

from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.tape import Node, Ref, Tape, tensor_of


def require_same_calls(tape: Tape, other: Tape) -> None:
    """Raises NotLiftable where two tapes have other calls."""
    if _calls(tape) != _calls(other):
        raise NotLiftable("it makes other calls for other batch sizes")


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
    refs = (*node.read, *inputs)
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
