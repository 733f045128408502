"""What serving is asked about, found possible: a trace, a device, requests and a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from condsim.cost.device import Target
from condsim.parallel import Parallel
from condsim.predict.token_flops import SAME_FLOPS
from condsim.scenario import Scenario
from condsim.serve.book import Book
from condsim.serve.columns import largest
from condsim.serve.outcome import Limits, Outcome, over_time
from condsim.serve.prices import Prices, prices_of
from condsim.serve.prices.side import ServedSide
from condsim.serve.prices.spread import SpreadPrices
from condsim.serve.requests import Requests
from condsim.serve.run import Run, cached_share
from condsim.serve.schedulers import SAMPLES, TEXT
from condsim.serve.schedulers.base import Kind
from condsim.serve.service import Service
from condsim.serve.serving import Serving
from condsim.strategies import name_of
from condsim.trace import Trace

SATURATING = 2000
"""Requests that are there from the beginning, where a side's largest load is looked for."""

Progress = Callable[[str, float, float], None]
"""(what is done, how much of it, of how much)."""


@dataclass(frozen=True)
class ServingQuestion:
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
