"""What is in force while a model runs: strategies, forced decisions, who watches.

An `Execution` is installed for the length of one forward pass or more. Marks (`condsim.route`,
`condsim.branch`) and adapters ask it what a decision is and how the rows behind a guard are to run.
Without one, a model simply follows its own decisions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
import torch

from condsim.mechanisms import MECHANISMS, Draw, Mechanism
from condsim.record.recorder import Recorder
from condsim.strategies import BASELINES as BASELINES

if TYPE_CHECKING:
    from condsim.live.token_decisions import Running, TokenDecision

Forced = tuple[np.ndarray, np.ndarray | None]
"""(ids of the rows that are present, their combination weights [rows, k] or None)."""
Decide = Callable[["SiteInfo", np.ndarray], Forced | None]
"""(site, the model's ids of the rows that are present) → what is forced, None: the model's ids."""
Observed = dict[str, list[dict[str, torch.Tensor]]]
"""Site → for each call its "ids", and "weights" and "scores" where the site has them."""


@dataclass
class SiteInfo:
    """What a mark or an adapter learnt of a site while the model ran.

    mechanism: a name in `condsim.mechanisms.MECHANISMS`.
    top_k: branches that a row takes, None where that is not counted.
    parents: (site, choice) of the guards that the site stands behind, the outermost first.
    selects: the model takes its rows from the selector, so that every strategy can run.
    fixed: of tokens, whether the model keeps as many in every unit. kept: how many, in the first
        run.
    """

    name: str
    mechanism: str
    branches: int
    top_k: int | None = None
    parents: tuple[tuple[str, int], ...] = ()
    has_weights: bool = False
    has_scores: bool = False
    selects: bool = False
    fixed: bool = False
    kept: int | None = None


@dataclass(slots=True)
class Routed:
    """A site's decision in this pass, for the guards that follow it.

    strategy: the one in force at the site.
    ids: int [rows] or [rows, k], or bool [rows, blocks]; None where a baseline decides nothing.
    weights: combination weights, float [rows, k].
    tokens: of a site that decides about tokens.
    some_go_on: of an exit at which rows wait for each other, whether one goes on; None before
        somebody asked.
    """

    site: str
    mechanism: Mechanism
    strategy: str
    branches: int
    ids: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    tokens: TokenDecision | None = None
    some_go_on: bool | None = None

    def decided(self) -> torch.Tensor:
        """`ids`, where a strategy needs them. No strategy but a baseline runs without."""
        assert self.ids is not None, f"{self.site} has no decision"
        return self.ids


@dataclass
class Frame:
    """A guard whose rows are running.

    choice: the branch behind the guard, -1 where it guards weight blocks.
    present: where decisions are forced, the numbers of the running rows in the whole pass.
    masks: one mask for each guard, this one included, that runs rows of other branches too; bool
        [rows], true for the rows that took the guarded branch.
    running: the tokens that run, behind a site that decides about tokens.
    """

    site: str
    choice: int
    present: np.ndarray | None = None
    masks: tuple[torch.Tensor, ...] = ()
    running: Running | None = None


@dataclass
class Execution:
    """How the next forward passes run.

    strategies: site or mechanism → strategy; "*" → a baseline that is forced everywhere.
    forced: site → ids of every row of this pass (ndarray [rows, k] / [rows] / [rows, blocks]; -1
        where the row never gets there).
    weights: site → combination weights that go with forced ids, [rows, k].
    decide: forces instead of `forced`, call by call.
    observed: None, or a dict that collects each site's decisions.
    rows_kept: same-flops: site → rows (or blocks) that each branch keeps, ndarray [branches].
    costliest: same-params: site → the branch that every row takes.
    room: padded: rows that an expert has room for, None for what the capacity factor gives.
    owed: site → the tokens of each sequence that run there, instead of those that it owes.
    sites: what was learnt of the sites.
    decisions: site → its latest decision. frames: the guards that are running, innermost last.
    natural: site → the strategy that the model itself runs, where it is not the mechanism's usual
        one.
    """

    strategies: Mapping[str, str] = field(default_factory=dict)
    forced: Mapping[str, np.ndarray] | None = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    decide: Decide | None = None
    observed: Observed | None = None
    rows_kept: Mapping[str, np.ndarray] = field(default_factory=dict)
    costliest: Mapping[str, int] = field(default_factory=dict)
    room: int | None = None
    owed: Mapping[str, int] = field(default_factory=dict)
    recorder: Recorder | None = None
    sites: dict[str, SiteInfo] = field(default_factory=dict)
    decisions: dict[str, Routed] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    natural: dict[str, str] = field(default_factory=dict)

    def asked_strategy(self, site: str, mechanism: str) -> str | None:
        """The strategy that was asked for: for the site, for its mechanism, or for all."""
        asked = self.strategies
        return asked.get(site) or asked.get(mechanism) or asked.get("*")

    def strategy(self, site: str, mechanism: str) -> str:
        """The strategy in force at a site: the one that was asked for, else the model's own."""
        asked = self.asked_strategy(site, mechanism)
        return asked or self.natural.get(site) or MECHANISMS[mechanism].marked[0]

    @property
    def forces(self) -> bool:
        """Whether any decisions are forced."""
        return self.forced is not None or self.decide is not None

    @property
    def observes_itself(self) -> bool:
        """Whether the model is observed as it runs by itself: its strategies, its decisions."""
        return self.observed is not None and not self.forces and not self.strategies

    def forced_ids(self, site: str) -> np.ndarray | None:
        """Forced ids of the rows that are present, in their order; None where none are forced."""
        if self.forced is None or site not in self.forced:
            return None
        ids = self.forced[site]
        present = self.frames[-1].present if self.frames else None
        return ids if present is None else ids[present]

    def settle(
        self,
        info: SiteInfo,
        ids: torch.Tensor,
        weights: torch.Tensor | None = None,
        scores: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The decision that stands, (ids, weights): the model's, or the forced one.

        ids, weights, scores: of the model, for the rows that are present. Who records is told the
        model's tensors, because forced ones have no router; who observes is told what stands.
        """
        if self.recorder is not None:
            self.recorder.decided(info.name, ids, weights)
        forced_ids, forced_weights = self._forced(info, ids)
        if forced_ids is None and ids.is_meta:
            forced_ids = _dealt_out(info, len(ids))
        if forced_ids is not None:
            ids = self.replaced(ids, forced_ids)
            if _may_be_replaced(weights) and forced_weights is not None:
                weights = self.replaced(weights, forced_weights)
        if self.observed is not None:
            calls = self.observed.setdefault(info.name, [])
            calls.append(copied(ids, weights, scores))
        return ids, weights

    def _forced(
        self, info: SiteInfo, ids: torch.Tensor
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """What is forced at a site, (ids, weights); (None, None) where the model's ids stand."""
        if self.decide is None:
            return self.forced_ids(info.name), self.weights.get(info.name)
        own = np.zeros(ids.shape, int) if ids.is_meta else ids.detach().cpu().numpy()
        forced = self.decide(info, own)
        return (None, None) if forced is None else forced

    def replaced(self, tensor: torch.Tensor, values: np.ndarray) -> torch.Tensor:
        """`values` as a tensor that can stand in for one of the model's.

        It has the dtype, device and memory layout of `tensor`, so that what follows runs as it
        would have run. Instead of ids on the meta device it has those on the CPU, which are known.
        """
        with self.quiet():
            if tensor.is_meta:
                return _known(tensor, values)
            forced = torch.as_tensor(np.ascontiguousarray(values), device=tensor.device)
            forced = forced.to(tensor.dtype)
            if forced.shape != tensor.shape:
                return forced
            return torch.empty_like(tensor).copy_(forced)

    def parents(self) -> tuple[tuple[str, int], ...]:
        """(site, choice) of the guards that are running, the outermost first."""
        return tuple((frame.site, frame.choice) for frame in self.frames)

    def quiet(self) -> contextlib.AbstractContextManager[None]:
        """Nothing inside is recorded: bookkeeping that a plain run would not do."""
        if self.recorder is None:
            return contextlib.nullcontext()
        return self.recorder.paused()


def _may_be_replaced(weights: torch.Tensor | None) -> TypeGuard[torch.Tensor]:
    """Whether forced weights may stand in for the model's.

    Not where these lead autograd to the router: no step trains a router by weights of others.
    """
    return weights is not None and not weights.requires_grad


def _dealt_out(info: SiteInfo, rows: int) -> np.ndarray:
    """Decisions of a model without numbers: rows dealt out evenly over the branches."""
    draw = Draw(rows, info.branches, info.top_k)
    ids, _ = MECHANISMS[info.mechanism].balanced_decisions(draw, np.random.default_rng(0))
    return ids


def _known(tensor: torch.Tensor, values: np.ndarray) -> torch.Tensor:
    """`values` on the CPU in the place of a tensor on the meta device; weights stay as they are."""
    if tensor.is_floating_point():
        return tensor
    forced = torch.as_tensor(np.ascontiguousarray(values), dtype=tensor.dtype)
    if forced.shape != tensor.shape:
        return forced
    like = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    return like.copy_(forced)


def copied(
    ids: torch.Tensor, weights: torch.Tensor | None, scores: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """Copies of a decision on the CPU, weights and scores in fp32.

    A decision may live in a buffer that the model overwrites.
    """
    kept = {"ids": ids.detach().to("cpu", copy=True)}
    if weights is not None and not weights.is_meta:
        kept["weights"] = weights.detach().to("cpu", torch.float32, copy=True)
    if scores is not None:
        kept["scores"] = scores.detach().to("cpu", torch.float32, copy=True)
    return kept


_EXECUTION: ContextVar[Execution | None] = ContextVar("condsim_execution", default=None)


def current() -> Execution:
    """The execution in force; where none was installed, a new one without strategies."""
    execution = _EXECUTION.get()
    if execution is None:
        execution = Execution()
        _EXECUTION.set(execution)
    return execution


@contextlib.contextmanager
def executing(execution: Execution) -> Iterator[Execution]:
    """Install `execution` for the body, and afterwards what was in force before it.

    That holds after an exception, too.
    """
    token = _EXECUTION.set(execution)
    try:
        yield execution
    finally:
        execution.frames.clear()
        execution.decisions.clear()
        _EXECUTION.reset(token)
