"""What a reader of a prediction should know: how it differs from what was captured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from condsim.predict.choose import program_of
from condsim.predict.mask_moves import has_moves, mask_moves
from condsim.predict.prediction import AS_CAPTURED
from condsim.predict.simulation import Simulation
from condsim.program.regime import TRAIN
from condsim.runtimes.quantised import WEIGHT_DTYPES
from condsim.steps.extents import CAPACITY_FACTOR
from condsim.strategies import Strategy, meant, name_of

if TYPE_CHECKING:
    from condsim.predict.answer import Answer


BAD_CALIBRATION = 0.2
"""Error of nine in ten latencies of a self-check above which an answer says so."""

MOVES_SHARE = 0.01
"""The share of a training's time that moves of masks may take, as notes say it."""


def notes_of(answer: Answer) -> tuple[str, ...]:
    """Return the notes of the trace, of the steps and of the strategies."""
    simulation = answer.simulation
    return (
        *_on_runtime(simulation),
        *simulation.trace.header.notes,
        *_on_calibration(answer),
        *_on_steps(simulation),
        *_on_strategies(simulation),
        *_on_masks(answer),
    )


def _on_runtime(simulation: Simulation) -> list[str]:
    runtime, weights = simulation.target.runtime, simulation.scenario.weights
    notes = [f"runtime {runtime.name}: {runtime.about}"] if runtime.about else []
    if weights is not None:
        dtype = WEIGHT_DTYPES[weights]
        of = "experts" if dtype.experts_only else "layers"
        compute = f"unpack them and compute in {simulation.target.dtype}"
        if dtype.computes_in:
            compute = f"compute in {dtype.computes_in}"
        notes.append(
            f"weights of {of} in {weights}, {dtype.bits:.3g} bits with {dtype.about}; their "
            f"products {compute}"
        )
    return notes


def outputs_of(simulation: Simulation) -> str:
    """Return how the outputs differ from the model's, in a few words."""
    chosen = _chosen(simulation)
    own = simulation.trace.header.captured.values()
    others = [strategy for strategy in chosen if strategy.name not in own]
    words = [f"changed by {strategy.name}" for strategy in others if strategy.changes]
    if any(strategy.drops for strategy in chosen):
        share = simulation.dropped_share
        words += [f"{share:.1%} of the assignments dropped"] if share else []
    return ", ".join(words) or AS_CAPTURED


def _chosen(simulation: Simulation) -> list[Strategy]:
    return meant(simulation.strategies)


def _on_calibration(answer: Answer) -> list[str]:
    """Why the calibration that the answer rests on cannot be trusted."""
    profile = answer.simulation.target.profile
    check, errors = profile.self_check, answer.self_check
    if check is None or errors is None:
        return []
    _, latency = errors
    notes = []
    if latency.covering > BAD_CALIBRATION:
        notes.append(
            f"the calibration of {profile.name} is off by {latency.median:.0%} (median) to "
            f"{latency.worst:.0%} (worst) on modules that it was checked with, so intervals are at "
            f"least {latency.covering:.0%} wide; `condsim calibrate` on an idle machine"
        )
    if check.busy:
        notes.append(
            f"the machine was busy while {profile.name} was calibrated: {check.disturbed:.0%} of "
            "the timings were disturbed; end what else runs, and `condsim calibrate` again"
        )
    return notes


def _on_steps(simulation: Simulation) -> list[str]:
    """How the steps differ from the captured ones."""
    trace, target, cut = simulation.trace, simulation.target, simulation.cut
    notes = []
    if target.profile.calibrated and trace.dtype != target.dtype:
        notes.append(
            f"captured in {trace.dtype}, predicted in {target.dtype}: casts between the "
            "two are as captured"
        )
    if trace.header.accumulate > 1:
        notes.append(
            f"a step is {trace.header.accumulate} micro-batches of {cut.batch} units and one "
            "optimizer step; its micro-batches are routed alike"
        )
    if cut.dropped:
        notes.append(f"{cut.dropped} units of partial last steps are left out")
    if simulation.scenario.steps is None and simulation.selected is not None:
        looked_at = len(simulation.selected)
        if looked_at < len(cut):
            notes.append(
                f"{looked_at} of {len(cut)} steps are looked at: host and device are two "
                "clocks here, which need each step in order; percentiles mean little"
            )
    flagged = program_of(trace, simulation.strategies, cut.regime).flagged
    if flagged:
        count = len(flagged)
        notes.append(f"{count} operators keep the size they were captured at: {flagged[0]}")
    return notes


def _on_strategies(simulation: Simulation) -> list[str]:
    """What the strategies change about the model."""
    chosen = _chosen(simulation)
    notes = []
    for strategy in chosen:
        if strategy.changes:
            notes.append(f"{strategy.name}: {strategy.changes}")
    notes += _ignored(simulation)
    if any(strategy.drops for strategy in chosen):
        factor = simulation.scenario.capacity_factor
        notes.append(
            f"capacity factor {factor:g}: {simulation.dropped_share:.1%} of the assignments "
            "are over an expert's capacity and dropped, so outputs differ from the model's"
        )
    return notes


def _on_masks(answer: Answer) -> list[str]:
    """What it costs to move the masks of sparse weights, where a training moved them."""
    simulation = answer.simulation
    trace, profile = simulation.trace, simulation.target.profile
    if simulation.cut.phase != TRAIN or not profile.device_class.is_host or not has_moves(trace):
        return []
    key = ("mask moves", profile.digest)
    moves = trace.results.remember(key, lambda: mask_moves(trace, profile))
    step_s = float(answer.both_sides.conditional.seconds.mean())
    steps = moves.every(MOVES_SHARE, step_s)
    basis = "" if profile.calibrated else " (estimated)"
    return [
        f"{moves.moved:,.0f} weights come between two entries of the history (mean); a move as "
        f"RigL's takes {moves.seconds * 1e3:.3g} ms{basis}, {MOVES_SHARE:.0%} of the time where "
        f"{steps:,} steps lie between two"
    ]


def _ignored(simulation: Simulation) -> list[str]:
    """What was asked for and changes nothing."""
    scenario = simulation.scenario
    drops = any(strategy.drops for strategy in _chosen(simulation))
    ignored = []
    if scenario.capacity_factor != CAPACITY_FACTOR and not drops:
        ignored.append("capacity_factor")
    if scenario.expert_cache is not None and not simulation.waits_for_weights:
        ignored.append("expert_cache")
    strategy = name_of(simulation.strategies)
    return [f"{name} changes nothing: strategy {strategy} does not use it" for name in ignored]
