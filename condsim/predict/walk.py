"""The steps of a question in blocks, so that memory does not grow with a trace.

A block holds few enough steps that all of their kernels fit into memory. What steps leave for those
after them is carried from block to block (`condsim.predict.carried`), so that the answer is the
same whatever a block holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from condsim.cost.device import DeviceModel
from condsim.lower import lower
from condsim.lowered import Lowered, Outline
from condsim.predict.side import Side
from condsim.program import Program
from condsim.steps.extents import SiteRule, Steps
from condsim.steps.rebatch import Cut

BLOCK_COUNTS = 2**22
"""Counts that the steps of a block have at most: one a step and branch."""

BLOCK_STEPS = 2**15
"""Steps that a block has at most."""

REMEMBERED_COUNTS = 2**18
"""Counts of the steps that are remembered, at most."""


class Blocks:
    """The steps that are looked at, block by block.

    selected: numbers of the steps; None for all of a cut. in_one: whether one block has them all.
    """

    def __init__(
        self, cut: Cut, selected: tuple[int, ...] | None, capacity_factor: float, in_one: bool
    ) -> None:
        self._cut, self._capacity_factor = cut, capacity_factor
        every = np.arange(len(cut))
        self.numbers = every if selected is None else np.array(selected, int)
        self._most = len(self.numbers) if in_one else most_steps(cut)
        self._made: tuple[int, Steps] | None = None

    def __len__(self) -> int:
        return -(-self.steps // self._most)

    def __iter__(self) -> Iterator[Steps]:
        return (self[number] for number in range(len(self)))

    @property
    def steps(self) -> int:
        """How many steps all blocks have."""
        return len(self.numbers)

    @property
    def counts(self) -> int:
        """How many counts all blocks have: one a step and branch."""
        return self.steps * counts_a_step(self._cut)

    @property
    def few(self) -> bool:
        """Whether there are so few steps that what is known of them is remembered."""
        return self.counts <= REMEMBERED_COUNTS

    def __getitem__(self, number: int) -> Steps:
        """The steps of a block; those that were asked for last are kept."""
        if self._made is None or self._made[0] != number:
            self._made = None
            begin = number * self._most
            self._made = number, self._taken(self.numbers[begin : begin + self._most])
        return self._made[1]

    def sample(self, most: int) -> Steps:
        """Return at most so many steps, evenly spread over all blocks."""
        evenly_spaced = np.linspace(0, self.steps - 1, most).astype(int)
        return self._taken(self.numbers[np.unique(evenly_spaced)])

    def _taken(self, numbers: np.ndarray) -> Steps:
        of_all = self.few and len(numbers) == len(self._cut)
        steps = self._cut.steps if of_all else self._cut.take(numbers)
        return replace(steps, capacity_factor=self._capacity_factor)


def counts_a_step(cut: Cut) -> int:
    """Return the branches of all sites."""
    return sum(site.rule.branches for site in cut.sites.values())


def most_steps(cut: Cut) -> int:
    """Return how many steps a block has at most."""
    fit = BLOCK_COUNTS // max(counts_a_step(cut), 1)
    return min(max(fit, 1), BLOCK_STEPS)


@dataclass
class Way:
    """One side's program on one device.

    rules: site → what steps say of it. change: what is done to steps before they run.
    """

    program: Program
    rules: Mapping[str, SiteRule]
    strategies: Mapping[str, str]
    model: DeviceModel
    change: Callable[[Steps], Steps] = lambda steps: steps

    def __post_init__(self) -> None:
        self._outline = Outline()

    def look_ahead(self, blocks: Blocks) -> Way:
        """Learn what all blocks run, where there are several."""
        if len(blocks) > 1:
            for steps in blocks:
                self._outline.add_sizes(self.lowered(steps))
        return self

    def lowered(self, steps: Steps) -> Lowered:
        """Return the program on some steps."""
        steps = self.change(steps)
        return lower(self.program, self.rules, self.strategies, steps, self._outline)

    def side(self, steps: Steps) -> Side:
        """Return the side of a block of steps. The first block is priced first."""
        return Side(self.lowered(steps), self.model)
