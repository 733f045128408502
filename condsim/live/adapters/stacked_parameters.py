"""A mixture of experts whose block holds all experts' weights as stacked parameters.

The rule is the structure: two or three parameters [experts, ...] of a block, and a gate of as many
outputs beside them. How the block uses them is found by value (`condsim.live.lift`).
"""

from __future__ import annotations

import contextlib

from torch import nn

from condsim.live.adapters.base import ADAPTERS, LiveSite
from condsim.live.adapters.host_call import HostCall
from condsim.live.adapters.own_forward import OwnForward
from condsim.live.adapters.stacked_projections import is_fused
from condsim.live.adapters.structure import gate_of, marks_itself
from condsim.live.adapters.taped_host import TapedHost
from condsim.live.lift.dispatched import LiftedDispatch, find_stacked_dispatch
from condsim.live.lift.lifted import LiftedForward
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.mixture import LiftedMixture
from condsim.live.lift.stacked_by_value import (
    Stacks,
    find_stacked_mixture,
    stacks_of,
    strategy_of,
)


@ADAPTERS.register("stacked_parameters")
def find(model: nn.Module) -> list[LiveSite]:
    """Blocks with stacked parameters and a gate of as many outputs."""
    sites: list[LiveSite] = []
    for name, block in model.named_modules():
        if marks_itself(block) or is_fused(block):
            continue
        stacks = stacks_of(block)
        if stacks is not None and _has_gate(block, stacks):
            sites.append(StackedParameters(name, block, stacks))
    return sites


def _has_gate(block: nn.Module, stacks: Stacks) -> bool:
    """Whether a child or a matrix of the block has as many outputs as there are experts."""
    if gate_of(block, stacks.experts) is not None:
        return True
    matrices = [parameter for parameter in block.parameters(recurse=False) if parameter.ndim == 2]
    return any(stacks.experts in matrix.shape for matrix in matrices)


class StackedParameters(OwnForward):
    """One such block of a live model."""

    def __init__(self, name: str, block: nn.Module, stacks: Stacks) -> None:
        super().__init__(name, block)
        self.stacks = stacks
        self.taped = TapedHost(block, stacks.experts)

    def _lift(self, call: HostCall, lone: bool) -> LiftedForward:
        tapes = self._both_tapes(call, lone)
        name = self.name or "experts"
        try:
            experts, found = find_stacked_mixture(tapes[0], self.stacks)
            captured = strategy_of(tapes[0], found)
            return self.verified(LiftedMixture(name, tapes, experts, found, captured), call)
        except NotLiftable as reason:
            with contextlib.suppress(NotLiftable):
                tapes = self.taped.unforced(call)
                experts, found = find_stacked_dispatch(tapes[0], self.stacks)
                return self.verified(LiftedDispatch(name, tapes, experts, found), call)
            raise reason from None
