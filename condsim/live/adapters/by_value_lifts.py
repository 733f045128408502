"""Ways to lift a forward that go by what its tensors hold, tried where its calls are not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from condsim.live.adapters.host_call import HostCall
from condsim.live.adapters.verify import check_same_result, check_same_work, offer_strategies
from condsim.live.lift.chosen_neurons import LiftedNeurons, find_neurons
from condsim.live.lift.dispatched import LiftedDispatch, find_dispatch
from condsim.live.lift.given_rows import find_given_rows
from condsim.live.lift.lifted import LiftedForward
from condsim.live.lift.lifted_given import lifted_given
from condsim.live.lift.lifted_tokens import LiftedTokens

if TYPE_CHECKING:
    from condsim.live.adapters.own_forward import OwnForward

Lift = Callable[["OwnForward", HostCall], LiftedForward]
"""(a site, a call of its module) → its forward, lifted. Raises NotLiftable where it is not so."""


def of_dispatch(site: OwnForward, call: HostCall) -> LiftedForward:
    """Experts that run as many rows whatever is decided."""
    tapes = site.taped.unforced(call)
    found = find_dispatch(tapes[0], site.experts_called)
    name = site.name or "experts"
    return site.verified(LiftedDispatch(name, tapes, site.experts_called, found), call)


def of_given_rows(site: OwnForward, call: HostCall) -> LiftedForward:
    """Experts that are given rows by numbers."""
    tapes = site.taped.unforced(call)
    given = find_given_rows(tapes[0], site.experts_called)
    lifted = lifted_given(site.name or "experts", tapes, site.experts_called, given)
    check_same_result(lifted, call.forward, call.args, call.kwargs)
    check_same_work(lifted, call.forward, call.args, call.kwargs)
    if not lifted.offers:
        offer_strategies(lifted)
    return lifted


def of_ranked_tokens(site: OwnForward, call: HostCall) -> LiftedForward:
    """Tokens that are ranked, as many in every unit."""
    lifted = LiftedTokens(site.block, site.name, site.taped.unforced(call))
    check_same_result(lifted, call.forward, call.args, call.kwargs)
    return lifted


def of_chosen_neurons(site: OwnForward, call: HostCall) -> LiftedForward:
    """Neurons that are left out of a second product."""
    tapes = site.taped.unforced(call)
    neurons = find_neurons(site.block, tapes[0])
    return site.verified(LiftedNeurons(site.name or "neurons", tapes, neurons), call)


OF_EXPERTS: tuple[Lift, ...] = (of_dispatch, of_given_rows)
"""Of a module with a list of experts."""
OF_OTHERS: tuple[Lift, ...] = (of_ranked_tokens, of_chosen_neurons)
"""Of any other module that could decide."""
