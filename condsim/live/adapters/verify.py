"""Whether a lifted forward does what the module's own forward does, and under which strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from condsim.live.execution import Execution, executing
from condsim.live.expert_forms import EXPERT_FORMS
from condsim.live.lift.lifted import Lifted
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.tape import Ref, tensor_of
from condsim.mechanisms import MECHANISMS

ROOM_A_ROW = 64
"""Rows that every expert has room for, a row of the tape: enough for all of them."""
RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""How far results may be apart that differ in the order of sums."""


def check_same_bits(
    lifted: Lifted,
    own_forward: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Compare a lifted forward with the module's own, bit by bit.

    They are compared on the tape's batch, where every branch has rows, and on a call of the user's,
    where rows go where the module sends them. Raises NotLiftable where they differ.
    """
    captured = {site.name: site.captured for site in lifted.sites.values()}
    outputs = _run_taped(lifted, captured)
    on_tape = _same(outputs, _taped(lifted))
    if on_tape:
        with executing(Execution()):
            own = _tensors(own_forward(*args, **kwargs))
        with executing(Execution(captured)):
            again = _tensors(lifted(*args, **kwargs))
    if not on_tape or not _same(own, again):
        raise NotLiftable("what was read from it does not give its own output bit by bit")


def agreeing_strategies(lifted: Lifted) -> dict[str, tuple[str, ...]]:
    """Mechanism → strategies that give the module's result, its own first.

    Raises NotLiftable where sites of one mechanism run in different ways, or where a branch gives
    another result for its rows alone.
    """
    sites_by_mechanism: dict[str, list[LiftedSite]] = {}
    for site in lifted.sites.values():
        sites = sites_by_mechanism.setdefault(site.mechanism, [])
        sites.append(site)
    offers = {}
    for mechanism, sites in sites_by_mechanism.items():
        own = {site.captured for site in sites}
        if len(own) > 1:
            ways = ", ".join(sorted(own))
            raise NotLiftable(f"it runs its {mechanism} sites in different ways ({ways})")
        offered = list(own)
        for strategy in _candidates(mechanism, sites):
            if strategy not in own and _agrees(lifted, sites, strategy):
                offered.append(strategy)
        kind = MECHANISMS[mechanism]
        if not kind.mixes_experts and kind.alone not in offered:
            raise NotLiftable(
                f"its {mechanism} branches give another result when they see their rows alone"
            )
        offers[mechanism] = tuple(offered)
    return offers


def _candidates(mechanism: str, sites: list[LiftedSite]) -> tuple[str, ...]:
    """Strategies that could run the sites of a mechanism."""
    kind = MECHANISMS[mechanism]
    stacks = [site.experts is not None and site.experts.stacks for site in sites]
    if kind.mixes_experts and all(stacks):
        return tuple(EXPERT_FORMS)
    return kind.marked


def _agrees(lifted: Lifted, sites: list[LiftedSite], strategy: str) -> bool:
    """Whether some sites under a strategy give the taped result, but for the order of sums."""
    strategies = {site.name: site.captured for site in lifted.sites.values()}
    for site in sites:
        strategies[site.name] = strategy
    outputs = _run_taped(lifted, strategies)
    return _close(outputs, _taped(lifted))


def _taped(lifted: Lifted) -> list[torch.Tensor]:
    """The result of the module's own forward on the tape."""
    leaves = tree_leaves(lifted.tape.output)
    return [tensor_of(lifted.tape, leaf) for leaf in leaves if isinstance(leaf, Ref)]


def _run_taped(lifted: Lifted, strategies: Mapping[str, str]) -> list[torch.Tensor]:
    """The result of the lifted forward on the tape's batch, with the tape's decisions.

    strategies: site → strategy.
    """
    inputs = [node.out for node in lifted.tape.nodes if node.fn is None]
    room = ROOM_A_ROW * len(inputs[0])
    execution = Execution(strategies, forced=lifted.forced(), room=room)
    with executing(execution):
        return _tensors(lifted(*inputs))


def _tensors(result: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def _same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """Whether results are the same bit by bit."""
    if len(a) != len(b):
        return False
    return all(map(torch.equal, a, b))


def _close(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """Whether results are the same but for the order of sums."""
    if [x.shape for x in a] != [y.shape for y in b]:
        return False
    for x, y in zip(a, b, strict=True):
        if not torch.allclose(x, y, rtol=RELATIVE, atol=ABSOLUTE):
            return False
    return True
