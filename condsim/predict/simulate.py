"""Trace + profile → prediction: what may be asked, and of which device and strategy."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from condsim.cost.device import Target
from condsim.errors import CondsimError, shown
from condsim.hardware import HardwareProfile, hardware, this_machine
from condsim.predict.accumulate import of_micro_batches
from condsim.predict.answer import Answer
from condsim.predict.choose import (
    check_kernels,
    check_weights,
    choose_strategies,
    fit_device,
    refusal,
    strategies_of_runtime,
    strategies_on_kind,
)
from condsim.predict.gate import answering, checked
from condsim.predict.prediction import Prediction
from condsim.predict.ranks import SpreadSimulation
from condsim.predict.ranks_answer import SpreadAnswer
from condsim.predict.side import price_together
from condsim.predict.simulation import Simulation
from condsim.predict.tensor_answer import TensorAnswer, check_share
from condsim.runtimes import choose_runtime
from condsim.runtimes.caches import check_caches
from condsim.scenario import Scenario
from condsim.trace import Trace
from condsim.trace.model import check_trace

Question = tuple[Scenario, Answer | SpreadAnswer | None]
"""A scenario and what answers it; None where the device cannot run what was captured."""
PRICED_TOGETHER = 48
"""Scenarios that are priced together: as many as a trace remembers all of."""


def simulate(
    trace: Trace,
    profile: HardwareProfile | str | None = None,
    strategy: str | Mapping[str, str] | None = None,
    batch: int | None = None,
    baseline: str = "same-params",
    dtype: str | None = None,
    runtime: str | None = None,
    threshold: float | None = None,
    phase: str | None = None,
    **more: Any,
) -> Prediction:
    """Predict one configuration.

    profile: a device; None for the one stored with the trace, else this machine's, in the dtype
        that the trace was captured in where there is one.
    strategy: a name, or mechanism → name; None for the captured one.
    batch: units a step; None for the captured one.
    baseline: "same-params" or "same-flops".
    threshold: decide early exits anew. phase: "prefill" or "decode".
    more: protocol, steps, engine, capacity_factor, expert_cache, weights, caches, parallel,
        accumulate: as in `condsim.scenario.Scenario`.
    Raises CondsimError for anything unknown or impossible, naming the way out.
    """
    options = _known_options(more)
    scenario = Scenario(strategy, batch, baseline, dtype, runtime, threshold, phase, **options)
    return simulate_many(trace, profile, [scenario])[0]


def simulate_many(
    trace: Trace, profile: HardwareProfile | str | None, scenarios: Iterable[Scenario]
) -> list[Prediction]:
    """Predict many configurations of one trace on one device, in order.

    Raises CondsimError at the first that is impossible.
    """
    check_trace(trace)
    if not isinstance(scenarios, Iterable):
        raise CondsimError(f"scenarios are of condsim.Scenario, got {shown(scenarios)}")
    device = resolve_profile(trace, profile)
    predictions = []
    asked = iter(scenarios)
    while some := list(itertools.islice(asked, PRICED_TOGETHER)):
        with _without_collector():
            predictions += _predict_together(trace, device, some)
    return predictions


def _predict_together(
    trace: Trace, profile: HardwareProfile, scenarios: Iterable[Scenario]
) -> list[Prediction]:
    """Predict some scenarios; sides are priced once for all of them, and forgotten after the last.

    Raises CondsimError at the first that is impossible.
    """
    asked = list(_possible(trace, profile, scenarios))
    answers = [answer for _, answer in asked if answer is not None]
    if len(asked) > 1:
        sides = [side for answer in answers for side in answer.shared_sides]
        with answering(trace.name, profile.name):
            price_together(sides)
    predictions = [_predict(trace, profile, *question) for question in asked]
    for answer in answers:
        answer.forget_sides()
    return predictions


def _possible(
    trace: Trace, profile: HardwareProfile, scenarios: Iterable[Scenario]
) -> Iterator[Question]:
    """Yield scenarios and what answers them. Raises CondsimError at the first that is impossible:
    its steps are cut before the next one is looked at."""
    for scenario in scenarios:
        if not isinstance(scenario, Scenario):
            raise CondsimError(f"scenarios are of condsim.Scenario, got {shown(scenario)}")
        answer = _answer(trace, profile, scenario)
        if answer is not None:
            answer.check()
        yield scenario, answer


@contextmanager
def _without_collector() -> Iterator[None]:
    """Leave cyclic garbage for later: many objects are made meanwhile, and nearly all are kept."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _known_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    known = (
        "protocol",
        "steps",
        "engine",
        "capacity_factor",
        "expert_cache",
        "weights",
        "caches",
        "parallel",
        "accumulate",
    )
    for name in options:
        if name not in known:
            listed = ", ".join(known)
            raise TypeError(f"simulate() has no argument {name!r}; it has {listed}")
    return options


