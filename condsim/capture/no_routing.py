"""The message for a model without a site: what was looked for, what was seen, the way out."""

from __future__ import annotations

from functools import partial

import torch

from condsim.live.adapters.expert_list import look_alikes
from condsim.live.inputs import Batch
from condsim.live.lift.unmarked import Unmarked, unmarked
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS
from condsim.mechanisms.early_exit import EarlyExit
from condsim.mechanisms.moe import MixtureOfExperts
from condsim.mechanisms.skip import Skip

LOOKED_FOR = (
    "no routing found in this model: looked for experts modules called with (hidden states, "
    "indices, weights), ModuleLists of experts behind a linear gate, forwards in which a gate, a "
    "threshold or an argmax decides which rows leave, take a branch or skip a layer, feed-forwards "
    "beside a predictor of their blocks"
)


def no_routing(live: LiveModel, batch: Batch) -> str:
    """The message. batch: one that the model runs."""
    similar = look_alikes(live.model)
    start = ""
    if similar:
        start = f"found {', '.join(similar[:3])}, but not how its experts are chosen. "
    known = None if _decides_in_python(live) and not similar else _known(live, batch, bool(similar))
    if known is not None:
        return f"{start}no routing found in this model: {known.reason}; {known.way_out}"
    unread = []
    for site in live.sites:
        if site.guards and site.reason:
            unread.append(f"{site.name or 'its forward'}: {site.reason}")
    given_up = f" (read and given up: {'; '.join(unread[:3])})" if unread else ""
    way_out = MECHANISMS[_likely_mechanism(live, bool(similar))].how_to_mark
    return f"{start}{LOOKED_FOR}, and condsim.route / condsim.branch{given_up}; {way_out}"


def _known(live: LiveModel, batch: Batch, experts: bool) -> Unmarked | None:
    """What the model decides, as far as it is a known kind. experts: whether it has some."""
    if live.on_meta:
        return None
    with torch.no_grad():
        return unmarked(live.model, partial(batch.call, live.model), batch.units, experts)


def _decides_in_python(live: LiveModel) -> bool:
    return any(site.decides_in_python for site in live.sites)


def _likely_mechanism(live: LiveModel, has_experts: bool) -> str:
    """What a model without a site most likely has: an `if` on a tensor mostly is an early exit."""
    if has_experts:
        return MixtureOfExperts.name
    return EarlyExit.name if _decides_in_python(live) else Skip.name
