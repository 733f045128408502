"""What lives at the peak of a training step, each part by its name, and where the peak is.

    peak = weights + optimizer state + the largest sum of gradients, saved tensors, temporaries

It is bookkeeping on the calls of a step in executed order, not a cost model: storages are counted
as the recorder saw them made and dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from condsim.cost.device import Target
from condsim.lowered import Call, Lowered
from condsim.program import Dim, Op, Program, Tensor, elements
from condsim.program.stages import (
    BACKWARD,
    FORWARD,
    OPTIMIZER,
    name_of_stage,
    number_of_stage,
)

OF_SITE = "@"
"""In the names of extents that say how many weights there are."""
STATE = "/"
"""Between the name of a weight and that of what an optimizer keeps for it."""

GRADIENTS, SAVED, TEMPORARIES = "gradients", "saved", "temporaries"
ROUTER, BRANCHES, REST = "router", "branches", "rest"
"""Where a tensor comes from: deciding, what decisions guard (experts, too), everything else."""

Part = tuple[str, str]
"""(gradients, saved or temporaries; router, branches or rest)."""


NAMES: Mapping[Part, str] = {
    (GRADIENTS, REST): "gradients",
    (GRADIENTS, BRANCHES): "gradients of branches",
    (GRADIENTS, ROUTER): "gradients of routers",
    (SAVED, REST): "saved tensors",
    (SAVED, BRANCHES): "saved tensors of branches",
    (SAVED, ROUTER): "saved tensors of routers",
    (TEMPORARIES, REST): "temporaries",
    (TEMPORARIES, BRANCHES): "temporaries of branches",
    (TEMPORARIES, ROUTER): "temporaries of routers",
}
"""What the parts are called where a person reads."""


@dataclass(frozen=True)
class PeakPlace:
    """Where a step has most bytes alive: an operator, its module, the stage that it belongs to."""

    operator: str = ""
    module: str = ""
    stage: str = ""

    def __str__(self) -> str:
        where = f" of {self.module}" if self.module else ""
        return f"{self.operator}{where} in the {self.stage}"


@dataclass(frozen=True)
class TrainingPeak:
    """Bytes of a training step. parts: what is alive at the peak beside weights and state."""

    weights_bytes: int
    optimizer_bytes: int
    parts: Mapping[Part, int]
    place: PeakPlace = field(default_factory=PeakPlace)

    def of_kind(self, kind: str) -> int:
        """Bytes of gradients, saved tensors or temporaries."""
        return sum(size for (of, _), size in self.parts.items() if of == kind)

    @property
    def alive_bytes(self) -> int:
        """Bytes of the step's own tensors at the peak."""
        return sum(self.parts.values())

    @property
    def bytes(self) -> int:
        """All bytes at the peak."""
        return self.weights_bytes + self.optimizer_bytes + self.alive_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "weights_bytes": self.weights_bytes,
            "optimizer_bytes": self.optimizer_bytes,
            **{f"{kind}_bytes": self.of_kind(kind) for kind in (GRADIENTS, SAVED, TEMPORARIES)},
            "parts": {NAMES[part]: size for part, size in self.parts.items()},
            "peak_in": str(self.place),
        }


def training_peak(lowered: Lowered, target: Target, steps: np.ndarray) -> TrainingPeak:
    """The peak of the step that needs most of some. steps: their numbers."""
    largest = None
    for step in steps:
        sizes = {name: int(values[step]) for name, values in lowered.steps.extents.items()}
        weights, state = resident_bytes(lowered.program, target, sizes)
        parts, place = _peak_of(lowered, target, int(step))
        peak = TrainingPeak(weights, state, parts, place)
        if largest is None or peak.bytes > largest.bytes:
            largest = peak
    assert largest is not None
    return largest


def memory_waterfall(conditional: TrainingPeak, dense: TrainingPeak) -> pd.DataFrame:
    """Return what each part takes at the peak of each side.

    A row a part, and one for all: part, dense_bytes, conditional_bytes, added_bytes (what the
    conditional side takes more; below 0 where it saves).
    """
    rows = [
        ("weights", dense.weights_bytes, conditional.weights_bytes),
        ("optimizer state", dense.optimizer_bytes, conditional.optimizer_bytes),
    ]
    for kind in (GRADIENTS, SAVED, TEMPORARIES):
        for origin in (REST, BRANCHES, ROUTER):
            part = (kind, origin)
            sizes = (dense.parts.get(part, 0), conditional.parts.get(part, 0))
            if any(sizes):
                rows.append((NAMES[part], *sizes))
    rows.append(("all", dense.bytes, conditional.bytes))
    table = pd.DataFrame(rows, columns=["part", "dense_bytes", "conditional_bytes"])
    table["added_bytes"] = table["conditional_bytes"] - table["dense_bytes"]
    return table


# What lives all the time.


