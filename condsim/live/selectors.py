"""How the rows behind a guard run: one selector a strategy.

A selector is what `condsim.branch` yields. `take` gives the rows of a tensor that run, `put` writes
their results back, and the selector is false where nothing is to run. A site whose decisions ask
for blocks of a weight has a selector of `condsim.live.block_selectors` instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from condsim.errors import CondsimError
from condsim.live.execution import Execution, Frame, Routed
from condsim.registry import Registry
from condsim.strategies.whole import DISPATCHED


class RowSelector:
    """All rows, or none of them: nothing is selected.

    arriving: rows that reach the guard, running: rows that run behind it; None before they are
        known.
    used: whether the guarded code took its rows from the selector. Code that never does gathers
        its rows itself.
    numbers: which rows run, int [rows], where these are gathered; None for all, or a slice.
    debts: of an exit, how is paid what rows owe that leave. tokens: that run of each sequence,
        where it runs what it owes.
    """

    arriving: int | None = None
    running: int | None = None
    used = False
    numbers: torch.Tensor | None = None
    debts = ""
    tokens: int | None = None

    def __init__(self, runs: bool = True) -> None:
        self.runs = runs

    def __bool__(self) -> bool:
        return self.runs

    def take(self, x: torch.Tensor) -> torch.Tensor:
        """The rows of x [rows, ...] that run."""
        self.used = True
        return self._take(x)

    def _take(self, x: torch.Tensor) -> torch.Tensor:
        if self.arriving is None:
            self.arriving = self.running = x.shape[0]
        return x

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        """`out` [rows, ...] with y in place of the rows that run.

        out: None where the rows that do not run are zero.
        """
        return y

    def add(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """`out` [rows, ...] plus y, each row times its combination weight (moe)."""
        return out + y

    def add_(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The same as `add`, in place."""
        return out.add_(y)

    def close(self) -> None:
        """Release the row numbers. Nothing may be taken or put afterwards."""


