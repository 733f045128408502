"""Trace + profile + requests → what serving comes to, as the model is and as its baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim import checks
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
from condsim.predict.token_flops import SAME_FLOPS
from condsim.program.regime import DECODE, TRAIN
from condsim.runtimes import choose_runtime
from condsim.scenario import Scenario
from condsim.serve import loop, reference
from condsim.serve.book import Book, Queue
from condsim.serve.columns import largest, let_go
from condsim.serve.fleet import Fleet, MakeReplica
from condsim.serve.lock_step import LockStep
from condsim.serve.outcome import Limits, Outcome, over_time
from condsim.serve.prices import Prices, prices_of
from condsim.serve.prices.copies import ExpertCopies
from condsim.serve.prices.side import ServedSide, phases_of
from condsim.serve.prices.spread import SpreadPrices
from condsim.serve.replica import Replica
from condsim.serve.request_table import checked_requests, read_requests
from condsim.serve.requests import Requests
from condsim.serve.samples import SampleReplica
from condsim.serve.schedulers import SAMPLES, SCHEDULERS, TEXT, schedulers_for
from condsim.serve.schedulers.base import Kind
from condsim.serve.service import Service
from condsim.serve.serving import Serving
from condsim.serve.text import TextReplica
from condsim.strategies import BASELINES, name_of
from condsim.trace import Trace
from condsim.trace.model import check_trace

SHARED, LEAST_LOADED = "shared", "least-loaded"
"""Ranks that begin their steps together cannot take from one queue: the first would empty it."""
SATURATING = 2000
"""Requests that are there from the beginning, where a side's largest load is looked for."""
SERVICE = tuple(each.name for each in fields(Service) if each.name != "scheduler")
SCENARIO = (
    "strategy", "baseline", "dtype", "runtime", "threshold", "phase", "capacity_factor",
    "expert_cache", "engine", "parallel",
)  # fmt: skip
"""Fields of a scenario that mean something here."""
DEFAULT_SCHEDULERS: Mapping[Kind, str] = {SAMPLES: "dynamic", TEXT: "chunked"}

Progress = Callable[[str, float, float], None]
"""(what is done, how much of it, of how much)."""


def _silent(_what: str, _done: float, _of: float, /) -> None:
    """Progress where nobody watches."""


def serve(
    trace: Trace,
    profile: HardwareProfile | str | None,
    requests: Requests | pd.DataFrame | str | Path,
    scheduler: str | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008 (it is frozen)
    seed: int = 0,
    progress: Progress = _silent,
    **options: Any,
) -> Serving:
    """Serve requests with a captured model, and with its dense baselines under the same arrivals.

    profile: a device; None as in `condsim.simulate`.
    requests: of `condsim.serve.requests`, a table, or a file of such. A trace with decode steps
        answers them token by token if they have lengths, any other trace in one forward.
    scheduler: who runs in the next step (`condsim.serve.schedulers`).
    limits: what an answer must keep to count as good.
    seed: of the routing that each request is given out of the trace.
    options: of `condsim.serve.service.Service` (max_batch, max_wait_s, token_budget, kv_tokens,
        kv_block, exits, regroup_s, overhead_s, cache, dispatch, replicas) and of `condsim.Scenario`
        (strategy, baseline, dtype, runtime, threshold, phase, capacity_factor, expert_cache;
        engine: "events" for SimPy; parallel: tensor=... or expert=..., the devices of a
        replica).
    Raises CondsimError for what no server could do, naming the way out.
    """
    check_trace(trace)
    checks.whole("seed", seed, least=0)
    service = Service(scheduler, **_taken(options, SERVICE))
    asked = _scenario(options)
    known = _known_requests(requests)
    question = _question(trace, profile, known, service, asked)
    sides = {}
    baselines = BASELINES if trace.sites else ()
    for name in ("conditional", *baselines):
        progress(name, 0, len(known))
        sides[name] = question.outcome(name, limits, seed, progress)
    return question.serving(sides)


def _taken(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: options.pop(name) for name in names if name in options}


def _scenario(options: dict[str, Any]) -> Scenario:
    for name in options:
        if name not in SCENARIO:
            listed = ", ".join((*SERVICE, *SCENARIO))
            raise TypeError(f"serve() has no argument {name!r}; it has {listed}")
    return Scenario(**options)


def _known_requests(requests: Any) -> Requests:
    if isinstance(requests, Requests):
        return requests
    if isinstance(requests, pd.DataFrame):
        return checked_requests(requests)
    if isinstance(requests, (str, Path)):
        return read_requests(requests)
    raise CondsimError(
        f"requests are a file, a table, or what condsim.serve.requests draws, got {shown(requests)}"
    )