def resident_bytes(program: Program, target: Target, extents: Mapping[str, int]) -> tuple[int, int]:
    """(bytes of the weights and buffers that a program uses, of what the optimizer keeps).

    extents: of the step, which sparse weights follow.
    """
    sizes: dict[str, float] = {}
    for tensor, choices in _named_tensors(program):
        if any(not _lasts(dim) for dim in tensor.dims):
            continue
        size = elements(tensor.shape(extents)) * target.bytes_an_element(tensor.dtype)
        for name in _names(tensor.weight, choices):
            sizes[name] = max(sizes.get(name, 0), size)
    state = sum(size for name, size in sizes.items() if STATE in name)
    return int(sum(sizes.values()) - state), int(state)


def _lasts(dim: Dim) -> bool:
    """Whether a size is the same in all of a step: no number of rows, but that of weights."""
    followed: set[str] = set()
    followed.update(*[extents for _, extents in dim.terms])
    return all(OF_SITE in extent for extent in followed)


def _named_tensors(program: Program) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """Weights and state that operators read, with the choices that a "*" in a name stands for."""
    for placed in program.scopes:
        choices: tuple[int, ...] = ()
        if placed.parent >= 0:
            loop = program.scopes[placed.parent].scope.nodes[placed.loop]
            assert not isinstance(loop, Op)
            choices = loop.choices if placed.key[0] < 0 else placed.key[:1]
        for node in placed.scope.nodes:
            if isinstance(node, Op):
                for tensor in node.inputs:
                    if tensor.weight:
                        yield tensor, choices


def _names(weight: str, choices: tuple[int, ...]) -> list[str]:
    """The names that a name with a "*" stands for."""
    if not any(part.endswith("*") for part in weight.split(".")):
        return [weight]
    return [weight.replace("*", str(choice)) for choice in choices]


# What a step makes.


@dataclass(frozen=True)
class Storages:
    """The storages of one step; int [storages] each.

    born: the call that makes it. dead: the last call that it lives in. bytes: of it.
    """

    born: np.ndarray
    dead: np.ndarray
    bytes: np.ndarray

    def alive(self, calls: int) -> np.ndarray:
        """Bytes alive in each call, int [calls]."""
        change = np.zeros(calls + 1, np.int64)
        np.add.at(change, self.born, self.bytes)
        np.add.at(change, self.dead + 1, -self.bytes)
        return np.cumsum(change)[:-1]


def storages(lowered: Lowered, target: Target, calls: list[Call], step: int) -> Storages:
    """The storages that a step makes. calls: of the step in executed order."""
    order = lowered.played(step).order
    dies = {(died.call, died.alloc): after for after, died in order.deaths}
    rows = []
    for number, call in enumerate(calls):
        for alloc, (count, dtype) in enumerate(call.born):
            last = dies.get((number, alloc), len(calls) - 1)
            rows.append((number, last, count * target.itemsize(dtype)))
    born, dead, sizes = np.array(rows, np.int64).reshape(-1, 3).T
    return Storages(born, dead, sizes)


def _peak_of(lowered: Lowered, target: Target, step: int) -> tuple[dict[Part, int], PeakPlace]:
    """What is alive at the peak of one step, by part, and where the peak is."""
    program = lowered.program
    calls = lowered.sequence(step)
    made = storages(lowered, target, calls, step)
    stages = np.array([_stage(program, call) for call in calls])
    names = [name_of_stage(program.stages, number) for number in range(len(program.stages) + 1)]
    peak = int(np.argmax(made.alive(len(calls))))
    alive = np.flatnonzero((made.born <= peak) & (made.dead >= peak))
    parts: dict[Part, int] = {}
    for number in alive:
        born, dead = int(made.born[number]), int(made.dead[number])
        ends_where_it_began = stages[born] == stages[dead]
        kind = TEMPORARIES if ends_where_it_began else _kind(names[stages[born]])
        part = (kind, _origin(calls[born]))
        parts[part] = parts.get(part, 0) + int(made.bytes[number])
    op = calls[peak].op
    return parts, PeakPlace(op.name, op.module, names[stages[peak]])


def _stage(program: Program, call: Call) -> int:
    """The number of the stage that a call belongs to."""
    scope, node = call.place
    path = program.scopes[scope].path
    position = path[0][0] if path else node
    return number_of_stage(program.stages, position)


def _kind(born: str) -> str:
    """What a storage is for that outlives the stage which it is born in.

    What the forward makes and the backward still has was saved for it; what the backward makes and
    the optimizer still has, or the next micro-batch, is a gradient.
    """
    return {FORWARD: SAVED, BACKWARD: GRADIENTS, OPTIMIZER: TEMPORARIES}[born]


def _origin(call: Call) -> str:
    if call.op.role:
        return ROUTER
    return BRANCHES if call.op.site or call.guards else REST
