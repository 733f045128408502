"""Steps whose experts wait in the host's memory: kernels of all steps in a row, and what each of them waits for, played by `condsim.engine.reference`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from condsim.cost.cost_model import Pricing
from condsim.engine import closed_form as engine
from condsim.engine import reference as events
from condsim.engine.closed_form import Kernels
from condsim.engine.expert_cache import Offloaded
from condsim.errors import CondsimError
from condsim.lower import Call, Lowering
from condsim.predict.timeline import kernels
from condsim.program import elements

Expert = tuple[str, int]  # site, which
COPY_S, LINK_SHARE = 2.6e-5, 0.78
"""Fixed seconds of a copy, and the share of a link's rate that a long one reaches. Source: te42kyfo/gpu-benches, README: 1 MB at 9.3 GB/s and 12.35 GB/s at
most over PCIe 3 x16 (15.75 GB/s)."""


@dataclass(frozen=True)
class Played:
    """Of n steps. seconds: as played, float [n]; waited: of these, because of copies, float [n]. experts_bytes: of all experts; room_bytes: that the device
    keeps of them."""

    seconds: np.ndarray
    waited: np.ndarray
    experts_bytes: float
    room_bytes: float


def play(
    lowering: Callable[[int], Lowering], steps: int, pricing: Pricing, share: float | None
) -> Played:
    """Steps that follow each other, a second time, when the cache has settled; with prefetch where that is faster.

    lowering: of one step. share: of the experts' weights that the device keeps; None: what its memory has room for beside the other weights.
    Raises CondsimError for a device that has no link to its host.
    """
    profile = pricing.profile
    if "host" not in profile.links:
        raise CondsimError(
            f"profile {profile.name!r} has no links.host (bytes a second), over which strategy offloaded copies experts"
        )
    tables, needs, sizes, order, used = (
        list[Kernels](),
        list[list[Expert | None]](),
        dict[Expert, float](),
        dict[str, None](),
        list[dict[str, list[Expert]]](),
    )
    branches = {}
    for i in range(steps):
        low = lowering(i)
        table, calls, _ = kernels(low, pricing)
        tables.append(table)
        experts = [_expert(call, low) for call in calls]
        needs.append(experts)
        step: dict[Expert, float] = {}
        for call, expert in zip(calls, experts, strict=True):
            if expert is not None:
                step[expert] = step.get(expert, 0.0) + _weights_bytes(call, pricing)
                order[expert[0]] = None
        sizes |= {e: max(b, sizes.get(e, 0.0)) for e, b in step.items()}
        used.append({site: [e for e in step if e[0] == site] for site in order})
        branches = {s: r.branches for s, r in low.sites.items() if r.mechanism == "moe"}
    largest = {s: max((b for e, b in sizes.items() if e[0] == s), default=0.0) for s in branches}
    total = sum(largest[s] * n for s, n in branches.items())
    room = (
        min(total, max(profile.dram.bytes.value - (pricing.weights_bytes - total), 0.0))
        if share is None
        else share * total
    )
    joined, ends = _joined(tables)
    twice = Kernels(
        *(
            np.concatenate([c, c])
            for c in (joined.host_s, joined.device_s, joined.stream, joined.sync)
        )
    )
    flat = [e for experts in needs for e in experts]
    about = Offloaded(
        flat + flat, sizes, room, profile.links["host"].value * LINK_SHARE, COPY_S, {}
    )
    last = np.concatenate([[0], ends]) - 1 + len(flat)
    copied = plain = engine.run(twice)[1][last]
    if room < total:
        ways = (about, replace(about, ahead=_ahead(needs, used, list(order), len(flat))))
        copied = min(
            (events.run(twice, way)[1][last] for way in ways),
            key=lambda end: float(end[-1] - end[0]),
        )
    seconds, alone = np.diff(copied), np.diff(plain)
    return Played(seconds, np.maximum(seconds - alone, 0.0), total, room)


def _joined(tables: list[Kernels]) -> tuple[Kernels, np.ndarray]:
    """One table of all steps, each of which ends with a wait, and where each ends (kernels up to there)."""
    ends = np.cumsum([len(t.host_s) for t in tables])
    host, device, stream, sync = (
        np.concatenate([getattr(t, c) for t in tables])
        for c in ("host_s", "device_s", "stream", "sync")
    )
    sync[ends - 1] = True
    return Kernels(host, device, stream, sync), ends


def _ahead(
    needs: list[list[Expert | None]],
    used: list[dict[str, list[Expert]]],
    order: list[str],
    count: int,
) -> dict[int, list[Expert]]:
    """First kernel of a site's experts in a step → the experts that the site after it used in the step before (the first site: in this step)."""
    found: dict[int, list[Expert]] = {}
    at = 0
    for i, experts in enumerate(needs):
        seen: set[str] = set()
        for expert in experts:
            if expert is not None and expert[0] not in seen:
                site = expert[0]
                seen.add(site)
                place = order.index(site) + 1
                source = (
                    used[i - 1].get(order[place], [])
                    if place < len(order)
                    else used[i].get(order[0], [])
                )
                found[at] = found[at + count] = source
            at += 1
    return found


def _expert(call: Call, low: Lowering) -> Expert | None:
    """The expert whose weights a call reads."""
    if call.op.view or not any(t.weight for t in call.op.inputs):
        return None
    return next((g for g in reversed(call.guards) if low.sites[g[0]].mechanism == "moe"), None)


def _weights_bytes(call: Call, pricing: Pricing) -> float:
    return float(
        sum(
            elements(t.shape(call.bindings)) * pricing.itemsize(t.dtype)
            for t in call.op.inputs
            if t.weight
        )
    )