def resolve_profile(trace: Trace, profile: HardwareProfile | str | None) -> HardwareProfile:
    """Return the profile to use: given, stored with the trace, or this machine's.

    Raises CondsimError where there is none.
    """
    if isinstance(profile, HardwareProfile):
        return profile
    if profile is not None:
        return hardware(profile)
    found = trace.profile or this_machine(dtype=trace.dtype) or this_machine()
    if found is None:
        raise CondsimError(
            "no profile: this machine is not calibrated (condsim calibrate does it) and the trace "
            "carries none; or name a device"
        )
    return found


def predict(trace: Trace, profile: HardwareProfile, scenario: Scenario) -> Prediction:
    """Predict one scenario.

    Raises CondsimError where it is impossible, and where the answer would not be finite numbers.
    """
    return _predict_together(trace, profile, [scenario])[0]


def _predict(
    trace: Trace,
    profile: HardwareProfile,
    scenario: Scenario,
    answer: Answer | SpreadAnswer | None,
) -> Prediction:
    """Predict one scenario. answer: of `_answer`."""
    if answer is None:
        return _fastest(trace, profile, scenario)
    with answering(trace.name, profile.name):
        return checked(answer.prediction())


def _answer(
    trace: Trace, profile: HardwareProfile, scenario: Scenario
) -> Answer | SpreadAnswer | None:
    """Return what answers a scenario; None where the device cannot run what was captured, and
    no other strategy was asked for. Raises CondsimError where it is impossible."""
    trace = of_micro_batches(trace, scenario.accumulate)
    runtime = choose_runtime(scenario.runtime, profile)
    dtype = scenario.dtype or profile.dtype
    if dtype not in profile.peak_flops:
        able = ", ".join(profile.peak_flops)
        raise CondsimError(f"profile {profile.name!r} has no dtype {dtype!r}; it has {able}")
    check_weights(profile, scenario.weights)
    check_caches(scenario.caches, runtime, profile)
    strategies = choose_strategies(trace, scenario.strategy)
    if scenario.strategy is None:
        strategies = strategies_of_runtime(trace, strategies, runtime, scenario.weights)
    check_kernels(profile, strategies)
    if not fit_device(strategies, profile.kind, runtime.static):
        if scenario.strategy is not None:
            raise refusal(strategies, trace, profile, runtime.static)
        return None
    parameters = trace.header.provenance.parameters
    target = Target(profile, dtype, runtime, parameters)
    parallel = scenario.parallel
    if parallel is not None and parallel.expert > 1:
        return SpreadAnswer(SpreadSimulation(trace, target, scenario, strategies))
    if parallel is not None and parallel.tensor > 1:
        check_share(trace, profile, parallel)
        target = replace(target, fabric=parallel.fabric)
        return TensorAnswer(Simulation(trace, target, scenario, strategies))
    return Answer(Simulation(trace, target, scenario, strategies))


def _fastest(trace: Trace, profile: HardwareProfile, scenario: Scenario) -> Prediction:
    """The fastest of what a device can run, where it cannot run what was captured."""
    static = choose_runtime(scenario.runtime, profile).static
    able = strategies_on_kind(trace, profile.kind, static)
    captured = choose_strategies(trace, None)
    refused = refusal(captured, trace, profile, static)
    predictions = []
    for strategy in able:
        with_strategy = scenario.but(strategy=strategy)
        try:
            predictions.append(predict(trace, profile, with_strategy))
        except CondsimError as error:
            refused = error
    if not predictions:
        raise refused
    return min(predictions, key=lambda prediction: prediction.latency_s)
