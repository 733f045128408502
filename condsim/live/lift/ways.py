"""The ways through a forward that decides in Python, side by side.

The longest way is the reference. Any other one goes along with it, parts from it where a question
was answered in another way, and may join it again: a layer that is skipped, an exit, the other one
of two branches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_leaves

from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.questions import QuestionTape

RunWith = Callable[[Sequence[bool], bool], QuestionTape]
"""(answers to the first questions, to all later ones) → the run that hears them."""
SAME_CALLS = "whatever it asks in Python, it calls the same parts"
OTHER_WAYS = "the ways through its `if`s part and join in other places than one after the other"


class OneWay(NotLiftable):
    """The forward makes the same calls whatever Python hears."""


@dataclass(frozen=True)
class Parting:
    """Where another way leaves the reference, and where they go on together.

    at: calls of the reference before it. join: the call of it that both go on with. section: the
    calls of the other way alone. question: the last one that was asked before. swaps: tensor of the
    reference → what stands for it on the other way, for those that are read after `join`. run: one
    that goes this way. outputs: the tensors that it gave.
    """

    at: int
    join: int
    section: tuple[Node, ...]
    question: int
    swaps: dict[Ref, Ref]
    run: QuestionTape

    def takes(self, node: int) -> bool:
        """Whether the reference alone makes a call."""
        return self.at <= node < self.join


@dataclass(frozen=True)
class Followed:
    """How a run goes along with the reference.

    parted: place → whether it parted there. answers: place → what it had heard before, all of it.
    """

    parted: dict[int, bool]
    answers: dict[int, tuple[bool, ...]]


@dataclass(frozen=True)
class Ways:
    """The reference and what parts from it, in the order of the places. runs: all that were run."""

    reference: QuestionTape
    partings: tuple[Parting, ...]
    runs: tuple[Followed, ...]


def find_ways(run_with: RunWith) -> Ways:
    """All ways through a forward. Raises OneWay for a single one, NotLiftable for no order."""
    reference = _longest(run_with)
    questions = reference.questions
    if not questions:
        raise OneWay("it asks no tensor in Python")
    answers = [question.answer for question in questions]
    partings: dict[int, Parting] = {}
    runs = [Followed({}, {})]
    others: list[QuestionTape] = []
    for flips_later in (False, True):
        for number in range(len(answers)):
            other_answers = [*answers[:number], not answers[number]]
            if not flips_later:
                other_answers += answers[number + 1 :]
            last_answer = not answers[number] if flips_later else answers[-1]
            run = run_with(other_answers, last_answer)
            if find_parting(reference, run, partings):
                others.append(run)
    if not any(_calls_a_part(reference, parting) for parting in partings.values()):
        raise OneWay(SAME_CALLS)
    runs = []
    for run in (reference, *others):
        followed = follow(reference, run, partings)
        if followed is None:
            raise NotLiftable(OTHER_WAYS)
        runs.append(followed)
    in_order = tuple(partings[place] for place in sorted(partings))
    return Ways(reference, in_order, tuple(runs))


def _calls_a_part(reference: QuestionTape, parting: Parting) -> bool:
    """Whether one of two ways calls a submodule that the other one does not call."""
    alone = (*reference.nodes[parting.at : parting.join], *parting.section)
    return any(node.module is not None for node in alone)


def _longest(run_with: RunWith) -> QuestionTape:
    """The run of the most calls, found answer by answer."""
    longest = max((run_with((), later) for later in (False, True)), key=_calls)
    number = 0
    while number < len(longest.questions):
        answers = [question.answer for question in longest.questions]
        for later in (False, True):
            run = run_with([*answers[:number], not answers[number]], later)
            if _calls(run) > _calls(longest):
                longest = run
        number += 1
    return longest


def _calls(run: QuestionTape) -> int:
    return len(run.nodes)


def find_parting(reference: QuestionTape, run: QuestionTape, partings: dict[int, Parting]) -> bool:
    """Add the place where a run parts from the reference that is not known yet.

    Returns whether the run tells anything: not one that parts in several unknown places.
    """
    if follow(reference, run, partings) is not None:
        return True
    at = 0
    shorter = min(len(reference.nodes), len(run.nodes))
    while at < shorter and _same_call(reference.nodes[at], run.nodes[at]):
        at += 1
    if at in partings:
        return False
    asked = [number for number, one in enumerate(reference.questions) if one.after <= at]
    if not asked:
        raise NotLiftable("it makes other calls for the same input")
    partings[at] = _parting(reference, run, at, asked[-1])
    return True


def _parting(reference: QuestionTape, run: QuestionTape, at: int, question: int) -> Parting:
    """The parting at a place. Raises NotLiftable where the ways do not join in any order."""
    most = min(len(reference.nodes), len(run.nodes)) - at
    together = 0
    while together < most and _alike(reference.nodes[-together - 1], run.nodes[-together - 1]):
        together += 1
    while True:
        join, other_join = len(reference.nodes) - together, len(run.nodes) - together
        swaps = _swaps(reference, run, join, other_join)
        if isinstance(swaps, dict):
            swaps = {one: other for one, other in swaps.items() if one != other or other.node >= at}
            section = tuple(run.nodes[at:other_join])
            return Parting(at, join, section, question, swaps, run)
        if together == 0:
            raise NotLiftable(OTHER_WAYS)
        together = swaps


def _swaps(
    reference: QuestionTape, run: QuestionTape, join: int, other_join: int
) -> dict[Ref, Ref] | int:
    """What stands for a tensor of the reference where two ways go on together.

    Where a call reads something else on both, fewer calls are common: how many are behind it.
    """
    swaps: dict[Ref, Ref] = {}
    together = len(reference.nodes) - join
    for behind in range(together, 0, -1):
        pairs = zip(reference.nodes[-behind].read, run.nodes[-behind].read, strict=True)
        if not all(_swap(swaps, one, other, join, other_join) for one, other in pairs):
            return behind - 1
    for one, other in zip(_outputs(reference), _outputs(run), strict=True):
        if isinstance(one, Ref) != isinstance(other, Ref):
            raise NotLiftable("it gives results of unlike kinds on its ways")
        if isinstance(one, Ref) and not _swap(swaps, one, other, join, other_join):
            return max(together - 1, 0) if together else _no_order()
    return swaps


def _no_order() -> int:
    raise NotLiftable(OTHER_WAYS)


def _outputs(run: QuestionTape) -> list[Any]:
    """The leaves of what a run gave."""
    leaves: list[Any] = tree_leaves(run.output)
    return leaves


def _swap(swaps: dict[Ref, Ref], one: Ref, other: Ref, join: int, other_join: int) -> bool:
    """Note that `other` stands for `one`; False where that cannot be."""
    if one.node >= join or other.node >= other_join:
        same_call = one.node - join == other.node - other_join
        return same_call and one.item == other.item
    return swaps.setdefault(one, other) == other


def _same_call(one: Node, other: Node) -> bool:
    """Whether two runs make the same call of the same tensors."""
    return _alike(one, other) and one.read == other.read


def _alike(one: Node, other: Node) -> bool:
    """Whether two runs call the same with the same constants, whatever tensors they give it."""
    if one.module is not other.module or one.name != other.name:
        return False
    leaves, spec = tree_flatten((one.args, one.kwargs))
    other_leaves, other_spec = tree_flatten((other.args, other.kwargs))
    if spec != other_spec:
        return False
    return all(_same_leaf(*pair) for pair in zip(leaves, other_leaves, strict=True))


def _same_leaf(one: Any, other: Any) -> bool:
    if isinstance(one, Ref) or isinstance(other, Ref):
        return isinstance(one, Ref) and isinstance(other, Ref)
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        return one is other
    return type(one) is type(other) and bool(one == other)


def follow(
    reference: QuestionTape, run: QuestionTape, partings: dict[int, Parting]
) -> Followed | None:
    """How a run goes along with the reference; None where it parts in a place that is unknown."""
    parted: dict[int, bool] = {}
    answers: dict[int, tuple[bool, ...]] = {}
    here, there = 0, 0
    while True:
        known = partings.get(here)
        if known is not None:
            heard = [one.answer for one in run.questions if one.after <= there]
            answers[here] = tuple(heard)
            parted[here] = not _goes_on(reference, run, here, there)
            if parted[here]:
                if not _takes_section(known, run, there):
                    return None
                there += len(known.section)
                here = known.join
                continue
        if here == len(reference.nodes) or there == len(run.nodes):
            both_end = here == len(reference.nodes) and there == len(run.nodes)
            return Followed(parted, answers) if both_end else None
        if not _alike(reference.nodes[here], run.nodes[there]):
            return None
        here, there = here + 1, there + 1


def _goes_on(reference: QuestionTape, run: QuestionTape, here: int, there: int) -> bool:
    """Whether the next calls of both are alike."""
    if here == len(reference.nodes) or there == len(run.nodes):
        return False
    return _alike(reference.nodes[here], run.nodes[there])


def _takes_section(parting: Parting, run: QuestionTape, there: int) -> bool:
    """Whether a run goes on with the other way's own calls."""
    calls = run.nodes[there : there + len(parting.section)]
    if len(calls) < len(parting.section):
        return False
    return all(_alike(*pair) for pair in zip(parting.section, calls, strict=True))
