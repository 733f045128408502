"""Which selector a guard gets: by what its mechanism decides, and by the strategy in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from condsim.errors import CondsimError
from condsim.live.block_selectors import BLOCK_SELECTORS, BlockSelector
from condsim.live.execution import Execution, Frame, Routed
from condsim.live.exit_selectors import EXIT_SELECTORS
from condsim.live.selectors import ROW_SELECTORS, RowSelector
from condsim.mechanisms import Mechanism

Selector = RowSelector | BlockSelector
Rules = Mapping[str, Callable[[Execution, Routed, Frame], Selector]]
"""Strategy → what makes its selectors."""


def select(execution: Execution, routed: Routed, frame: Frame) -> Selector:
    """The selector for a guard that is about to run.

    Raises CondsimError where the strategy cannot run marked sites of this mechanism.
    """
    mechanism = routed.mechanism
    selectors = _rules_of(mechanism)
    if routed.strategy not in selectors:
        able = " and ".join(mechanism.marked)
        raise CondsimError(
            f"strategy {routed.strategy!r} cannot run a marked {mechanism.name} site "
            f"({routed.site!r}); {able} can"
        )
    return selectors[routed.strategy](execution, routed, frame)


def _rules_of(mechanism: Mechanism) -> Rules:
    if mechanism.selects_blocks:
        return BLOCK_SELECTORS
    return EXIT_SELECTORS if mechanism.owes else ROW_SELECTORS
