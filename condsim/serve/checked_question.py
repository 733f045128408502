"""Which questions serving can answer; what it cannot is refused in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from condsim.cost.device import Target
from condsim.errors import CondsimError, shown
from condsim.hardware import HardwareProfile
from condsim.parallel import Parallel
from condsim.parallel.plan import expert_sites
from condsim.predict.choose import (
    choose_strategies,
    fit_device,
    refusal,
    strategies_of_runtime,
)
from condsim.predict.ranks import check_strategies
from condsim.predict.simulate import resolve_profile, simulate
from condsim.predict.tensor_answer import check_share
from condsim.program.regime import DECODE, TRAIN
from condsim.runtimes import choose_runtime
from condsim.scenario import Scenario
from condsim.serve.prices.side import phases_of
from condsim.serve.question import ServingQuestion
from condsim.serve.requests import Requests
from condsim.serve.schedulers import SAMPLES, SCHEDULERS, TEXT, schedulers_for
from condsim.serve.schedulers.base import Kind
from condsim.serve.service import Service
from condsim.trace import Trace

SHARED, LEAST_LOADED = "shared", "least-loaded"
"""Ranks that begin their steps together cannot take from one queue: the first would empty it."""
DEFAULT_SCHEDULERS: Mapping[Kind, str] = {SAMPLES: "dynamic", TEXT: "chunked"}


def checked_question(
    trace: Trace,
    profile: HardwareProfile | str | None,
    requests: Requests,
    service: Service,
    asked: Scenario,
) -> ServingQuestion:
    """Return the question with what is chosen where nothing was said.

    asked: what the scenario says, its other fields unsaid. Raises CondsimError for what no server
    could do, naming the way out.
    """
    if not isinstance(trace, Trace):
        raise CondsimError(
            f"a trace is what condsim.load(FOLDER) or condsim.capture returns, got {shown(trace)}"
        )
    trace.require_programs()
    if trace.sites:
        trace.require_decisions()
    if TRAIN in phases_of(trace):
        raise CondsimError(
            f"trace {trace.name!r} is of training steps, which answer no request; capture the "
            "model without training"
        )
    device = resolve_profile(trace, profile)
    _check_parallel(trace, device, asked.parallel)
    kind = _kind(trace, requests, asked)
    service = _scheduled(service, kind)
    if kind == TEXT:
        _check_memory(requests, service)
    target, strategies = _device_and_strategies(trace, device, asked)
    if asked.parallel is not None and asked.parallel.expert > 1:
        _check_spread(trace, asked.parallel, kind)
        check_strategies(strategies)
        if service.dispatch == SHARED:
            service = replace(service, dispatch=LEAST_LOADED)
    return ServingQuestion(trace, target, strategies, asked, service, requests, kind)


def _kind(trace: Trace, requests: Requests, asked: Scenario) -> Kind:
    generates = DECODE in phases_of(trace)
    return TEXT if generates and requests.have_lengths and asked.phase is None else SAMPLES


def _scheduled(service: Service, kind: Kind) -> Service:
    name = service.scheduler or DEFAULT_SCHEDULERS[kind]
    if not SCHEDULERS[name].serves(kind):
        able = ", ".join(schedulers_for(kind))
        what = {
            SAMPLES: "requests that one forward answers",
            TEXT: "texts that are generated token by token",
        }[kind]
        raise CondsimError(f"scheduler {name!r} is not for {what}; these are: {able}")
    if kind == TEXT and service.token_budget < service.max_batch:
        raise CondsimError(
            f"token_budget {service.token_budget} is less than the {service.max_batch} sequences "
            "of a batch (max_batch), each of which may need a token"
        )
    return replace(service, scheduler=name)


def _check_memory(requests: Requests, service: Service) -> None:
    """Raises CondsimError for a request that does not even fit alone."""
    if service.kv_tokens is None:
        return
    room = service.kv_tokens // service.kv_block * service.kv_block
    if requests.longest > room:
        needed = requests.prompt_tokens + requests.output_tokens
        worst = int(needed.argmax())
        raise CondsimError(
            f"kv_tokens {service.kv_tokens} (whole blocks of {service.kv_block}) has no room for "
            f"request {worst}, whose prompt and answer have {needed[worst]} tokens"
        )


def _device_and_strategies(
    trace: Trace, device: HardwareProfile, asked: Scenario
) -> tuple[Target, Mapping[str, str]]:
    runtime = choose_runtime(asked.runtime, device)
    dtype = asked.dtype or device.dtype
    if dtype not in device.peak_flops:
        able = ", ".join(device.peak_flops)
        raise CondsimError(f"profile {device.name!r} has no dtype {dtype!r}; it has {able}")
    strategies = choose_strategies(trace, asked.strategy)
    if asked.strategy is None:
        strategies = strategies_of_runtime(trace, strategies, runtime)
    if not fit_device(strategies, device.kind, runtime.static):
        if asked.strategy is not None:
            raise refusal(strategies, trace, device, runtime.static)
        phase = asked.phase or str(trace.steps["phase"].iloc[0])
        fastest = simulate(
            trace,
            device,
            dtype=asked.dtype,
            runtime=asked.runtime,
            threshold=asked.threshold,
            phase=phase,
        ).strategy
        strategies = choose_strategies(trace, fastest)
    fabric = None if asked.parallel is None else asked.parallel.fabric
    parameters = trace.header.provenance.parameters
    return Target(device, dtype, runtime, parameters, fabric), strategies


def _check_parallel(trace: Trace, device: HardwareProfile, parallel: Parallel | None) -> None:
    """Raises CondsimError for a trace of another number of ranks."""
    if parallel is not None:
        check_share(trace, device, parallel)


def _check_spread(trace: Trace, parallel: Parallel, kind: Kind) -> None:
    """Raises CondsimError for what is not known of ranks that step together."""
    expert_sites(trace)
    if kind != TEXT:
        raise CondsimError(
            f"parallel: expert={parallel.expert} is known for texts that are generated token by "
            "token: a model that decodes, and requests with prompt_tokens and output_tokens"
        )
    if parallel.overlap is not None:
        raise CondsimError(
            f"parallel: overlap {parallel.overlap!r} is not known while serving; leave it out, or "
            "ask condsim simulate"
        )
