"""How the rows behind a guard run: one selector a strategy.

A selector is what `condsim.branch` yields. `take` gives the rows of a tensor that run, `put` writes their result back, and it is false where
nothing is to run. These are the runnable forms of the strategies `compacted`, `wait`, `masked`, `looped` and `gathered` and of both baselines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from condsim.errors import CondsimError
from condsim.live.execution import Execution, Frame


class Rows:
    """All rows, nothing to select: what a baseline runs (`same-params`)."""

    outer: int | None = None
    count: int | None = None
    used = False  # a body that never takes gathers its rows itself

    def __init__(self, runs: bool = True) -> None:
        self.runs = runs

    def __bool__(self) -> bool:
        return self.runs

    def take(self, x: torch.Tensor) -> torch.Tensor:
        """The rows of x [rows, ...] that run."""
        self.used = True
        return self._taken(x)

    def _taken(self, x: torch.Tensor) -> torch.Tensor:
        if self.outer is None:
            self.outer = self.count = x.shape[0]
        return x

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        """`out` [rows, ...] with the running rows replaced by y; out None: rows that do not run are zero."""
        return y

    def add(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """`out` [rows, ...] plus y, each row times its combination weight (moe)."""
        return out + y

    def add_(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The same, into `out`."""
        return out.add_(y)

    def close(self) -> None:
        """Let go of the row numbers; nothing is taken or put after it."""


