"""What serving one side came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from condsim import checks
from condsim.serve.book import WAITS, Book, RanStep
from condsim.serve.columns import blocks, largest
from condsim.serve.requests import Requests
from condsim.serve.summary import summary_of

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Limits:
    """What an answer must keep to count as good; None: no limit.

    latency_s: of the whole answer. ttft_s: until its first token. tpot_s: a token after that.
    """

    latency_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None

    def __post_init__(self) -> None:
        """Raises CondsimError for a limit that nothing keeps."""
        for each in fields(Limits):
            value = getattr(self, each.name)
            if value is not None:
                checks.above_zero(each.name, value)


@dataclass(frozen=True)
class Times:
    """When n requests arrived, had their first token and their whole answer, float [n] each.

    output_tokens: of their answers, int [n].
    """

    arrival_s: np.ndarray
    first_s: np.ndarray
    finished_s: np.ndarray
    output_tokens: np.ndarray

    @property
    def latency_s(self) -> np.ndarray:
        latency_s: np.ndarray = self.finished_s - self.arrival_s
        return latency_s

    @property
    def ttft_s(self) -> np.ndarray:
        ttft_s: np.ndarray = self.first_s - self.arrival_s
        return ttft_s

    @property
    def time_per_output_token_s(self) -> np.ndarray:
        later = self.output_tokens - 1
        spent_s = self.finished_s - self.first_s
        unknown = np.full(len(later), np.nan)
        of_token: np.ndarray = np.divide(spent_s, later, out=unknown, where=later > 0)
        return of_token


@dataclass(frozen=True)
class Outcome:
    """One side under the requests.

    strategy: what runs. started_s, first_s, finished_s: when each request took part in a step
    first, had its first token, had its whole answer; float [n]. preemptions: int [n].
    waited_s: reason → seconds a request, which add up to the mean latency.
    steps: how many; kept_steps: the first of them. rows: that they computed.
    over_time: requests that wait and that run, by time.
    saturated: requests a second that this side serves when they never run out.
    priced: steps that condsim predicted; pricing_error: how far a step that was not predicted
    itself is off, relative, at the 90th percentile. cached: of the experts that steps asked for,
    the share that the device had; empty where it has all of them.
    """

    strategy: str
    requests: Requests
    limits: Limits
    started_s: np.ndarray
    first_s: np.ndarray
    finished_s: np.ndarray
    preemptions: np.ndarray
    waited_s: Mapping[str, float]
    steps: int
    kept_steps: tuple[RanStep, ...]
    rows: int
    utilisation: float
    energy_j: float
    over_time: pd.DataFrame
    waiting_mean: float
    waiting_most: float
    saturated: float
    priced: int
    pricing_error: float
    cached: Mapping[str, float] = field(default_factory=dict)

    @property
    def latency_s(self) -> np.ndarray:
        """Seconds from arrival to the whole answer, float [n]."""
        return self._times.latency_s

    @property
    def ttft_s(self) -> np.ndarray:
        """Time to first token: seconds from arrival, float [n]."""
        return self._times.ttft_s

    @property
    def time_per_output_token_s(self) -> np.ndarray:
        """Seconds a token after the first one, float [n]; NaN for answers of one token."""
        return self._times.time_per_output_token_s

    @property
    def _times(self) -> Times:
        """Of all requests."""
        asked = self.requests
        return Times(asked.arrival_s, self.first_s, self.finished_s, asked.output_tokens)

    def _parts(self) -> Iterator[Times]:
        """Yield the times of some requests after the other."""
        asked = self.requests
        for part in blocks(asked.arrival_s, self.first_s, self.finished_s, asked.output_tokens):
            yield Times(*part)

    def _summary(self, name: str) -> dict[str, float]:
        """The mean and percentiles of one of `Times`; nothing where no request has it."""
        found = summary_of(lambda: (getattr(part, name) for part in self._parts()), PERCENTILES)
        if not found.count:
            return {}
        percentiles = {f"{name} p{share}": value for share, value in found.percentiles.items()}
        return {f"{name} mean": found.mean, **percentiles}

    @cached_property
    def duration_s(self) -> float:
        """Seconds from the first arrival to the last answer."""
        return largest(self.finished_s) - float(self.requests.arrival_s[0])

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return len(self.requests) / self.duration_s

    @property
    def token_throughput(self) -> float:
        """Tokens of answers a second."""
        tokens = sum(int(block.sum()) for (block,) in blocks(self.requests.output_tokens))
        return tokens / self.duration_s

    @cached_property
    def goodput(self) -> float:
        """Answers a second that keep the limits."""
        good = sum(self._good(part) for part in self._parts())
        return good / self.duration_s

    def _good(self, part: Times) -> int:
        """How many of some answers keep the limits."""
        good = np.ones(len(part.latency_s), bool)
        limits = self.limits
        if limits.latency_s is not None:
            good &= part.latency_s <= limits.latency_s
        if limits.ttft_s is not None:
            good &= part.ttft_s <= limits.ttft_s
        if limits.tpot_s is not None:
            good &= ~(part.time_per_output_token_s > limits.tpot_s)
        return int(good.sum())

    @cached_property
    def numbers(self) -> dict[str, float]:
        """Name → value, in SI units."""
        found = {"throughput": self.throughput, "goodput": self.goodput}
        found |= self._summary("latency_s")
        if self.requests.have_lengths:
            found["token_throughput"] = self.token_throughput
            found |= self._summary("ttft_s")
            found |= self._summary("time_per_output_token_s")
        found |= {
            "utilisation": self.utilisation,
            "rows_a_step": self.rows / self.steps,
            "waiting_mean": self.waiting_mean,
            "waiting_most": self.waiting_most,
            "energy_a_request_j": self.energy_j / len(self.requests),
            "preemptions": float(sum(int(part.sum()) for (part,) in blocks(self.preemptions))),
            "saturated": self.saturated,
        }
        found |= self.cached
        for reason in WAITS:
            found[f"waits for {reason}"] = self.waited_s[reason]
        return found

    def table(self) -> pd.DataFrame:
        """Return a row a request."""
        columns = {
            "arrival_s": self.requests.arrival_s,
            "prompt_tokens": self.requests.prompt_tokens,
            "output_tokens": self.requests.output_tokens,
            "started_s": self.started_s,
            "first_token_s": self.first_s,
            "finished_s": self.finished_s,
            "preemptions": self.preemptions,
        }
        return pd.DataFrame(columns)

    def steps_table(self) -> pd.DataFrame:
        """Return a row a step, of those that were kept."""
        return pd.DataFrame([vars(step) for step in self.kept_steps])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        more = {"strategy": self.strategy, "steps": self.steps, "priced_steps": self.priced}
        return {**more, "pricing_error": self.pricing_error, **self.numbers}


def over_time(book: Book) -> pd.DataFrame:
    """Return a row a span of time: start_s, and the mean number of requests that wait and run."""
    waiting, running = book.waiting.table("waiting"), book.running.table("running")
    merged = waiting.merge(running, on="start_s", how="outer").fillna(0.0)
    return merged.sort_values("start_s", ignore_index=True)