@dataclass(frozen=True)
class _Question:
    """One question that was found possible. kind: of requests."""

    trace: Trace
    target: Target
    strategies: Mapping[str, str]
    scenario: Scenario
    service: Service
    requests: Requests
    kind: Kind

    @property
    def parallel(self) -> Parallel:
        """How many devices a replica has."""
        return self.scenario.parallel or Parallel()

    @property
    def members(self) -> int:
        """Those that requests are sent to: replicas, or the ranks of all replicas."""
        return self.service.replicas * self.parallel.expert

    def outcome(self, name: str, limits: Limits, seed: int, progress: Progress) -> Outcome:
        """Serve one side. name: "conditional" or a baseline."""
        strategies = self.strategies
        if name != "conditional":
            strategies = dict.fromkeys(self.strategies, name)
        side = ServedSide(self.trace, self.target, strategies, self.scenario.capacity_factor)
        prices: Prices
        if self.parallel.expert > 1 and name != SAME_FLOPS:
            prices = SpreadPrices(side, self.parallel, self.service, self.requests, seed)
        else:
            prices = prices_of(side, self.scenario, self.service, self.requests, self.kind, seed)
        few = self.requests.first(SATURATING).all_at_once()
        saturated = Run(self, few, prices).run()
        run = Run(self, self.requests, prices)
        book = run.run(lambda arrived: progress(name, arrived, len(self.requests)))
        outcome = self._outcome(name_of(strategies), limits, book, saturated, prices)
        return replace(outcome, cached=cached_share(run.copies))

    def _outcome(
        self, strategy: str, limits: Limits, book: Book, saturated: Book, prices: Prices
    ) -> Outcome:
        count = len(self.requests)
        finished_s = np.asarray(book.finished_s)
        duration_s = largest(finished_s) - book.arrival_s[0]
        busy_s = sum(book.busy_s)
        members_s = self.members * duration_s
        idle_w = self.target.profile.power.idle_w.value
        idle_j = idle_w * (members_s - busy_s)
        waited_s = {reason: total / count for reason, total in book.waited_s.items()}
        at_once_s = np.array(saturated.finished_s)
        return Outcome(
            strategy=strategy,
            requests=self.requests,
            limits=limits,
            started_s=np.asarray(book.started_s),
            first_s=np.asarray(book.first_s),
            finished_s=finished_s,
            preemptions=np.asarray(book.preemptions),
            waited_s=waited_s,
            steps=book.steps,
            kept_steps=tuple(book.kept),
            rows=book.rows,
            utilisation=busy_s / members_s,
            energy_j=(book.joules + idle_j) * self.parallel.tensor,
            over_time=over_time(book),
            waiting_mean=book.waiting.integral / duration_s,
            waiting_most=book.waiting.largest,
            saturated=len(at_once_s) / float(at_once_s.max()),
            priced=prices.priced,
            pricing_error=prices.error(),
        )

    def serving(self, sides: Mapping[str, Outcome]) -> Serving:
        """Return what all sides came to."""
        profile = self.target.profile
        return Serving(
            trace=self.trace.name,
            profile=profile.name,
            dtype=self.target.dtype,
            runtime=self.target.runtime.name,
            baseline=self.scenario.baseline if self.trace.sites else "conditional",
            kind=self.kind,
            service=self.service,
            requests=self.requests,
            sides=sides,
            basis="calibrated" if profile.calibrated else "estimated",
            notes=tuple(self._notes()),
        )

    def _notes(self) -> list[str]:
        notes = []
        if self.kind == SAMPLES and self.requests.have_lengths:
            notes.append("the model answers in one forward: lengths of requests mean nothing")
        if self.kind == TEXT and self.service.kv_tokens is None:
            notes.append("memory of keys and values is not limited (kv_tokens)")
        parallel = self.parallel
        if parallel.tensor > 1:
            notes.append(f"{parallel.tensor} devices share each replica; energy is of all")
        if parallel.expert > 1:
            notes.append(
                f"the experts of a replica are spread over {parallel.expert} ranks, which step "
                "together; limits of batches and memory are each rank's, and a model without "
                "experts (same-flops) runs on each rank by itself"
            )
        return notes


@dataclass(frozen=True)
class Run:
    """One pass of requests through replicas. copies: of experts, by replica."""

    question: _Question
    requests: Requests
    prices: Prices
    copies: list[ExpertCopies] = field(default_factory=list)

    def run(self, progress: Callable[[int], None] = lambda _arrived: None) -> Book:
        """Serve all requests; returns the notes of the run."""
        service = self.question.service
        members = self.question.members
        book = Book(self.requests, members)
        fleet = Fleet(book, service.dispatch, members, self._maker(book), self._together)

        def told(arrived: int) -> None:
            book.let_go()
            let_go(self.prices.of_request)
            progress(arrived)

        if self.question.scenario.engine == "events":
            reference.run(fleet, book.arrival_s)
        else:
            loop.run(fleet, book.arrival_s, told)
        return book

    def _together(self, members: list[Any]) -> list[Any]:
        """Members as replicas: those whose experts are spread step together."""
        if not isinstance(self.prices, SpreadPrices):
            return members
        ranks = self.question.parallel.expert
        replicas = []
        for number, first in enumerate(range(0, len(members), ranks)):
            replicas.append(LockStep(number, members[first : first + ranks], self.prices))
        return replicas

    def _maker(self, book: Book) -> MakeReplica:
        service = self.question.service

        def make(number: int, queue: Queue) -> Replica:
            prices: Any = self.prices.of_replica()
            if getattr(prices, "copies", None) is not None:
                self.copies.append(prices.copies)
            if self.question.kind == SAMPLES:
                return SampleReplica(number, queue, book, service, prices)
            return TextReplica(number, queue, book, service, prices)

        return make


def cached_share(copies: Sequence[ExpertCopies]) -> Mapping[str, float]:
    """Return which share of what steps asked for the devices had, and could have had at best; empty
    where all experts are there."""
    counts = [of_replica.cache.counts for of_replica in copies]
    asked = sum(of.accesses for of in counts)
    if not asked:
        return {}
    hits = sum(of.hits for of in counts)
    at_best = [of_replica.bound() for of_replica in copies]
    hits_at_best = sum(of.hits for of in at_best)
    asked_at_best = sum(of.accesses for of in at_best)
    return {
        "experts found": hits / asked,
        "experts found at best": hits_at_best / asked_at_best,
    }


def _question(
    trace: Trace,
    profile: HardwareProfile | str | None,
    requests: Requests,
    service: Service,
    asked: Scenario,
) -> _Question:
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
    return _Question(trace, target, strategies, asked, service, requests, kind)


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