class CompactedRows(RowSelector):
    """Gather the rows, run them alone, scatter their results.

    The number of rows must reach the host: a synchronisation.
    """

    numbers: torch.Tensor

    def __init__(
        self,
        ids: torch.Tensor,
        choice: int,
        weights: torch.Tensor | None = None,
        masks: tuple[torch.Tensor, ...] = (),
    ) -> None:
        """ids: int [rows] or [rows, k]. weights: combination weights [rows, k].

        masks: of the guards around this one that run all rows, bool [rows] each; only rows that
            took all of them are gathered.
        """
        self.weights = weights
        self.slots: torch.Tensor | None = None
        took = ids == choice
        for mask in masks:
            took = took & (mask if took.ndim == 1 else mask.unsqueeze(-1))
        if ids.ndim == 2:
            self.numbers, self.slots = torch.where(took)
        else:
            self.numbers = took.nonzero().squeeze(-1)
        self.arriving, self.running = ids.shape[0], self.numbers.shape[0]
        super().__init__(self.running > 0)

    def _take(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(0, self.numbers)

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        if out is None:
            assert self.arriving is not None
            out = y.new_zeros((self.arriving, *y.shape[1:]))
        return out.index_copy(0, self.numbers, y)

    def add(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out.index_add(0, self.numbers, self._weighted(y))

    def add_(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out.index_add_(0, self.numbers, self._weighted(y))

    def close(self) -> None:
        del self.numbers, self.slots

    def _weighted(self, y: torch.Tensor) -> torch.Tensor:
        if self.weights is None:
            return y
        if self.slots is None:
            weights = self.weights.reshape(-1)[self.numbers]
        else:
            weights = self.weights[self.numbers, self.slots]
        return y * as_column(weights, y)


class AveragedRows(RowSelector):
    """All rows, and each of so many experts counts the same: the baselines of a mixture."""

    def __init__(self, experts: int, runs: bool = True) -> None:
        super().__init__(runs)
        self.experts = experts

    def add(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out + y / self.experts

    def add_(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out.add_(y / self.experts)


class MaskedRows(RowSelector):
    """Run every row and keep the results of those that took the branch. No synchronisation."""

    def __init__(self, mask: torch.Tensor) -> None:
        """mask: the rows that took the branch, bool [rows]."""
        super().__init__()
        self.mask = mask
        self.arriving = self.running = mask.shape[0]

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        if out is None:
            return y
        return torch.where(as_column(self.mask, y), y, out)


class WaitingRows(MaskedRows):
    """Run every row as long as one needs it: the batch waits for its slowest row.

    Whether one does must reach the host: a synchronisation.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__(mask)
        self.runs = bool(mask.any())
        self.running = self.arriving if self.runs else 0


class SlicedRows(RowSelector):
    """Consecutive rows by a slice: a dense branch of the mean logical work (`same-flops`)."""

    def __init__(self, start: int, stop: int, one_of_several: bool) -> None:
        """one_of_several: other branches run the other rows, so that all write into one tensor."""
        super().__init__(stop > start)
        self.start, self.stop, self.one_of_several = start, stop, one_of_several

    def _take(self, x: torch.Tensor) -> torch.Tensor:
        stop = min(self.stop, x.shape[0])
        self.arriving, self.running = x.shape[0], stop - self.start
        return x[self.start : stop]

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        if not self.one_of_several:
            return y if out is None else torch.cat([y, out[self.stop :]])
        if out is None:
            assert self.arriving is not None
            out = y.new_empty((self.arriving, *y.shape[1:]))
        if torch.is_grad_enabled():  # in training nothing is written over
            return out.slice_scatter(y, 0, self.start, self.stop)
        out[self.start : self.stop].copy_(y)
        return out


def as_column(values: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """values [rows] in a shape that broadcasts over y [rows, ...]."""
    trailing = [1] * (y.ndim - 1)
    return values.view(-1, *trailing)


Rule = Callable[[Execution, Routed, Frame], RowSelector]
"""(what is in force, the site's decision, the guard that is about to run) → its selector."""
ROW_SELECTORS: Registry[Rule] = Registry("strategy of rows")
"""Strategy → what makes its selectors."""


@ROW_SELECTORS.register("compacted", "looped", DISPATCHED)
def compacted(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    """Only the rows that took the branch run, and so the guards inside need no masks."""
    forced = execution.forced_ids(routed.site)
    if forced is not None and forced.ndim == 1:
        present = np.arange(len(forced)) if frame.present is None else frame.present
        frame.present = present[forced == frame.choice]
    masks, frame.masks = frame.masks, ()
    return CompactedRows(routed.decided(), frame.choice, routed.weights, masks)


@ROW_SELECTORS.register("masked")
def masked(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    """Guards inside see rows that did not take the branch, and a mask that tells which did."""
    mask = routed.decided() == frame.choice
    frame.masks += (mask,)
    return MaskedRows(mask)


@ROW_SELECTORS.register("wait")
def wait(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    """A row needs the branch only where it took the branches of the guards outside, too."""
    mask = routed.decided() == frame.choice
    for outer in frame.masks:
        mask = mask & outer
    frame.masks = (mask,)
    return WaitingRows(mask)


@ROW_SELECTORS.register("same-params")
def same_params(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    """Every row in the dense network; the average of all experts in a mixture."""
    mechanism = routed.mechanism
    if mechanism.mixes_experts:
        return AveragedRows(routed.branches)
    costliest = execution.costliest.get(routed.site)
    if mechanism.one_of_several and costliest is None:
        raise CondsimError(
            f"same-params at site {routed.site!r} needs to know the costliest branch: "
            "pass trace= to condsim.force"
        )
    return RowSelector(mechanism.dense_choice(frame.choice, costliest))


@ROW_SELECTORS.register("same-flops")
def same_flops(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    """The first rows, as many as the mean; the average of the first experts in a mixture."""
    mechanism = routed.mechanism
    kept = execution.rows_kept[routed.site]
    if mechanism.mixes_experts:
        experts = int((kept > 0).sum())
        return AveragedRows(experts, frame.choice < experts)
    if frame.choice == 0 and not mechanism.one_of_several:
        return RowSelector(False)
    start, stop = mechanism.kept_slice(kept, frame.choice)
    return SlicedRows(start, stop, mechanism.one_of_several)
