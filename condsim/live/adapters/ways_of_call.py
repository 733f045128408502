"""A module's forward lifted by the ways that its `if`s take."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

from torch import nn

from condsim.live.adapters.host_call import MORE_POSITIONS, HostCall
from condsim.live.lift.lifted_ways import LiftedWays
from condsim.live.lift.questions import QuestionTape
from condsim.live.lift.ways import Ways, find_ways


def lift_by_ways(block: nn.Module, path: str, call: HostCall, rows: tuple[int, int]) -> LiftedWays:
    """The forward of a block by its ways. rows: of the runs at two sizes.

    Raises OneWay where it makes the same calls whatever it hears, and NotLiftable where its ways
    cannot be told apart.
    """
    ways = find_ways(partial(_run, block, call, rows[0], 0))
    other = _other_ways(block, call, rows[1])
    return LiftedWays(block, path, ways, other, rows)


def _other_ways(block: nn.Module, call: HostCall, rows: int) -> Ways:
    """The ways at another size, of the sequences too where there are any."""
    if call.has_sequences():
        with contextlib.suppress(Exception):
            return find_ways(partial(_run, block, call, rows, MORE_POSITIONS))
    return find_ways(partial(_run, block, call, rows, 0))


def _run(
    block: nn.Module, call: HostCall, rows: int, more: int, answers: Sequence[bool], later: bool
) -> QuestionTape:
    """One run that hears some answers. more: positions that sequences have more."""
    args, kwargs = call.resized(rows, more)
    return QuestionTape(block, answers, later).run(call.forward, args, kwargs)
