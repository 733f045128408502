"""What is in force while a model runs: strategies, forced decisions, who watches.

An `Execution` is installed for the length of one forward pass or more. Marks (`condsim.route`, `condsim.branch`) and adapters ask it what
a decision is and how the rows behind a guard are to run. Without one, a model simply follows its own decisions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from condsim.strategies import BASELINES as BASELINES

if TYPE_CHECKING:
    from condsim.record.recorder import Recorder

MARKED = {
    "moe": ("looped",),
    "early_exit": ("compacted", "wait", "masked"),
    "multi_branch": ("compacted", "wait", "masked"),
    "skip": ("compacted", "wait", "masked"),
    "sparse_activation": ("gathered", "masked"),
}
"""Strategies that a site can run whose guarded code takes its rows from the selector."""
NATURAL = {
    "moe": "looped",
    "early_exit": "compacted",
    "multi_branch": "compacted",
    "skip": "compacted",
    "sparse_activation": "gathered",
}


Decide = Callable[["SiteInfo", np.ndarray], "tuple[np.ndarray, np.ndarray | None] | None"]


@dataclass
class SiteInfo:
    """What a mark or an adapter learnt of a site while the model ran."""

    name: str
    mechanism: str
    branches: int
    top_k: int | None = None
    parents: tuple[tuple[str, int], ...] = ()
    has_weights: bool = False
    has_scores: bool = False
    selects: bool = False  # the model uses the row selector, so that every strategy can run


@dataclass
class Frame:
    """The innermost guard whose rows are running."""

    site: str
    choice: int
    present: np.ndarray | None = None  # original row numbers, where decisions are forced
    masks: tuple[
        torch.Tensor, ...
    ] = ()  # of all outer guards that run rows which did not take them


@dataclass
class Execution:
    """How the next forward passes run.

    strategies: mechanism or site name → strategy name; a baseline's name under "*" forces that baseline everywhere.
    forced: site → ids of every row of this pass (ndarray [rows, k] / [rows] / [rows, blocks]; -1 where the row never gets there).
    weights: site → combination weights that go with forced ids [rows, k].
    decide: forces instead of `forced`, call by call: (site, own ids of the rows present) → (ids, weights or None), or None to leave the decision alone.
    observed: None, or a dict that collects each site's decisions, a list per site.
    rows_kept: same-flops: site → rows (or blocks) that each branch keeps, ndarray [branches].
    costliest: same-params: site → the branch every row takes. room: padded: rows an expert has room for, None for the capacity factor's.
    """

    strategies: Mapping[str, str] = field(default_factory=dict)
    forced: Mapping[str, np.ndarray] | None = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    decide: Decide | None = None
    observed: dict[str, list[dict[str, Any]]] | None = None
    rows_kept: Mapping[str, np.ndarray] = field(default_factory=dict)
    costliest: Mapping[str, int] = field(default_factory=dict)
    room: int | None = None
    recorder: Recorder | None = None
    sites: dict[str, SiteInfo] = field(default_factory=dict)
    decisions: dict[str, Any] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    natural: dict[str, str] = field(
        default_factory=dict
    )  # site → the strategy that the model itself runs, where it is not the mechanism's usual one

    def strategy(self, site: str, mechanism: str) -> str:
        """The strategy in force at a site: its own, its mechanism's, everybody's, or the natural one."""
        s = self.strategies
        return (
            s.get(site)
            or s.get(mechanism)
            or s.get("*")
            or self.natural.get(site)
            or NATURAL[mechanism]
        )

    def forced_now(
        self, info: SiteInfo, own: torch.Tensor
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Forced (ids, weights) of the rows present at a site; None where its own decision stands."""
        if self.decide is not None:
            return self.decide(info, own.detach().cpu().numpy()) or (None, None)
        return self.forced_ids(info.name), self.weights.get(info.name)

    def forced_ids(self, site: str) -> np.ndarray | None:
        """Forced decisions of the rows that are present now, in their order; None where nothing is forced."""
        if self.forced is None or site not in self.forced:
            return None
        ids = self.forced[site]
        present = self.frames[-1].present if self.frames else None
        return ids if present is None else ids[present]

    def replaced(self, own: torch.Tensor, forced: np.ndarray) -> torch.Tensor:
        """Forced values in place of a tensor of the model's: same dtype, device and memory layout, so that what follows runs as it would."""
        with self.quiet():
            values = torch.as_tensor(np.ascontiguousarray(forced), device=own.device).to(own.dtype)
            return torch.empty_like(own).copy_(values) if values.shape == own.shape else values

    def quiet(self) -> contextlib.AbstractContextManager[None]:
        """No recording inside: bookkeeping that a real run would not do."""
        return self.recorder.paused() if self.recorder is not None else contextlib.nullcontext()


_EXECUTION: ContextVar[Execution | None] = ContextVar("condsim_execution", default=None)


def current() -> Execution:
    """The execution in force; a fresh natural one where none was installed."""
    execution = _EXECUTION.get()
    if execution is None:
        execution = Execution()
        _EXECUTION.set(execution)
    return execution


@contextlib.contextmanager
def executing(execution: Execution) -> Iterator[Execution]:
    """Install `execution` for the body, and what was there before afterwards, also after an exception."""
    token = _EXECUTION.set(execution)
    try:
        yield execution
    finally:
        execution.frames.clear()
        execution.decisions.clear()
        _EXECUTION.reset(token)
