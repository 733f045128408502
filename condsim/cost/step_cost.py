"""What each step of one side costs: sums over its kernels, and what a step adds to them.

    seconds = Σ kernels + code that was evicted + weights that were evicted + new sizes

The last two depend on what runs between two steps: the step before, or the other side of a pair.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from condsim.cost.cpu.evicted_code import (
    StepPasses,
    evicted_code_seconds,
)
from condsim.cost.cpu.new_shapes import NewShapes
from condsim.cost.cpu.played_code import PlayedCalls, played_code_seconds
from condsim.cost.weight_uses import bytes_of_visits, read_again
from condsim.hardware import HardwareProfile
from condsim.kernel_cost import PARTS
from condsim.kernels import Kernels
from condsim.layout import Layout
from condsim.played import PlayedSteps
from condsim.program import Program
from condsim.program.stacked import stacked_gradients

STEPS_AT_ONCE = 64
"""Steps that are played together, at most: their calls lie in memory side by side."""

Label = tuple[str, str]
"""(segment, operator)."""


@dataclass(frozen=True)
class Between:
    """What passes between two runs of the same step, where a step is repeated.

    evicting_bytes: that pass through the caches meanwhile, float [steps].
    footprint_bytes: different ones of these that somebody else touches, float [steps].
    """

    evicting_bytes: np.ndarray
    footprint_bytes: np.ndarray

    @classmethod
    def nothing(cls, steps: int) -> Between:
        """Return what passes where each step follows itself at once. steps: how many there are."""
        return cls(np.zeros(steps), np.zeros(steps))


@dataclass
class StepCost:
    """Seconds and bytes of each step, float [steps], of one side.

    peak: FLOPs a second of the device. extra_s: part → seconds beside those of kernels.
    new_shapes: kernels that a library writes at their first use.
    companion_s, companion_j, companion_flops: of the CPU beside an accelerator.
    by_source: source of uncertainty → seconds, where not the kernels' families say it.
    graphs: that are compiled for these steps, by what tells one from another.
    """

    kernels: Kernels
    profile: HardwareProfile
    peak: float
    extra_s: dict[str, np.ndarray] = field(default_factory=dict)
    new_shapes: NewShapes | None = None
    companion_j: np.ndarray | float = 0.0
    companion_flops: np.ndarray | float = 0.0
    by_source: dict[str, np.ndarray] | None = None
    graphs: frozenset[Hashable] = frozenset()

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
        """Part → seconds, of kernels and beside them, without evicted weights and new sizes."""
        found = dict(self._parts_with_code)
        found["dispatch"] = found["dispatch"] + self.evicted_code_s
        return found

    @cached_property
    def _parts_with_code(self) -> Mapping[str, np.ndarray]:
        """`parts` where nothing evicts code."""
        found = {}
        for part in PARTS:
            seconds = self.kernels.total(part)
            if part in self.extra_s:
                seconds = seconds + self.extra_s[part]
            found[part] = seconds
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
    def stacked_gradients(self) -> Mapping[str, np.ndarray]:
        """World → seconds in it of gradients that are written as large as all experts
        (`condsim.program.stacked`); empty for any step but a training's."""
        kernels = self.kernels
        program, layout = kernels.lowered.program, kernels.layout
        if not program.stages:
            return {}
        make = partial(_has_stacked_gradients, program, layout)
        of_entry = layout.results.remember("stacked gradients", make)
        if not of_entry.any():
            return {}
        of_row = of_entry[kernels.entry]
        gather = "world gather" if "world gather" in kernels.columns else "traffic"
        launch_s = kernels.column("dispatch") + kernels.column("world launch")
        return {
            "gather": kernels.per_step(np.where(of_row, kernels.column(gather), 0.0)),
            "launch": kernels.per_step(np.where(of_row, launch_s, 0.0)),
        }

    @cached_property
    def memory_bytes(self) -> Mapping[str, np.ndarray]:
        """Memory level → bytes, where the device model says them."""
        names = [name for name in self.kernels.columns if name.startswith("memory ")]
        return {name.removeprefix("memory "): self.kernels.total(name) for name in names}

    @cached_property
    def by_family(self) -> Mapping[str, float]:
        """What seconds rest on (a table, a rate) → seconds beyond dispatch, in all steps."""
        if self.by_source is not None:
            return {source: float(seconds.sum()) for source, seconds in self.by_source.items()}
        kernels = self.kernels
        busy_s = kernels.by_entry(kernels.seconds - kernels.column("dispatch"))
        of_costs = np.bincount(kernels.cost_of, busy_s, len(kernels.costs))
        found: dict[str, float] = {}
        for rows, seconds in zip(kernels.costs, of_costs.tolist(), strict=True):
            family = rows.cost.family
            if not rows.cost.view:
                found[family] = found.get(family, 0.0) + seconds
        return found

    @property
    def roofline_s(self) -> np.ndarray:
        """Seconds by a plain roofline: peak and bandwidth."""
        compute_s = (self.flops + self.router_flops) / self.peak
        memory_s = self.footprint_bytes / self.profile.dram.bandwidth.value
        slower: np.ndarray = np.maximum(compute_s, memory_s)
        return slower

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
        footprint: np.ndarray = self.activation_bytes + different
        return footprint

    @cached_property
    def activation_bytes(self) -> np.ndarray:
        """Bytes of the largest operator's activations in a step."""
        return self.kernels.largest("moved_bytes")

    def _read_again_bytes(self) -> np.ndarray:
        """Bytes of weights that a step has read before."""
        again = np.zeros(self.steps)
        branches = [rule.branches for rule in self.kernels.lowered.sites.values()]
        choices = max(branches, default=0) + 1  # -1 is one
        for at_each_place in read_again(self.kernels.layout):
            seen = np.zeros(self.steps * choices, bool)
            for reads in at_each_place:
                visited = bytes_of_visits(reads, self.kernels)
                key = visited.step * choices + visited.choice + 1
                old = seen[key]
                if old.any():
                    in_bytes = visited.bytes[visited.size[old]]
                    again += np.bincount(visited.step[old], in_bytes, self.steps)
                seen[key] = True
        return again

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
        calls = self.kernels.calls(self.kernels.code)
        return {code: count for code, count in calls.items() if code}

    @cached_property
    def evicted_code_s(self) -> np.ndarray:
        """Seconds of all calls because a step's data evicted their code."""
        seconds = np.zeros(self.steps)
        for code in self.evicted_code.values():
            seconds += code.calls * code.each_s
        return seconds

    @cached_property
    def evicted_code(self) -> Mapping[str, EvictedCode]:
        """Machine code → what its calls cost more because a step's data evicted it."""
        if self.profile.cold is None:
            return {}
        if not self.code_calls:
            return {}
        codes, calls = list(self.code_calls), np.array(list(self.code_calls.values()))
        if self.kernels.lowered.program.stages:
            each_s = self._played_code_seconds(codes)
        else:
            all_calls = calls.sum(axis=0)
            each_s = evicted_code_seconds(codes, calls, all_calls, self._passes, self.profile)
        of_codes = zip(codes, each_s, calls, strict=True)
        return {code: EvictedCode(seconds, count) for code, seconds, count in of_codes}

    def _played_code_seconds(self, codes: list[str]) -> np.ndarray:
        """What a call of each code costs more in each training step, float [codes, steps]."""
        numbers = {code: number for number, code in enumerate(codes)}
        code_of_entry = np.array([numbers.get(code, len(codes)) for code in self.kernels.code])
        each_s = np.zeros((len(codes), self.steps))
        for played in self._played_in_portions():
            rows = self.kernels.rows_played(played)
            footprint_bytes = self.footprint_bytes[played.numbers]
            first, alike = _distinct_rows(rows, footprint_bytes)
            distinct = rows[first]
            calls = PlayedCalls(
                code=code_of_entry[self.kernels.entry[rows[0]]],
                data_bytes=self._touched_by_kernel[distinct],
                seconds=self.kernels.seconds[distinct],
                different_bytes=footprint_bytes[first, None],
            )
            of_steps = played_code_seconds(calls, codes, self.profile)
            each_s[:, played.numbers] = of_steps[alike].T
        return each_s

    def _played_in_portions(self) -> Iterator[PlayedSteps]:
        """Steps that run the same operators, `STEPS_AT_ONCE` at most."""
        for played in self.kernels.lowered.played_alike():
            for first in range(0, len(played.numbers), STEPS_AT_ONCE):
                yield played.some(slice(first, first + STEPS_AT_ONCE))

    @cached_property
    def _touched_by_kernel(self) -> np.ndarray:
        """Bytes that each row touches, counted as in `touched_bytes`."""
        kernels = self.kernels
        touched: np.ndarray = kernels.column("moved_bytes") / 2 + kernels.column("weight_bytes")
        return touched

    @cached_property
    def _passes(self) -> StepPasses:
        """What a step passes through the caches, and in how long; evicted code left out, which
        follows from it."""
        seconds = np.sum(list(self._parts_with_code.values()), axis=0)
        return StepPasses(self.touched_bytes, self.footprint_bytes, seconds)


@dataclass(frozen=True)
class EvictedCode:
    """each_s: what a call of the code costs more, seconds; calls: how many; float [steps] each."""

    each_s: Any
    calls: np.ndarray


def _has_stacked_gradients(program: Program, layout: Layout) -> np.ndarray:
    """Whether each entry writes or adds gradients as large as all experts, bool [entries]."""
    places = stacked_gradients(program)
    return np.array([entry.place in places for entry in layout.entries])


def _distinct_rows(rows: np.ndarray, footprint_bytes: np.ndarray) -> tuple[list[int], list[int]]:
    """Return (the first of the steps that run the same rows and touch as much, which of these each
    step is). rows: int [steps, calls]. footprint_bytes: float [steps]."""
    first: list[int] = []
    numbers: dict[tuple[bytes, float], int] = {}
    alike = []
    for step, (row, touched) in enumerate(zip(rows, footprint_bytes.tolist(), strict=True)):
        number = numbers.setdefault((row.tobytes(), touched), len(numbers))
        if number == len(first):
            first.append(step)
        alike.append(number)
    return first, alike