class Compacted(Rows):
    """Gather the rows, run them alone, scatter them back. The number of rows reaches the host: a synchronisation.

    masks: of outer guards that run all rows; only rows that took those are gathered.
    """

    def __init__(
        self,
        ids: torch.Tensor,
        choice: int,
        weights: torch.Tensor | None = None,
        masks: tuple[torch.Tensor, ...] = (),
    ) -> None:
        self.weights = weights
        took = ids == choice
        for mask in masks:
            took = took & (mask if took.ndim == 1 else mask.unsqueeze(-1))
        if ids.ndim == 2:
            self.index, self.slot = torch.where(took)
        else:
            self.index = took.nonzero().squeeze(-1)
        self.outer, self.count = ids.shape[0], self.index.shape[0]
        super().__init__(self.count > 0)

    def _taken(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(0, self.index)

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        if out is None:
            assert self.outer is not None
            out = y.new_zeros((self.outer, *y.shape[1:]))
        return out.index_copy(0, self.index, y)

    def add(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out.index_add(0, self.index, self._weighted(y))

    def add_(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out.index_add_(0, self.index, self._weighted(y))

    def close(self) -> None:
        self.__dict__.pop("index", None)
        self.__dict__.pop("slot", None)

    def _weighted(self, y: torch.Tensor) -> torch.Tensor:
        if self.weights is None:
            return y
        weights = (
            self.weights[self.index, self.slot]
            if hasattr(self, "slot")
            else self.weights.reshape(-1)[self.index]
        )
        return y * weights.view(-1, *[1] * (y.ndim - 1))


class Averaged(Rows):
    """All rows, and each of so many experts counts the same: both baselines of a mixture of experts."""

    def __init__(self, experts: int) -> None:
        super().__init__(experts > 0)
        self.experts = experts

    def add(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out + y / self.experts

    def add_(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out.add_(y / self.experts)


class Masked(Rows):
    """Run every row and keep the results of those that took the branch. No synchronisation."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__(True)
        self.mask = mask
        self.outer = self.count = mask.shape[0]

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        if out is None:
            return y
        return torch.where(self.mask.view(-1, *[1] * (y.ndim - 1)), y, out)


class Wait(Masked):
    """Run every row as long as one needs it: the batch waits for its slowest. One synchronisation a guard."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__(mask)
        self.runs = bool(mask.any())
        self.count = self.outer if self.runs else 0


class Sliced(Rows):
    """The first rows by a slice: a dense branch of the mean logical work (`same-flops`)."""

    def __init__(self, start: int, stop: int, one_of_several: bool) -> None:
        super().__init__(stop > start)
        self.start, self.stop, self.one_of_several = start, stop, one_of_several

    def _taken(self, x: torch.Tensor) -> torch.Tensor:
        stop = min(self.stop, x.shape[0])
        self.outer, self.count = x.shape[0], stop - self.start
        return x[self.start : stop]

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        if not self.one_of_several:
            return y if out is None else torch.cat([y, out[self.stop :]])
        if out is None:
            assert self.outer is not None
            out = y.new_empty((self.outer, *y.shape[1:]))
        out[self.start : self.stop].copy_(y)
        return out


class Blocks:
    """All weight blocks: the dense layer (`same-params`). Subclasses select blocks of a weight matrix."""

    outer: int | None = None
    count: int | None = None
    used = True

    def __bool__(self) -> bool:
        return True

    def weight(self, w: torch.Tensor, dim: int) -> torch.Tensor:
        """The blocks of w along `dim` that run. w: a matrix whose `dim` is blocks x block size."""
        return w

    def mask(self, h: torch.Tensor) -> torch.Tensor:
        """h [rows, width of what runs] with the blocks a row did not ask for set to zero."""
        return h


class GatheredBlocks(Blocks):
    """Copy the union of the blocks that any row asks for into a smaller matrix. One synchronisation."""

    def __init__(self, active: torch.Tensor) -> None:
        self.asked = active
        self.index = active.any(0).nonzero().squeeze(-1)
        self.outer, self.count = active.shape[0], self.index.shape[0]
        self.blocks = active.shape[1]

    def weight(self, w: torch.Tensor, dim: int) -> torch.Tensor:
        self.size = w.shape[dim] // self.blocks
        shape = (*w.shape[:dim], self.blocks, self.size, *w.shape[dim + 1 :])
        return w.view(shape).index_select(dim, self.index).flatten(dim, dim + 1)

    def mask(self, h: torch.Tensor) -> torch.Tensor:
        wanted = self.asked.index_select(1, self.index).unsqueeze(-1)
        return (h.view(*h.shape[:-1], self.index.shape[0], self.size) * wanted).flatten(-2)


class MaskedBlocks(Blocks):
    """Run every block and zero what a row did not ask for."""

    def __init__(self, active: torch.Tensor) -> None:
        self.asked = active
        self.outer, self.count = active.shape

    def mask(self, h: torch.Tensor) -> torch.Tensor:
        return (h.view(*h.shape[:-1], self.asked.shape[1], -1) * self.asked.unsqueeze(-1)).flatten(
            -2
        )


class SlicedBlocks(Blocks):
    """The first blocks by a slice: a dense layer of the mean logical width (`same-flops`)."""

    def __init__(self, kept: int, blocks: int) -> None:
        self.kept, self.blocks = kept, blocks
        self.count = kept

    def weight(self, w: torch.Tensor, dim: int) -> torch.Tensor:
        return w.narrow(dim, 0, w.shape[dim] // self.blocks * self.kept)


def select(
    run: Execution,
    site: str,
    mechanism: str,
    branches: int,
    choice: int | None,
    ids: torch.Tensor | None,
    weights: torch.Tensor | None,
    frame: Frame,
) -> Any:
    """The selector for one guard under the strategy in force. Raises CondsimError where the strategy is not for this mechanism."""
    strategy = run.strategy(site, mechanism)
    if mechanism == "sparse_activation":
        return _select_blocks(run, site, strategy, ids, frame)
    assert choice is not None
    enters = choice != 0 or mechanism == "multi_branch"
    if mechanism == "moe" and strategy == "same-params":
        return Averaged(branches)
    if mechanism == "moe" and strategy == "same-flops":
        used = int((run.rows_kept[site] > 0).sum())
        return Averaged(used if choice < used else 0)
    if strategy == "same-params":
        if mechanism == "multi_branch" and site not in run.costliest:
            raise CondsimError(
                f"same-params at site {site!r} needs to know the costliest branch: pass trace= to condsim.force"
            )
        return Rows(enters and (mechanism != "multi_branch" or choice == run.costliest[site]))
    if strategy == "same-flops":
        ends = (
            np.cumsum(run.rows_kept[site]) if mechanism == "multi_branch" else run.rows_kept[site]
        )
        start = int(ends[choice - 1]) if mechanism == "multi_branch" and choice else 0
        return (
            Sliced(start, int(ends[choice]), mechanism == "multi_branch") if enters else Rows(False)
        )
    assert ids is not None
    if strategy in ("compacted", "looped"):
        forced = run.forced_ids(site)
        if forced is not None and forced.ndim == 1:
            present = np.arange(len(forced)) if frame.present is None else frame.present
            frame.present = present[forced == choice]
        masks, frame.masks = frame.masks, ()
        return Compacted(ids, choice, weights, masks)
    if strategy == "masked":
        mask = ids == choice
        frame.masks += (mask,)
        return Masked(mask)
    if strategy == "wait":
        mask = ids == choice
        for outer in frame.masks:
            mask = mask & outer
        frame.masks = (mask,)
        return Wait(mask)
    raise CondsimError(f"strategy {strategy!r} cannot run a marked {mechanism} site ({site!r})")


def _select_blocks(
    run: Execution, site: str, strategy: str, active: torch.Tensor | None, frame: Frame
) -> Blocks:
    if strategy == "same-params":
        return Blocks()
    if strategy == "same-flops":
        return SlicedBlocks(int(run.rows_kept[site].sum()), len(run.rows_kept[site]))
    assert active is not None
    if strategy == "gathered":
        for mask in frame.masks:
            active = active & mask.unsqueeze(-1)
        return GatheredBlocks(active)
    if strategy == "masked":
        return MaskedBlocks(active)
    raise CondsimError(
        f"strategy {strategy!r} cannot run a sparse_activation site ({site!r}); gathered and masked can"
    )
