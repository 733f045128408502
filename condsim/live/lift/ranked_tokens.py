"""Tokens that a forward ranks and gathers, as many in every unit: found by what its tensors hold.

Whatever the index code does, one tensor [units, tokens, ...] holds all tokens, a later one those
that stay, and an index says which they are. Either the tokens that stay are put back among the
others (mixture of depths), or only they go on (pruning).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from condsim.live.equality import close
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.tape import Tape, tensor_of

RANKINGS = {"topk", "sort", "argsort"}


@dataclass(frozen=True)
class Back:
    """How tokens are put back. result: all tokens again. entered: what those that stayed became,
    which is added to what they were where `adds` says so."""

    result: Ref
    entered: Ref
    adds: bool


@dataclass(frozen=True)
class Ranked:
    """A place where tokens are ranked.

    node: the ranking. index: which tokens stay, int [units, kept] or [units, kept, ...], counted
    from `first` on. source: all tokens. taken: those that stay, `first` and others that always do
    among them. back: None where only they go on.
    """

    node: int
    index: Ref
    first: int
    source: Ref
    taken: Ref
    back: Back | None

    def slots(self, tape: Tape) -> torch.Tensor:
        """The tokens that stay in each unit, in the forward's order, int64 [units, kept]."""
        index = flat_index(tensor_of(tape, self.index))
        always = torch.arange(self.first, device=index.device).expand(len(index), self.first)
        return torch.cat([always, index + self.first], 1)


def flat_index(index: torch.Tensor) -> torch.Tensor:
    """An index [units, kept, ...] that is the same along its last dimensions, as [units, kept]."""
    while index.ndim > 2:
        index = index[..., 0]
    return index


def find_ranked(tape: Tape) -> list[Ranked]:
    """The places where tokens are ranked, in order. Raises NotLiftable where there is none."""
    found: list[Ranked] = []
    for node in tape.nodes:
        if node.name in RANKINGS and node.number not in _explained(tape, found):
            place = _place(tape, node)
            if place is not None:
                found.append(place)
    if not found:
        raise NotLiftable("it ranks no tokens, as far as can be seen")
    return found


def _explained(tape: Tape, found: list[Ranked]) -> set[int]:
    """Rankings that only order what an earlier one chose."""
    explained: set[int] = set()
    for place in found:
        between = tape.nodes[place.node : place.taken.node]
        explained.update(node.number for node in between if node.name in RANKINGS)
    return explained


def made_of(tape: Tape, ref: Ref) -> set[int]:
    """The nodes that a tensor is made of, its own among them."""
    found: set[int] = set()
    waiting = [ref.node]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += [read.node for read in tape.nodes[number].read]
    return found


def _place(tape: Tape, ranked: Node) -> Ranked | None:
    """The place of a ranking; None where no tokens are gathered by it."""
    for node in tape.nodes[ranked.number + 1 :]:
        if not node.single or not node.out.is_floating_point() or node.out.ndim < 3:
            continue
        ancestors = made_of(tape, Ref(node.number))
        if ranked.number not in ancestors:
            continue
        for index in _indices(tape, ancestors, ranked.number, node.out):
            source = _gathered_from(tape, node, index)
            if source is not None:
                return _with_others(tape, ranked, node, index, source)
    return None


def _indices(tape: Tape, among: set[int], first: int, taken: torch.Tensor) -> Iterator[Ref]:
    """Yield the tensors that may say which tokens were taken, the last one first."""
    for number in sorted(among, reverse=True):
        node = tape.nodes[number]
        if number < first:
            return
        for ref in node.results:
            if _may_be_index(tensor_of(tape, ref), taken):
                yield ref


def _may_be_index(tensor: torch.Tensor, taken: torch.Tensor) -> bool:
    """Whether a tensor may say which tokens [units, kept, ...] were taken."""
    if tensor.dtype != torch.int64 or tensor.shape[:2] != taken.shape[:2]:
        return False
    return tensor.ndim == 2 or bool((tensor == tensor[..., :1]).all())


def _gathered_from(tape: Tape, taken: Node, index: Ref) -> Ref | None:
    """The tensor that holds all the tokens of which some were taken."""
    return taken_from(tape, taken.out, flat_index(tensor_of(tape, index)), taken.number)


def taken_from(tape: Tape, taken: torch.Tensor, index: torch.Tensor, before: int) -> Ref | None:
    """The last tensor before a node whose tokens [units, kept] of an index are some others."""
    for node in reversed(tape.nodes[:before]):
        for ref in node.results:
            tensor = tensor_of(tape, ref)
            if not _may_hold(tensor, taken, index):
                continue
            rows = torch.arange(len(index)).unsqueeze(1)
            if torch.equal(tensor[rows, index], taken):
                return ref
    return None


def _may_hold(tensor: torch.Tensor, taken: torch.Tensor, index: torch.Tensor) -> bool:
    """Whether a tensor may hold all tokens, by its shape."""
    if tensor.ndim != taken.ndim or tensor.dtype != taken.dtype or tensor.ndim < 2:
        return False
    if tensor.shape[:1] != taken.shape[:1] or tensor.shape[2:] != taken.shape[2:]:
        return False
    return tensor.shape[1] > taken.shape[1] and int(index.max()) < tensor.shape[1]


def _with_others(tape: Tape, ranked: Node, taken: Node, index: Ref, source: Ref) -> Ranked:
    """The place of a ranking, with the tokens that always stay (a class token in front)."""
    for node in tape.nodes[taken.number + 1 :]:
        if node.name != "cat" or Ref(taken.number) not in node.read or not node.single:
            continue
        first = node.out.shape[1] - taken.out.shape[1]
        kept = flat_index(tensor_of(tape, index)) + first
        always = torch.arange(first).expand(len(kept), first)
        whole = taken_from(tape, node.out, torch.cat([always, kept], 1), node.number)
        if first > 0 and whole is not None:
            return Ranked(ranked.number, index, first, whole, Ref(node.number), None)
    place = Ranked(ranked.number, index, 0, source, Ref(taken.number), None)
    back = _back(tape, place)
    return Ranked(ranked.number, index, 0, source, Ref(taken.number), back)


def _is_like(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether tensors have one shape and one dtype."""
    return tensor.shape == other.shape and tensor.dtype == other.dtype


def _back(tape: Tape, place: Ranked) -> Back | None:
    """Where tokens are put back; None where they never are."""
    source, taken = tensor_of(tape, place.source), tensor_of(tape, place.taken)
    slots = place.slots(tape)
    rows = torch.arange(len(slots)).unsqueeze(1)
    passes = torch.ones(source.shape[:2], dtype=torch.bool)
    passes[rows, slots] = False
    for node in tape.nodes[place.taken.node + 1 :]:
        is_whole = node.single and node.out.shape == source.shape
        if not is_whole or place.taken.node not in made_of(tape, Ref(node.number)):
            continue
        if not torch.equal(node.out[passes], source[passes]):
            continue
        entered = node.out[rows, slots]
        for before in reversed(tape.nodes[place.taken.node : node.number]):
            if not before.single or not _is_like(before.out, taken):
                continue
            if close([before.out], [entered]):
                return Back(Ref(node.number), Ref(before.number), adds=False)
            if close([before.out + taken], [entered]):
                return Back(Ref(node.number), Ref(before.number), adds=True)
    return None
