"""A module's forward, lifted: its own calls put behind `condsim.route` and `condsim.branch`.

So it can run under every strategy and baseline. Nothing is added to what the forward does, and no
call is changed but those that gather and scatter rows. In-place changes become new tensors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from condsim.live.equality import close, same_bits, tensors_of
from condsim.live.lift.environment import (
    Environment,
    Run,
    Variable,
    forgetting,
    tensor_variable,
)
from condsim.live.lift.meanings import is_value
from condsim.live.lift.placement import Place, Placement
from condsim.live.lift.program import Program
from condsim.live.lift.reader import read_tape
from condsim.live.lift.reading import Reading
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.tape import Tape, outputs_of
from condsim.live.lift.two_tapes import require_same_calls


@dataclass(frozen=True)
class Trial:
    """What a forward gave on its tape for some decisions.

    forced: site → branches of each row, int64 [rows] or [rows, k]. outputs: the tensors it gave.
    """

    forced: Mapping[str, np.ndarray]
    outputs: list[torch.Tensor]


class LiftedForward(ABC):
    """What is called in place of a host's forward.

    exact: whether it gives the same bits, or the same but for the order of sums.
    written: whether the own forward itself runs where nothing else is asked for: its calls are the
    same whatever is decided. drops: whether rows may be sent nowhere. runs_own: whether it runs the
    own forward, unseen, to learn what that decides.
    asks_batch: whether what is decided is one answer for the whole batch.
    how_read: what a note says of it. {host}: the module.
    tape: a run of the forward. offers: mechanism → the strategies that give the forward's own
    result, known once that was compared. left_out: strategy that does not → why.
    """

    exact = True
    written = False
    drops = False
    runs_own = False
    asks_batch = False
    how_read = (
        "read from the forward of {host}, whose gathers and scatters run as index_select, "
        "index_copy and where"
    )
    _inputs: list[Variable]
    _runs: list[Run]
    _output: list[Any]  # of the forward, with a variable for every tensor
    _output_spec: TreeSpec

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.offers: dict[str, tuple[str, ...]] = {}
        self.left_out: dict[str, str] = {}

    @property
    @abstractmethod
    def sites(self) -> Mapping[int, LiftedSite]:
        """Node of a decision → what it decides."""

    @property
    @abstractmethod
    def calls(self) -> int:
        """How many calls have a place in it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The forward's result."""
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        environment: Environment = dict(zip(self._inputs, tensors, strict=True))
        del tensors
        for run in self._runs:
            run(environment)
        output = []
        for leaf in self._output:
            value = environment[leaf] if isinstance(leaf, Variable) else leaf
            output.append(value)
        return tree_unflatten(output, self._output_spec)

    @abstractmethod
    def forced(self) -> dict[str, np.ndarray]:
        """Site → branches of each row of the tape, int64 [rows] or [rows, k]."""

    def trials(self) -> list[Trial]:
        """What to hold the lifted forward against: the run on the tape."""
        return [Trial(self.forced(), outputs_of(self.tape))]

    def agrees(self, own: Any, result: Any) -> bool:
        """Whether a result is the forward's own, as far as it should be."""
        compare = same_bits if self.exact else close
        return compare(tensors_of(own), tensors_of(result))


class Lifted(LiftedForward):
    """A forward all of whose needed calls were read.

    host: the module. path: of the host in the model. reading: of a run on a tape. other: a run at
    another size.
    place: node → where its call belongs.
    Raises NotLiftable where a call that is needed cannot be read.
    """

    def __init__(self, host: nn.Module, path: str, reading: Reading, other: Tape) -> None:
        super().__init__(reading.tape)
        self.host = host
        self._placement = Placement(host, path, reading)
        output, self._output_spec = tree_flatten(reading.output, is_leaf=is_value)
        program = Program(self._placement, other)
        actions = program.actions(())
        self._inputs = [tensor_variable(ref, ()) for ref in program.inputs]
        self._output = []
        for leaf in output:
            value = program.variable(leaf, ()) if is_value(leaf) else leaf
            self._output.append(value)
        kept = {leaf for leaf in self._output if isinstance(leaf, Variable)}
        self._runs = forgetting(actions, kept)

    @classmethod
    def of_tape(cls, host: nn.Module, path: str, rows: int, tape: Tape, other: Tape) -> Lifted:
        """The forward that one tape shows. rows: of the run on it. tape, other: at unlike sizes."""
        require_same_calls(tape, other)
        return cls(host, path, read_tape(tape, rows), other)

    @property
    def sites(self) -> Mapping[int, LiftedSite]:
        return self._placement.sites.of_decision

    @property
    def calls(self) -> int:
        return len(self.place)

    @property
    def place(self) -> Mapping[int, Place]:
        """Node → where its call belongs, of all that are needed."""
        return self._placement.places

    def forced(self) -> dict[str, np.ndarray]:
        """As in the base class; 0 where a row does not get there."""
        taken: dict[int, np.ndarray] = {}
        for number, site in sorted(self.sites.items()):
            decided = self.tape.nodes[number].decided()
            ids = decided.reshape(-1).long().numpy()
            if site.decision.slots:
                ids = ids.reshape(-1, site.decision.slots)
            if site.decision.context:
                outer, choice = site.decision.context[-1]
                arrives = taken[outer] == choice
                shape = (len(arrives), *ids.shape[1:])
                taken[number] = np.full(shape, -1)
                taken[number][arrives] = ids
            else:
                taken[number] = ids
        forced = {}
        for number, site in self.sites.items():
            if site.works is None:
                forced[site.name] = np.maximum(taken[number], 0)
            else:
                enters = taken[number] == site.works
                forced[site.name] = enters.astype(np.int64)
        return forced
