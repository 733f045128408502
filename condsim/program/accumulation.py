"""Gradient accumulation: a training step of several micro-batches and one optimizer step.

The first micro-batch makes gradients, every later one adds to them. So a step is recorded with two
micro-batches, and a step of N runs what the second one runs N - 1 times. All are routed alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from condsim import checks
from condsim.errors import CondsimError
from condsim.program.model import Free, Loop, Op, Program, Scope

RECORDED = 2
"""Micro-batches of a step that is recorded, where a step has several."""
STAGES_RECORDED = 4
"""Of such a step, after its first forward: backward, forward, backward, optimizer."""
MOST_MICRO_BATCHES = 128


def check_accumulate(value: object) -> None:
    """Raises CondsimError for a number of micro-batches that no step has."""
    checks.whole("accumulate", value, least=1, most=MOST_MICRO_BATCHES)


def accumulates(program: Program) -> bool:
    """Whether a program was recorded with more than one micro-batch."""
    return len(program.stages) == STAGES_RECORDED


def accumulated(program: Program, micro_batches: int) -> Program:
    """Return the program of a step of so many micro-batches.

    program: as recorded. Raises CondsimError where it was recorded with one micro-batch and more
    are asked for.
    """
    if not accumulates(program):
        if micro_batches > 1:
            raise CondsimError(
                f"accumulate: program {program.strategy}/{program.regime} was captured without "
                "accumulation, and what a second micro-batch runs is unknown; capture with "
                "Training(accumulate=2) or more (condsim capture --train --accumulate N)"
            )
        return program
    if micro_batches == RECORDED:
        return program
    return _unrolled(program, micro_batches)


def _unrolled(recorded: Program, micro_batches: int) -> Program:
    """A recorded step whose second micro-batch runs another number of times."""
    first_backward, second, second_backward, optimizer = recorded.stages
    parts = [_Part(recorded, number) for number in range(micro_batches - 1)]
    end = _Part(recorded, micro_batches - 2, is_optimizer=True)
    nodes = list(recorded.root.nodes[:second])
    frees = [free for free in recorded.root.frees if free.position < second]
    stages = [first_backward]
    for part in parts:
        nodes += part.nodes(second, optimizer)
        frees += part.frees(second, optimizer)
        stages += [second + part.shift, second_backward + part.shift]
    stages.append(len(nodes))
    last = len(recorded.root.nodes)
    nodes += end.nodes(optimizer, last)
    frees += end.frees(optimizer, last)
    root = Scope(tuple(nodes), tuple(frees))
    return replace(recorded, root=root, stages=tuple(stages))


@dataclass(frozen=True)
class _Part:
    """A micro-batch after the first, or the optimizer that follows the last one.

    number: of the micro-batch among those after the first; -1 for the optimizer of a step that has
    the first one only.
    """

    recorded: Program
    number: int
    is_optimizer: bool = False

    @property
    def shift(self) -> int:
        """How many nodes it stands behind its place as recorded."""
        _, second, _, optimizer = self.recorded.stages
        return self.number * (optimizer - second)

    def nodes(self, begin: int, end: int) -> list[Op | Loop]:
        """Its nodes. begin, end: those that are recorded of it."""
        return [self._node(node) for node in self.recorded.root.nodes[begin:end]]

    def frees(self, begin: int, end: int) -> list[Free]:
        """The deaths after its nodes. begin, end: as of `nodes`."""
        dying = []
        for free in self.recorded.root.frees:
            if begin <= free.position < end:
                moved = replace(free, position=free.position + self.shift)
                dying += self._of_maker(moved)
        return dying

    def _node(self, node: Op | Loop) -> Op | Loop:
        if isinstance(node, Op):
            return node
        bodies = {key: self._body(body) for key, body in node.bodies.items()}
        return replace(node, bodies=bodies)

    def _body(self, scope: Scope) -> Scope:
        frees: list[Free] = []
        for free in scope.frees:
            frees += self._of_maker(free)
        return Scope(tuple(self._node(node) for node in scope.nodes), tuple(frees))

    def _of_maker(self, free: Free) -> list[Free]:
        """A death that names the node which makes what dies here; [] where no node does."""
        maker = self._maker(free.path[0][0] if free.path else free.op)
        if maker is None:
            return []
        if not free.path:
            return [replace(free, op=maker)]
        outermost, *inner = free.path
        return [replace(free, path=((maker, *outermost[1:]), *inner))]

    def _maker(self, node: int) -> int | None:
        """The node of the root that makes what dies here; None for none. node: as recorded.

        What the second micro-batch lets go of and the first forward made was made, for a later
        one, by the forward before it.
        """
        first_backward, second, _, optimizer = self.recorded.stages
        if node >= second:
            is_there = self.number >= 0 or node >= optimizer
            return node + self.shift if is_there else None
        if self.is_optimizer or self.number == 0:
            return node
        before = self.shift - (optimizer - second)
        return second + node + before if node < first_backward else None
