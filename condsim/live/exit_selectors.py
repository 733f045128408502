"""How the rows of a decode step run that leave, or go on, at an exit of their own.

`branch(site, 0)` runs for what those owe that leave, `branch(site, 1)` for those that go on. A
selector says in `debts` how is paid, and in `numbers` which rows run, where these are gathered.
"""

from __future__ import annotations

import numpy as np
import torch

from condsim.live.execution import Execution, Frame, Routed
from condsim.live.selectors import (
    CompactedRows,
    MaskedRows,
    RowSelector,
    Rule,
    SlicedRows,
)
from condsim.mechanisms.token_exit import GOES_ON, LEAVES
from condsim.registry import Registry

EXIT_SELECTORS: Registry[Rule] = Registry("strategy of token exits")
"""Strategy → what makes its selectors."""


class GatheredExits(CompactedRows):
    """The rows that leave, or those that go on, by themselves."""

    def __init__(self, ids: torch.Tensor, choice: int, debts: str) -> None:
        """ids: the branch of each row, int [rows]. debts: how those pay that leave."""
        super().__init__(ids, choice)
        self.debts = debts


class OwingExits(GatheredExits):
    """The rows that go on, each along with the tokens that it owes.

    How many these are must reach the host: a synchronisation.
    """

    def __init__(self, execution: Execution, routed: Routed) -> None:
        super().__init__(routed.decided(), GOES_ON, "recomputed")
        self.forced = execution.owed.get(routed.site)

    def most_owed(self, computed: torch.Tensor, newest: int) -> int:
        """Tokens that the sequence runs which owes the most, its newest one among them.

        computed: the last token of each that went past the exit, int64 [rows]. newest: the token
        that runs now.
        """
        tokens = newest - int(computed.min())
        self.tokens = tokens if self.forced is None else self.forced
        return self.tokens


class AllExits(RowSelector):
    """All rows remember their state, or all wait for each other."""

    def __init__(self, runs: bool, debts: str) -> None:
        super().__init__(runs)
        self.debts = debts


class WaitingExits(MaskedRows):
    """All rows go on where one does; the logits of the others stay those of their exit."""

    def __init__(self, mask: torch.Tensor, runs: bool) -> None:
        super().__init__(mask)
        self.runs = runs
        self.running = self.arriving if runs else 0


def _leaving(frame: Frame) -> bool:
    return frame.choice == LEAVES


@EXIT_SELECTORS.register("copied", "projected")
def alone(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    _narrow(execution, routed, frame)
    return GatheredExits(routed.decided(), frame.choice, routed.strategy)


@EXIT_SELECTORS.register("recomputed")
def recomputed(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    if _leaving(frame):
        return _counted(AllExits(True, "recomputed"), routed)
    _narrow(execution, routed, frame)
    return OwingExits(execution, routed)


@EXIT_SELECTORS.register("wait")
def wait(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    """A row goes on for itself only where it went on at the exits before."""
    mask = routed.decided() == GOES_ON
    for outer in frame.masks:
        mask = mask & outer
    if routed.some_go_on is None:
        routed.some_go_on = bool(mask.any())
    if _leaving(frame):
        return _counted(AllExits(not routed.some_go_on, "projected"), routed)
    frame.masks = (mask,)
    return WaitingExits(mask, routed.some_go_on)


@EXIT_SELECTORS.register("masked")
def masked(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    if _leaving(frame):
        return _counted(RowSelector(False), routed)
    mask = routed.decided() == GOES_ON
    frame.masks += (mask,)
    return MaskedRows(mask)


@EXIT_SELECTORS.register("same-params")
def same_params(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    """Every row goes on."""
    return RowSelector(not _leaving(frame))


@EXIT_SELECTORS.register("same-flops")
def same_flops(execution: Execution, routed: Routed, frame: Frame) -> RowSelector:
    """The first rows go on, as many as in the mean."""
    if _leaving(frame):
        return RowSelector(False)
    start, stop = routed.mechanism.kept_slice(execution.rows_kept[routed.site], frame.choice)
    return SlicedRows(start, stop, one_of_several=False)


def _counted(selector: RowSelector, routed: Routed) -> RowSelector:
    """A selector of all rows, or of none, that knows how many arrive."""
    selector.arriving = routed.decided().shape[0]
    selector.running = selector.arriving if selector.runs else 0
    return selector


def _narrow(execution: Execution, routed: Routed, frame: Frame) -> None:
    """Say which of the pass's rows run, where decisions are forced."""
    forced = execution.forced_ids(routed.site)
    if forced is not None:
        present = np.arange(len(forced)) if frame.present is None else frame.present
        frame.present = present[forced == frame.choice]
