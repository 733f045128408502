"""What each step of one side costs: sums over its kernels, and what a step adds to them.

    seconds = Σ kernels + code that was evicted + weights that were evicted + first calls

The last two depend on what runs between two steps: the step before, or the other side of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from condsim.cost.cpu.evicted_code import evicted_code_seconds, own_code_seconds
from condsim.cost.cpu.missed_weights import ReadTogether, missed_seconds
from condsim.cost.cpu.new_shapes import NewShapes
from condsim.hardware import HardwareProfile
from condsim.kernels import PARTS, Kernels, WeightRead

Label = tuple[str, str]
"""(segment, operator)."""


@dataclass(frozen=True)
class Between:
    """What runs between two runs of a step, where each step is repeated in turn with another.

    evicting_bytes: that pass through the caches meanwhile, float [steps].
    footprint_bytes: different ones of these that the other side touches, float [steps].
    """

    evicting_bytes: np.ndarray
    footprint_bytes: np.ndarray


@dataclass(frozen=True)
class Visits:
    """One weight's visits by the calls of its scope.

    bytes, rows, pieces: as in `WeightRead`, of each visit; step, choice: int [visits].
    """

    read: WeightRead
    bytes: np.ndarray
    rows: np.ndarray
    pieces: np.ndarray
    step: np.ndarray
    choice: np.ndarray


@dataclass
class StepCost:
    """Seconds and bytes of each step, float [steps], of one side.

    extra_s: part → seconds beside those of kernels. new_shapes: kernels that a library writes at
    their first use. companion_s, companion_j, companion_flops: of the CPU beside an accelerator.
    uncertainty: source → relative standard deviation, where not the profile's tables say it.
    by_source: source of uncertainty → seconds, where not the kernels' families say it.
    graphs: compiled for all steps.
    """

    kernels: Kernels
    profile: HardwareProfile
    extra_s: dict[str, np.ndarray] = field(default_factory=dict)
    new_shapes: NewShapes | None = None
    companion_j: np.ndarray | float = 0.0
    companion_flops: np.ndarray | float = 0.0
    uncertainty: dict[str, float] = field(default_factory=dict)
    by_source: dict[str, np.ndarray] | None = None
    graphs: int = 0

    @property
    def steps(self) -> int:
        return self.kernels.steps

    # Sums over kernels

    @cached_property
    def flops(self) -> np.ndarray:
        """Executed FLOPs of products, routers left out."""
        return self.kernels.total("flops")

    @cached_property
    def router_flops(self) -> np.ndarray:
        """Executed FLOPs of routers."""
        return self.kernels.total("router_flops")

    @cached_property
    def parts(self) -> Mapping[str, np.ndarray]:
        """Part → seconds, of kernels and beside them; evicted weights and first calls left out."""
        found = {}
        for part in PARTS:
            seconds = self.kernels.total(part)
            if part in self.extra_s:
                seconds = seconds + self.extra_s[part]
            found[part] = seconds
        evicted_s = np.zeros(self.steps)
        for code in self.evicted_code.values():
            evicted_s = evicted_s + code.total
        found["dispatch"] = found["dispatch"] + evicted_s
        return found

    @cached_property
    def seconds(self) -> np.ndarray:
        """Seconds of a step whose weights are where its kernels were timed with them."""
        total: np.ndarray = np.sum(list(self.parts.values()), axis=0)
        return total

    @cached_property
    def worlds(self) -> Mapping[str, np.ndarray]:
        """World of the waterfall → seconds on the device beyond flops / peak, where the device
        model says them."""
        names = [name for name in self.kernels.columns if name.startswith("world ")]
        return {name.removeprefix("world "): self.kernels.total(name) for name in names}

    @cached_property
    def memory_bytes(self) -> Mapping[str, np.ndarray]:
        """Memory level → bytes, where the device model says them."""
        names = [name for name in self.kernels.columns if name.startswith("memory ")]
        return {name.removeprefix("memory "): self.kernels.total(name) for name in names}

    @cached_property
    def by_family(self) -> Mapping[str, np.ndarray]:
        """What seconds rest on (a table, a rate) → seconds beyond dispatch."""
        if self.by_source is not None:
            return self.by_source
        kernels = self.kernels
        is_view = kernels.view[kernels.entry]
        busy_s = np.where(is_view, 0.0, kernels.seconds)
        dispatch_s = np.where(is_view, 0.0, kernels.column("dispatch"))
        labels = []
        for view, family in zip(kernels.view, kernels.family, strict=True):
            labels.append(None if view else family)
        summed = kernels.by_label(labels, busy_s - dispatch_s)
        return {family: seconds for family, seconds in summed.items() if family is not None}

    @cached_property
    def by_basis(self) -> Mapping[str, float]:
        """Basis word → seconds that rest on it, over all steps."""
        kernels = self.kernels
        summed = kernels.by_label(kernels.basis, kernels.seconds)
        found = {basis: float(seconds.sum()) for basis, seconds in summed.items()}
        beside_s = sum(float(seconds.sum()) for seconds in self.extra_s.values())
        if beside_s:
            basis = "calibrated" if self.profile.calibrated else "estimated"
            found[basis] = found.get(basis, 0.0) + beside_s
        if self.evicted_code:
            evicted_s = sum(float(code.total.sum()) for code in self.evicted_code.values())
            found["calibrated"] = found.get("calibrated", 0.0) + evicted_s
        return found

    # Bytes

    @cached_property
    def weight_bytes(self) -> np.ndarray:
        """Bytes of weights that a step reads, each visit counted."""
        return self.kernels.total("weight_bytes")

    @cached_property
    def touched_bytes(self) -> np.ndarray:
        """Bytes that a step touches one operator after the other: weights, and activations once
        (one operator writes what the next one reads)."""
        touched: np.ndarray = self.kernels.total("moved_bytes") / 2 + self.weight_bytes
        return touched

    @cached_property
    def footprint_bytes(self) -> np.ndarray:
        """Different bytes that a step touches: each weight once, and the largest operator's
        activations (their memory is used again)."""
        different = self.weight_bytes - self._read_again_bytes()
        footprint: np.ndarray = self.kernels.largest("moved_bytes") + different
        return footprint

    def _read_again_bytes(self) -> np.ndarray:
        """Bytes of weights that a step has read before."""
        again = np.zeros(self.steps)
        for reads in self._shared_weights():
            visits_of_reads = [self._visits(read) for read in reads]
            choices = max(int(visits.choice.max()) for visits in visits_of_reads) + 2
            seen = np.zeros(self.steps * choices, bool)
            for visits in visits_of_reads:
                key = visits.step * choices + visits.choice + 1
                old = seen[key]
                again += np.bincount(visits.step[old], visits.bytes[old], self.steps)
                seen[key] = True
        return again

    def _shared_weights(self) -> list[list[WeightRead]]:
        """Reads of each weight that a step may read more than once.

        Bodies of one loop never read the weights of the same choice in one run of the loop.
        """
        by_name: dict[str, list[WeightRead]] = {}
        for read in self.kernels.weights:
            by_name.setdefault(read.name, []).append(read)
        scopes = self.kernels.lowered.scopes
        shared = []
        for reads in by_name.values():
            numbers = {read.scope for read in reads}
            loops = set()
            for number in numbers:
                scope = scopes[number]
                loops.add((scope.parent, scope.placed.loop))
            if len(numbers) < len(reads) or len(loops) > 1:
                shared.append(reads)
        return shared

    @cached_property
    def evicting_bytes(self) -> np.ndarray:
        """Bytes that pass through the caches while a step runs: those that it touches, and those
        of whoever else uses the caches in that time."""
        residency = self.profile.residency
        others_bytes_per_s = 0.0 if residency is None else residency.others
        return self.footprint_bytes + others_bytes_per_s * self.seconds

    # Evicted code

    @cached_property
    def code_calls(self) -> Mapping[str, np.ndarray]:
        """Machine code that costs more after other data → its calls."""
        if not any(self.kernels.code):
            return {}
        kernels = self.kernels
        ones = np.ones(len(kernels.entry))
        calls = kernels.by_label(kernels.code, ones)
        return {code: count for code, count in calls.items() if code}

    @cached_property
    def evicted_code(self) -> Mapping[str, EvictedCode]:
        """Machine code → what its calls cost more because a step's data evicted it."""
        if self.profile.cold is None:
            return {}
        if not self.code_calls:
            return {}
        codes, calls = list(self.code_calls), np.array(list(self.code_calls.values()))
        touched, different = self.touched_bytes, self.footprint_bytes
        each_s = evicted_code_seconds(
            codes, calls, calls.sum(axis=0), touched, different, self.profile
        )
        of_codes = zip(codes, each_s, calls, strict=True)
        return {code: EvictedCode(seconds, count) for code, seconds, count in of_codes}

    def first_calls(self, between: Between | None) -> dict[str, np.ndarray]:
        """Return machine code → seconds that its first call in a step costs more, because other
        data was touched before the step. None where nothing is between two steps."""
        if self.profile.cold is None or between is None:
            return {}
        touched, different = self.touched_bytes, self.footprint_bytes
        found = {}
        for code, calls in self.code_calls.items():
            since = np.minimum(touched / np.maximum(calls, 1.0), different)
            usual = own_code_seconds(code, since, self.profile)
            first = own_code_seconds(code, since + between.footprint_bytes, self.profile)
            found[code] = np.minimum(calls, 1.0) * (first - usual)
        return found

    # First uses

    def beginning(self, between: Between | None) -> np.ndarray:
        """Return the seconds of first calls after other data, or of kernels that are written at
        sizes which no step before had."""
        each_s: Mapping[Any, np.ndarray] = {}
        if between is not None:
            each_s = self.first_calls(between)
        elif self.new_shapes is not None:
            each_s = self.new_shapes.seconds(self.profile)
        return sum(each_s.values(), np.zeros(self.steps))

    # Evicted weights

    def evicted_weights(self, between: Between | None) -> tuple[np.ndarray, np.ndarray]:
        """Return (seconds that evicted weights cost, one standard deviation of it)."""
        return self._evicted_in_a_row if between is None else self._evicted_weights(between)

    @cached_property
    def _evicted_in_a_row(self) -> tuple[np.ndarray, np.ndarray]:
        return self._evicted_weights(None)

    def _evicted_weights(self, between: Between | None) -> tuple[np.ndarray, np.ndarray]:
        if self.profile.residency is None:
            return np.zeros(self.steps), np.zeros(self.steps)
        groups = list(self._read_together(between))
        return missed_seconds(groups, self.profile.residency, self.steps)

    def evicted_weights_by_entry(
        self, between: Between | None
    ) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """Yield ((scope, node) of an operator, seconds that its evicted weights cost)."""
        if self.profile.residency is None:
            return
        for group in self._read_together(between):
            for read in group.reads:
                alone = group._replace(reads=[read])
                seconds, _ = missed_seconds([alone], self.profile.residency, self.steps)
                yield (read.scope, read.node), seconds

    def _visits(self, read: WeightRead) -> Visits:
        calls = self.kernels.lowered.scopes[read.scope]
        of_call = read.of_call
        if read.experts is None:
            return Visits(
                read,
                read.bytes[of_call],
                read.rows[of_call],
                read.pieces[of_call],
                calls.step,
                calls.choice,
            )
        call, expert = np.nonzero(read.experts)
        rows = read.experts[call, expert].astype(float)
        pieces = np.ones(len(call))
        return Visits(
            read,
            read.bytes[of_call][call],
            rows,
            pieces,
            calls.step[call],
            expert,
        )

    def _read_together(self, between: Between | None) -> Iterator[ReadTogether]:
        """Yield weights that are read together, and how long ago each visit's were used before."""
        touched = self.evicting_bytes
        cumulative = np.concatenate([[0.0], np.cumsum(touched)])

        def distance(step: np.ndarray, choice: np.ndarray) -> np.ndarray:
            if between is None:
                return _since_last(step, choice, cumulative)
            in_turn: np.ndarray = (touched + between.evicting_bytes)[step]
            return in_turn

        of_scope: dict[int, np.ndarray] = {}
        for reads in self._reads_by_size():
            first = reads[0]
            calls = self.kernels.lowered.scopes[first.scope]
            if first.experts is not None:
                yield self._read_by_experts(first, distance)
                continue
            if first.scope not in of_scope:
                of_scope[first.scope] = distance(calls.step, calls.choice)
            yield ReadTogether(reads, first.of_call, calls.step, of_scope[first.scope])

    def _read_by_experts(
        self, read: WeightRead, distance: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> ReadTogether:
        """A grouped product's weights, each visit by each expert a size of its own."""
        visits = self._visits(read)
        every = np.arange(len(visits.step))
        by_visit = replace(read, bytes=visits.bytes, rows=visits.rows, pieces=visits.pieces)
        since_used = distance(visits.step, visits.choice)
        return ReadTogether([by_visit], every, visits.step, since_used)

    def _reads_by_size(self) -> Iterable[list[WeightRead]]:
        """Return the reads of each scope that share their sizes; those of grouped products one by
        one."""
        shared: dict[tuple[int, int], list[WeightRead]] = {}
        for number, read in enumerate(self.kernels.weights):
            alone = read.experts is not None
            key = (-1, number) if alone else (read.scope, id(read.of_call))
            shared.setdefault(key, []).append(read)
        return shared.values()


def _since_last(step: np.ndarray, choice: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
    """Return the bytes touched since each visit's weight was used before, float [visits].

    The first use of each weight follows its last one: the trace repeats.
    cumulative: bytes touched before each step, and in all, float [steps + 1].
    """
    most = max(float(cumulative[-1]), 1.0)
    order = _by_choice(step, choice)
    step, choice = step[order], choice[order]
    begins = np.concatenate([[True], choice[1:] != choice[:-1]])
    ends = np.concatenate([begins[1:], [True]])
    previous = np.concatenate([[0], step[:-1]])
    distance = cumulative[step] - cumulative[previous]
    first_step, last_step = step[begins], step[ends]
    distance[begins] = cumulative[first_step] + most - cumulative[last_step]
    found: np.ndarray = np.empty_like(distance)
    found[order] = np.maximum(distance, 1.0)
    return found


def _by_choice(step: np.ndarray, choice: np.ndarray) -> Any:
    """What puts visits in the order of their choices, and those of a choice in that of steps."""
    place = choice * (int(step.max()) + 1) + step
    if (place[1:] >= place[:-1]).all():
        return slice(None)
    return np.argsort(place, kind="stable")


@dataclass(frozen=True)
class EvictedCode:
    """each_s: what a call of the code costs more, seconds; calls: how many; float [steps] each."""

    each_s: Any
    calls: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Seconds of all calls, float [steps]."""
        seconds: np.ndarray = self.calls * self.each_s
        return seconds
