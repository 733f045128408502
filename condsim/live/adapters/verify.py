"""Whether a lifted forward does what the module's own forward does, and under which strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from condsim.errors import summary
from condsim.live.adapters.base import OTHER_RESULT
from condsim.live.equality import close, tensors_of
from condsim.live.execution import Execution, executing
from condsim.live.expert_forms import EXPERT_FORMS
from condsim.live.lift.lifted import LiftedForward, Trial
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.sites import LiftedSite
from condsim.mechanisms import MECHANISMS

MOST_OTHER_WORK = 0.05
"""Share of the FLOPs by which forwards may differ: weighing may be a product or elementwise."""
ROOM_A_ROW = 64
"""Rows that every expert has room for, a row of the tape: enough for all of them."""


def check_same_result(
    lifted: LiftedForward,
    own_forward: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Compare a lifted forward with the module's own, bit by bit where it is exact.

    They are compared on the tape's batch, where every branch has rows, and on a call of the user's,
    where rows go where the module sends them. Raises NotLiftable where they differ.
    """
    captured = {site.name: site.captured for site in lifted.sites.values()}
    on_tape = all(
        lifted.agrees(trial.outputs, _run_taped(lifted, captured, trial))
        for trial in lifted.trials()
    )
    if on_tape:
        with executing(Execution()):
            own = own_forward(*args, **kwargs)
        with executing(Execution(captured)):
            again = lifted(*args, **kwargs)
    if not on_tape or not lifted.agrees(own, again):
        raise NotLiftable("what was read from it does not give its own output")


def check_same_work(
    lifted: LiftedForward,
    own_forward: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Raises NotLiftable where a forward multiplies more or less than what was found in it.

    So do experts that run on every row, or on rows of zeros, and give the same result.
    """
    captured = {site.name: site.captured for site in lifted.sites.values()}
    own_flops = _flops(own_forward, {}, args, kwargs)
    flops = _flops(lifted, captured, args, kwargs)
    if lifted.runs_own:
        flops -= own_flops
    if abs(own_flops - flops) > MOST_OTHER_WORK * max(own_flops, flops):
        raise NotLiftable(
            f"its experts take {own_flops:,} FLOPs where the rows that are sent to them need "
            f"{flops:,}: they run on other rows too"
        )


def _flops(
    forward: Callable[..., Any],
    strategies: Mapping[str, str],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> int:
    """FLOPs of the products of one call, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, executing(Execution(strategies)):
        forward(*args, **kwargs)
    return int(counter.get_total_flops())


def offer_strategies(lifted: LiftedForward) -> None:
    """Find the strategies that give the module's result, its own first.

    Sets `offers`, and `left_out` for those that fail or give another result.
    Raises NotLiftable where sites of one mechanism run in different ways, or where a branch gives
    another result for its rows alone.
    """
    sites_by_mechanism: dict[str, list[LiftedSite]] = {}
    for site in lifted.sites.values():
        sites = sites_by_mechanism.setdefault(site.mechanism, [])
        sites.append(site)
    for mechanism, sites in sites_by_mechanism.items():
        own = {site.captured for site in sites}
        if len(own) > 1:
            ways = ", ".join(sorted(own))
            raise NotLiftable(f"it runs its {mechanism} sites in different ways ({ways})")
        offered = list(own)
        for strategy in _candidates(mechanism, sites, lifted.drops):
            if strategy in own:
                continue
            problem = _problem(lifted, sites, strategy)
            if problem is None:
                offered.append(strategy)
            else:
                lifted.left_out[strategy] = problem
        kind = MECHANISMS[mechanism]
        if not kind.mixes_experts and kind.alone not in offered:
            raise NotLiftable(
                f"its {mechanism} branches give another result when they see their rows alone"
            )
        lifted.offers[mechanism] = tuple(offered)


def _candidates(mechanism: str, sites: list[LiftedSite], drops: bool) -> tuple[str, ...]:
    """Strategies that could run the sites of a mechanism. drops: of `LiftedForward`."""
    kind = MECHANISMS[mechanism]
    if kind.mixes_experts and drops:
        return (kind.alone,)
    if kind.mixes_experts and all(site.stacks for site in sites):
        return (kind.alone, *EXPERT_FORMS)
    return kind.marked


def _problem(lifted: LiftedForward, sites: list[LiftedSite], strategy: str) -> str | None:
    """Why some sites cannot run under a strategy.

    None where that gives the taped result, but for the order of sums.
    """
    strategies = {site.name: site.captured for site in lifted.sites.values()}
    for site in sites:
        strategies[site.name] = strategy
    for trial in lifted.trials():
        try:
            outputs = _run_taped(lifted, strategies, trial)
        except Exception as error:  # what torch refuses of these sizes, dtypes, memory layouts
            return summary(error)
        if not close(outputs, trial.outputs):
            return OTHER_RESULT
    return None


def _run_taped(
    lifted: LiftedForward, strategies: Mapping[str, str], trial: Trial
) -> list[torch.Tensor]:
    """The result of the lifted forward on the tape's batch, with the decisions of a trial.

    strategies: site → strategy.
    """
    inputs = [node.out for node in lifted.tape.nodes if node.fn is None]
    room = ROOM_A_ROW * len(inputs[0])
    execution = Execution(strategies, forced=trial.forced, room=room)
    with executing(execution), Watched():
        return tensors_of(lifted(*inputs))


class Watched(TorchFunctionMode):
    """Does nothing. Some of torch's modules calculate in another way where a tape is written."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))
