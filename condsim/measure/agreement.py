"""Whether a live model decides as its trace says.

Decisions are the model's own, so that nothing stands in the way of the model that is timed. But
rounding depends on the batch, and a row on the edge may decide otherwise than when it was captured.
So each step is run once outside of the clock and compared with the trace. Where more than one
decision in 1,000 differs, the next step takes its place; where that does not help, it is an error
that names the site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.live.decode import decode_step
from condsim.live.execution import Execution
from condsim.measure.plan import Plan
from condsim.measure.replay import Captured, Replay, Step
from condsim.mechanisms import MECHANISMS, Mechanism
from condsim.program.regime import DECODE
from condsim.protocols import Protocol
from condsim.strategies import meant, name_of
from condsim.trace import Trace

TOLERATED = 0.001
"""Share of a step's decisions at a site that rounding may change."""
SAME_MODEL = 0.2
"""Where decisions are forced, the share in all steps up to which it is still the same model."""
REPLACEMENTS = 8
"""Steps of a case that may be replaced by later ones."""

Disagreement = tuple[int, int]
"""(decisions that are not the trace's, all decisions)."""


def learn_sites(captured: Captured) -> None:
    """Run the model once: marked sites, routers and top-k are known only after that.

    Raises CondsimError where the model's sites are not the trace's.
    """
    trace, live = captured.trace, captured.live
    as_captured = Execution(dict(trace.header.captured))
    if set(trace.steps["phase"]) == {DECODE}:
        step = decode_step(live, captured.inputs[0])
        live.run(step.batch, as_captured, **step.cache)
    else:
        live.run(captured.inputs[0], as_captured)
    of_model = set(live.infos)
    of_trace = {site.name for site in trace.sites}
    for odd in sorted(of_model ^ of_trace):
        where = "model" if odd in of_model else "trace"
        raise CondsimError(
            f"site {odd!r} is only in the {where}: this is not the model that was captured"
        )


def checked_steps(
    replay: Replay, strategies: Mapping[str, str], plan: Plan, protocol: Protocol
) -> list[Step]:
    """The steps to time, checked against the trace where that does not spoil what is timed.

    strategies: mechanism → strategy of the conditional side. Steps that follow each other are not
    checked: the check would leave kernels of their sizes behind, so it comes after the timing.
    """
    count = len(replay)
    if protocol.steps_follow:
        return [replay.step(index) for index in range(min(count, plan.pairs))]
    wanted_steps = min(plan.steps, count)
    spread = np.linspace(0, count - 1, wanted_steps).round()
    wanted = [int(index) for index in np.unique(spread)]
    if not plan.forces_decisions:
        return _steps_that_agree(replay, strategies, plan, wanted)
    steps = [replay.step(index) for index in wanted]
    check_decisions(replay, strategies, plan, steps)
    return steps


def _steps_that_agree(
    replay: Replay, strategies: Mapping[str, str], plan: Plan, wanted: Sequence[int]
) -> list[Step]:
    """The wanted steps; one that does not agree with the trace is replaced by a later one."""
    steps: list[Step] = []
    replacements_left = REPLACEMENTS
    for first in wanted:
        index = first
        error = _refusal(replay, strategies, plan, index)
        while error is not None:
            index += 1
            replacements_left -= 1
            if replacements_left < 0 or index >= len(replay) or index in wanted:
                raise error
            error = _refusal(replay, strategies, plan, index)
        steps.append(replay.step(index))
    return steps


def _refusal(
    replay: Replay, strategies: Mapping[str, str], plan: Plan, index: int
) -> CondsimError | None:
    """Why a step cannot be timed; None: it can."""
    try:
        check_decisions(replay, strategies, plan, [replay.step(index)])
    except CondsimError as error:
        return error
    return None


def check_decisions(
    replay: Replay, strategies: Mapping[str, str], plan: Plan, steps: Sequence[Step]
) -> None:
    """Raises CondsimError where decisions of some steps are not the trace's.

    The steps are run as captured, and under the strategies to be timed, if decisions are natural.
    """
    captured = replay.trace.header.captured
    _check_under(replay, captured, plan, steps)
    # What is dropped changes what later layers see, but not what the strategy runs: its shapes do
    # not depend on decisions.
    drops = any(strategy.drops or strategy.changes for strategy in meant(strategies))
    other = dict(strategies) != dict(captured)
    if other and not drops and not plan.forces_decisions:
        _check_under(replay, strategies, plan, steps)


def _check_under(
    replay: Replay, strategies: Mapping[str, str], plan: Plan, steps: Sequence[Step]
) -> None:
    differing: dict[str, int] = {}
    total: dict[str, int] = {}
    for step in steps:
        for site, (odd, rows) in disagreements(replay, strategies, step).items():
            differing[site] = differing.get(site, 0) + odd
            total[site] = total.get(site, 0) + rows
            if odd > TOLERATED * rows and not plan.forces_decisions:
                raise CondsimError(
                    f"site {site!r}: {odd} of {rows} decisions in step {step.index} "
                    f"(batch {step.batch.units}, {name_of(strategies)}) differ from the trace's. "
                    "If few: rounding depends on the batch, decisions='trace' forces the trace's "
                    "own. If most: these are not the model and inputs that were captured"
                )
    for site, odd in differing.items():
        if odd > SAME_MODEL * total[site]:
            raise CondsimError(
                f"site {site!r}: {odd} of {total[site]} decisions differ from the trace's: "
                "not the model and inputs that were captured"
            )


def disagreements(
    replay: Replay, strategies: Mapping[str, str], step: Step
) -> dict[str, Disagreement]:
    """Run a step under some strategies and compare its decisions with the trace's, site by site."""
    execution = Execution(dict(strategies), observed={})
    with replay.live.prepared(execution):
        step.call(replay.live.model, strategies)
    return compare_decisions(replay.trace, step, execution.observed or {})


def compare_decisions(
    trace: Trace, step: Step, observed: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Disagreement]:
    """How far decisions that were observed in one pass differ from the trace's, site by site.

    observed: as `condsim.live.execution.Execution.observed`.
    """
    compared: dict[str, Disagreement] = {}
    for site in trace.sites:
        recorded = step.ids[site.name]
        calls = observed.get(site.name, [])
        seen = calls[0]["ids"].numpy() if calls else recorded[:0]
        compared[site.name] = disagreement(MECHANISMS[site.mechanism], recorded, seen)
    return compared


def disagreement(mechanism: Mechanism, recorded: np.ndarray, observed: np.ndarray) -> Disagreement:
    """How many decisions differ, of all rows that got to a site; all do where rows are missing.

    recorded: decisions [rows], [rows, k] or bool [rows, blocks] of a trace. observed: the same of a
    model, of all rows or only of those that got to the site. The order of a row's k branches does
    not matter; each bit of a row that asks for blocks is a decision.
    """
    arrived = mechanism.arrived(recorded)
    if len(observed) == len(recorded):
        observed = observed[arrived]
    recorded = _with_columns(recorded[arrived])
    observed = _with_columns(observed)
    if recorded.shape != observed.shape:
        return len(recorded), len(recorded)
    if mechanism.selects_blocks:
        return int((recorded != observed).sum()), recorded.size
    recorded_sorted = np.sort(recorded, axis=1)
    observed_sorted = np.sort(observed, axis=1)
    differs = (recorded_sorted != observed_sorted).any(axis=1)
    return int(differs.sum()), len(recorded)


def _with_columns(ids: np.ndarray) -> np.ndarray:
    """Decisions [rows, columns], of one column where a row takes one branch."""
    return ids[:, None] if ids.ndim == 1 else ids
