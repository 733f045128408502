"""Does drafting with an early exit pay? Cycles are priced, acceptance is the trace's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from condsim import checks
from condsim.decide.speculation.cycle import VERIFIES, check_exit, cycle, exits_of, tokens_a_cycle
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import simulate
from condsim.trace import Trace
from condsim.trace.model import check_trace

DRAFTS = (1, 2, 3, 4, 6, 8)
"""Drafts a cycle that are tried where nobody says how many."""


@dataclass(frozen=True)
class Speculation:
    """What drafting gains on one device.

    table: a row for each exit and number of drafts: exit, drafts, tokens_a_cycle (the kept drafts
    and one more), plain_s (a step of the whole model), cycle_s (all drafts and the verification),
    cost (cycle_s in plain steps), speedup (tokens a cycle / cost), break_even (kept drafts a cycle
    from which on it pays), basis. trace, profile, batch: what was asked.
    """

    trace: str
    profile: str
    batch: int
    table: pd.DataFrame

    @property
    def best(self) -> dict[str, Any]:
        """The row of the largest speedup."""
        rows = self.table.to_dict("records")
        fastest = rows[int(self.table["speedup"].argmax())]
        return {str(column): value for column, value in fastest.items()}

    @property
    def verdict(self) -> str:
        """Whether it pays, in one sentence."""
        best = self.best
        many = f"{best['drafts']} draft" + ("s" if best["drafts"] > 1 else "")
        found = (
            f"{best['speedup']:.2f}x with {many} from {best['exit']} "
            f"({best['tokens_a_cycle']:.2f} tokens for the time of {best['cost']:.2f})"
        )
        if best["speedup"] > 1:
            return f"drafting pays: {found}"
        return f"drafting does not pay: at best {found}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "trace": self.trace,
            "profile": self.profile,
            "batch": self.batch,
            "verdict": self.verdict,
            "rows": self.table.to_dict("records"),
        }


def speculate(
    trace: Trace,
    profile: HardwareProfile | str | None = None,
    exit: str | None = None,
    drafts: int | Sequence[int] | None = None,
    batch: int = 1,
    **more: Any,
) -> Speculation:
    """Price self-speculative decoding: draft with an early exit, verify with the whole model.

    exit: the one that drafts; None for each. drafts: a cycle, or several numbers to try. batch:
    sequences that are decoded together, as far as the one of the fewest kept drafts. more: dtype,
    runtime and others of `condsim.simulate`.
    Raises CondsimError for a trace without token exits, and for anything impossible.
    """
    check_trace(trace)
    checks.whole("batch", batch)
    checks.free("speculate", more, ("strategy",))
    if exit is not None:
        check_exit(trace, exit)
    tried = list(_numbers(drafts))
    rows = []
    exits = exits_of(trace) if exit is None else [exit]
    for name in exits:
        for number in tried:
            rows.append(_row(trace, profile, name, number, batch, more))
    table = pd.DataFrame(rows)
    device = table.pop("device").iloc[0]
    return Speculation(trace.name, device, batch, table)


def _numbers(drafts: int | Sequence[int] | None) -> Iterable[int]:
    """Numbers of drafts to try. Raises CondsimError for one below 1, or for none."""
    if drafts is None:
        return DRAFTS
    asked = list(drafts) if isinstance(drafts, Collection) else [drafts]
    if not asked:
        raise CondsimError("drafts: got an empty list; name at least one number")
    return [checks.whole("drafts", number) for number in asked]


def _row(
    trace: Trace,
    profile: HardwareProfile | str | None,
    exit: str,
    drafts: int,
    batch: int,
    more: dict[str, Any],
) -> dict[str, Any]:
    """One row of the table, with its device."""
    tokens = tokens_a_cycle(trace, exit, drafts, batch)
    device = trace.profile if profile is None else profile
    steps = cycle(trace, exit, drafts, batch)
    priced = simulate(steps, device, VERIFIES, batch, **more)
    plain_s = priced.baseline_s
    cycle_s = priced.latency_s * (drafts + 1)
    cost = cycle_s / plain_s
    return {
        "exit": exit,
        "drafts": drafts,
        "tokens_a_cycle": tokens,
        "plain_s": plain_s,
        "cycle_s": cycle_s,
        "cost": cost,
        "speedup": tokens / cost,
        "break_even": cost - 1,
        "basis": priced.basis,
        "device": priced.profile,
    }
