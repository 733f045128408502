"""Force: run given decisions through a live model.

Baselines, replay, balanced, random, perturbed and oracle routing are all this one verb.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from condsim.errors import CondsimError
from condsim.live.execution import Execution, Forced, SiteInfo
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS, Draw
from condsim.registry import Registry
from condsim.steps.rebatch import branch_shares
from condsim.trace import Site, Trace


@contextlib.contextmanager
def force(
    model: torch.nn.Module,
    what: str | Trace,
    *,
    trace: Trace | None = None,
    seed: int = 0,
    share: float = 0.1,
) -> Iterator[None]:
    """While it lasts, `model` takes forced decisions.

    what: "same-params" or "same-flops" (a baseline), "balanced" or "random" decisions, "perturbed"
        (its own, a `share` of the rows at random), "oracle" (the first exit that is right; needs
        `trace` with quality at every exit), or a trace, whose steps are replayed in order, one
        forward pass each.
    trace: what same-flops and oracle take their numbers from.
    Inputs of a replay must be those of the trace.
    Raises CondsimError for an unknown way, a missing trace, or a replay that runs out of steps.
    """
    live = LiveModel.of(model)
    if isinstance(what, Trace):
        execution = Execution(decide=Replayed(what))
    else:
        rng = np.random.default_rng(seed)
        execution = WAYS[what](Asked(what, live, trace, rng, share))
    with live.prepared(execution):
        yield


@dataclass(frozen=True)
class Asked:
    """What `force` was asked for. what: the way. share: of the rows that `perturbed` draws anew."""

    what: str
    live: LiveModel
    trace: Trace | None
    rng: np.random.Generator
    share: float

    def needed_trace(self) -> Trace:
        """`trace`. Raises CondsimError where it was not given."""
        if self.trace is None:
            raise CondsimError(
                f"force(model, {self.what!r}) needs trace=, which says how much each branch does"
            )
        self.trace.require_decisions()
        return self.trace


WAYS: Registry[Callable[[Asked], Execution]] = Registry("forced routing")
"""What can be forced by name."""


@WAYS.register("same-params")
def same_params(asked: Asked) -> Execution:
    """The dense network."""
    costliest = {} if asked.trace is None else dict(asked.trace.header.costliest)
    return Execution({"*": asked.what}, costliest=costliest)


@WAYS.register("same-flops")
def same_flops(asked: Asked) -> Execution:
    """A dense network of the mean work of the trace."""
    trace = asked.needed_trace()
    known = {site.name for site in trace.sites}
    for site in asked.live.sites:
        if site.name in known:
            site.top_k = trace.site(site.name).top_k or 1
    return Execution({"*": asked.what}, rows_kept=rows_kept(trace))


def rows_kept(trace: Trace) -> dict[str, np.ndarray]:
    """Site → rows that each branch keeps at the usual size of the trace's steps, int [branches]."""
    phases = trace.steps["phase"]
    of_first_phase = trace.steps[phases == phases.iloc[0]]
    units = int(trace.steps["units"].mode().iloc[0])
    positions = int(of_first_phase["seq"].mode().iloc[0])
    kept = {}
    for site in trace.sites:
        mechanism = MECHANISMS[site.mechanism]
        rows = mechanism.rows_at(units, site.unit_rows.of(positions))
        shares = branch_shares(trace, site.name)
        kept[site.name] = mechanism.rows_kept(shares, rows, site.top_k)
    return kept


@WAYS.register("balanced")
def balanced(asked: Asked) -> Execution:
    """Rows dealt out evenly over the branches."""

    def decide(info: SiteInfo, ids: np.ndarray) -> Forced:
        return MECHANISMS[info.mechanism].balanced_decisions(_draw(info, ids), asked.rng)

    return Execution(decide=decide)


@WAYS.register("random")
def random(asked: Asked) -> Execution:
    """Every branch as likely as any other."""

    def decide(info: SiteInfo, ids: np.ndarray) -> Forced:
        return MECHANISMS[info.mechanism].random_decisions(_draw(info, ids), asked.rng)

    return Execution(decide=decide)


@WAYS.register("perturbed")
def perturbed(asked: Asked) -> Execution:
    """The model's decisions, but for a share of the rows, which take random branches."""

    def decide(info: SiteInfo, ids: np.ndarray) -> Forced:
        mechanism = MECHANISMS[info.mechanism]
        chosen = np.flatnonzero(asked.rng.random(len(ids)) < asked.share)
        drawn, _ = mechanism.random_decisions(_draw(info, ids), asked.rng)
        perturbed_ids = ids.copy()
        perturbed_ids[chosen] = drawn[chosen]
        return perturbed_ids, None

    return Execution(decide=decide)


def _draw(info: SiteInfo, ids: np.ndarray) -> Draw:
    return Draw(len(ids), info.branches, info.top_k)


@WAYS.register("oracle")
def oracle(asked: Asked) -> Execution:
    """Every row leaves at the first exit that is right."""
    return Execution(decide=FirstRightExit(asked.needed_trace()))


class FirstRightExit:
    """Decides that rows leave at the first exit of the best quality.

    Passes must give the units of the trace in order. Raises CondsimError for a trace without the
    quality at every exit.
    """

    def __init__(self, trace: Trace) -> None:
        exits = [column for column in trace.quality.columns if column.startswith("exit_")]
        if not exits:
            raise CondsimError(
                f"oracle: trace {trace.name!r} has no quality at every exit; "
                "capture an early-exit model with quality="
            )
        quality = trace.quality[exits].to_numpy()
        higher_is_better = trace.header.provenance.higher_is_better
        best = quality.max(1) if higher_is_better else quality.min(1)
        self.right_exit = np.argmax(quality == best[:, None], axis=1)
        self.levels = {site.name: site.level for site in trace.sites}
        self.units_seen = 0
        self.units_left = np.arange(0)  # units of this pass that have not left yet

    def __call__(self, info: SiteInfo, ids: np.ndarray) -> Forced:
        """1 for rows that go on, 0 for rows that leave."""
        level = self.levels[info.name]
        if level == 0:
            first = self.units_seen
            self.units_seen += len(ids)
            self.units_left = np.arange(first, self.units_seen)
        goes_on = self.right_exit[self.units_left] > level
        self.units_left = self.units_left[goes_on]
        return goes_on.astype(np.int64), None


class Replayed:
    """Gives the decisions of a trace in order, one step a forward pass.

    Raises CondsimError for a site that the trace does not have.
    """

    def __init__(self, trace: Trace) -> None:
        self.sites = {site.name: ReplayedSite(trace, site) for site in trace.sites}

    def __call__(self, info: SiteInfo, ids: np.ndarray) -> Forced:
        """The decisions of the rows that are present."""
        if info.name not in self.sites:
            raise CondsimError(
                f"replay: the trace has no site {info.name!r}; it was captured from another model"
            )
        return self.sites[info.name].next_step(len(ids))


class ReplayedSite:
    """The decisions of one site, step by step."""

    def __init__(self, trace: Trace, site: Site) -> None:
        self.name = site.name
        self.drops = site.drops
        self.mechanism = MECHANISMS[site.mechanism]
        self.decisions = trace.decisions(site.name)
        steps = trace.steps
        rows_of_unit = site.rows_of_units(steps["phase"].to_numpy(), steps["seq"].to_numpy())
        rows_per_step = steps["units"].to_numpy() * rows_of_unit
        self.ends = np.cumsum(rows_per_step)
        self.starts = self.ends - rows_per_step
        self.next = 0

    def next_step(self, rows: int) -> Forced:
        """(ids, weights) of the rows that got to the site in the next step in which any did.

        rows: how many there should be. Raises CondsimError for another number, and where no step
        is left.
        """
        while self.next < len(self.ends):
            of_step = slice(self.starts[self.next], self.ends[self.next])
            self.next += 1
            ids = self.decisions.ids[of_step]
            arrived = self._arrived(ids)
            if not arrived.any():
                continue
            arriving = int(arrived.sum())
            if arriving != rows:
                raise CondsimError(
                    f"replay: site {self.name!r} sees {rows} rows in step {self.next - 1} "
                    f"where the trace has {arriving}; use the trace's inputs"
                )
            weights = self.decisions.weights
            if weights is not None:
                weights = weights[of_step][arrived]
            return ids[arrived], weights
        raise CondsimError(
            f"replay: the trace's {len(self.ends)} steps are used up at site {self.name!r}"
        )

    def _arrived(self, ids: np.ndarray) -> np.ndarray:
        """Which rows of a step got to the site, bool [rows]; a row that it dropped got there."""
        if self.drops:
            return np.ones(len(ids), bool)
        return self.mechanism.arrived(ids)
