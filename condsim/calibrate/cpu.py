"""Calibrating the CPU at hand: all its micro-benchmarks, in one order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch

from condsim.calibrate import matmul, operators, shapes, sparse
from condsim.calibrate.activations import DistantActivations
from condsim.calibrate.code_in_loops import LoopsOfCode
from condsim.calibrate.code_locality import AmongOthers
from condsim.calibrate.compiled_graphs import compiled_costs
from condsim.calibrate.cpu_profile import Measured, profile_of
from condsim.calibrate.evicted_code import EvictedCode
from condsim.calibrate.instructions import instruction_s
from condsim.calibrate.matmul import Cases
from condsim.calibrate.new_memory import fresh_page_seconds
from condsim.calibrate.new_shapes import new_shape_costs
from condsim.calibrate.residency import EvictedWeights
from condsim.cost.cpu.compiled_graphs import COMPILED
from condsim.errors import unknown
from condsim.hardware import (
    HardwareProfile,
    SelfCheck,
    cache_folder,
    fingerprint,
    this_machine,
)
from condsim.timing import cases as timing
from condsim.timing.cases import Pool, Progress, no_progress
from condsim.timing.yardstick import Yardstick

Check = Callable[[HardwareProfile, Progress], SelfCheck]
"""Called with a profile that was just made, and with what is told how far it is."""
Between = Callable[[int, float], None]
"""Called with (number of a round, seconds of the yardstick when nothing disturbs it)."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
READINGS = 4000
"""Of the yardstick, to begin with: half a second."""
PATIENCE_IN_ROUNDS, PATIENCE_AFTER = 0.9, 0.1
"""Shares of the patience that the rounds have, and what is measured after them."""
DEFAULT_L2_BYTES = 2**19
"""Of the private cache, where the system does not say."""
LOAD_SAMPLES = 5
OTHERS = "case"
"""Begins the keys of cases that the caller gave."""


@dataclass
class Beside:
    """What is measured in the rounds of a calibration and is no part of it.

    cases: that are timed in the same rounds. seconds: of each, by its key, once the calibration is
    done. between: called after each round but the last with (its number, seconds of the yardstick
    when nothing disturbs it), for what is to be measured while neighbours do what the calibration
    sees of them.
    """

    cases: Cases = field(default_factory=dict)
    between: Between | None = None
    seconds: dict[Any, float] = field(default_factory=dict)


def calibrate(
    full: bool = False,
    threads: int = 1,
    dtype: str = "fp32",
    compiled: bool = False,
    progress: Progress | None = None,
    save: bool = True,
    size: shapes.Size | None = None,
    beside: Beside | None = None,
    check: Check | None = None,
) -> HardwareProfile:
    """The profile of this machine with eager PyTorch, in about a minute.

    The machine should be idle: visits that a yardstick finds disturbed do not count.

    full: more sizes, and more visits of each; this takes several minutes.
    threads: of PyTorch.
    dtype: of weights and activations, "fp32" or "bf16". One that the processor has no instructions
        for takes several minutes.
    compiled: also measure what torch.compile costs, which needs a C++ compiler; False keeps what
        an earlier calibration measured.
    progress: called with (what is measured, share done).
    save: keep the profile in the user's cache, where `hardware("this-machine")` finds it.
    size: a reduced or a larger set of sizes.
    beside: what else is measured in the same rounds.
    check: says how far off the profile is, which is kept in it; None: nobody does.
    Raises CondsimError for another dtype.
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES, "what this machine can be calibrated in")
    if size is None:
        size = shapes.FULL if full else shapes.NORMAL
    plan = _Plan(
        size=size,
        dtype=dtype,
        compiled=compiled,
        progress=progress or no_progress,
        beside=beside or Beside(),
    )
    with timing.threads(threads):
        measured = _measure(plan, fingerprint(threads))
        if plan.beside.cases:
            plan.beside.seconds.update(_times_of_others(measured))
        profile = profile_of(measured, plan.size, threads, dtype)
    if check is not None:
        profile = profile.replace(self_check=check(profile, plan.progress))
    if save:
        profile = _keeping_compiled_costs(profile)
        profile.save(cache_folder() / f"{profile.name}.yaml")
    return profile


def _keeping_compiled_costs(profile: HardwareProfile) -> HardwareProfile:
    """The profile, with an earlier calibration's costs of compiled graphs where it has none."""
    before = this_machine(profile.threads, profile.dtype)
    if before is None:
        return profile
    extra_s = {}
    for name, seconds in before.extra_s.items():
        if name.startswith(COMPILED):
            extra_s[name] = seconds
    extra_s |= profile.extra_s
    return profile.model_copy(update={"extra_s": extra_s})


@dataclass(frozen=True)
class _Plan:
    """What is to be measured. The arguments are those of `calibrate`."""

    size: shapes.Size
    dtype: str
    compiled: bool
    progress: Progress
    beside: Beside


class _Effect(Protocol):
    """A micro-benchmark that is run in rounds."""

    def round(self) -> None: ...


class _Rounds:
    """What is measured in rounds, since what neighbours do changes by the minute.

    In each round every effect of the caches and of code is measured once more, and some of the
    operators and products are.
    """

    def __init__(self, plan: _Plan, pool: Pool, yardstick: Yardstick) -> None:
        size = plan.size
        self._plan = plan
        self._yardstick = yardstick
        self.weights = EvictedWeights(size.footprints_mb, yardstick, pool.dtype)
        self.activations = DistantActivations(size.footprints_mb, yardstick)
        self.among = AmongOthers(pool, size.draws, yardstick)
        self.loops = LoopsOfCode(pool, yardstick)
        self.cold = EvictedCode(pool, size.distances_mb, size.products_s, yardstick)
        self._effects: dict[str, _Effect] = {
            "evicted weights": self.weights,
            "distant activations": self.activations,
            "among others": self.among,
            "in loops": self.loops,
            "evicted code": self.cold,
        }
        self._cases: Cases = {**operators.cases(pool, size), **matmul.cases(pool, size)}
        self._cases |= sparse.cases(pool, size)
        for key, make in plan.beside.cases.items():
            self._cases[OTHERS, *key] = make
        self.times: dict[Any, float] = {}
        """Seconds of each case that was timed, by its key."""
        self.doubtful: set[Any] = set()
        """Keys of cases that were never timed undisturbed."""

    def run(self) -> None:
        """Run all rounds; between two, what the caller wants to be done there."""
        size, between = self._plan.size, self._plan.beside.between
        for number in range(size.rounds):
            patience_s = PATIENCE_IN_ROUNDS * size.patience_s / size.rounds
            self._yardstick.patience_s += patience_s
            self._run_one(number)
            last = number + 1 == size.rounds
            if between is not None and not last:
                self._yardstick.let_go()
                between(number, self._yardstick.fast_s)

    def _run_one(self, number: int) -> None:
        """Run the round of this number."""
        size = self._plan.size
        for what, effect in self._effects.items():
            self._plan.progress(what, number / size.rounds)
            effect.round()
        keys = list(self._cases)[number :: size.rounds]
        cases = {key: self._cases[key] for key in keys}
        told = partial(self._tell, number)
        self.times |= timing.measure(cases, size.visits, told, self._yardstick, self.doubtful)

    def _tell(self, number: int, share: float) -> None:
        """Say how far the calibration is. share: of the cases of a round that are done."""
        share_of_all = (number + share) / self._plan.size.rounds
        self._plan.progress("operators and matmuls", share_of_all)


def _times_of_others(measured: Measured) -> dict[Any, float]:
    """Seconds of the caller's cases, by the caller's keys."""
    times = {}
    for (family, *key), seconds in measured.times.items():
        if family == OTHERS:
            times[tuple(key)] = seconds
    return times


def _measure(plan: _Plan, machine: dict[str, str | int]) -> Measured:
    """Run every micro-benchmark. machine: its fingerprint."""
    size = plan.size
    pool = Pool(DTYPES[plan.dtype])
    yardstick = Yardstick(READINGS)
    rounds = _Rounds(plan, pool, yardstick)
    rounds.run()
    plan.progress("Python", 0.0)
    yardstick.patience_s += PATIENCE_AFTER * size.patience_s
    instruction = instruction_s(yardstick)
    compiled = compiled_costs(pool, yardstick) if plan.compiled else {}
    times = timing.between_neighbours(rounds.times, rounds.doubtful)
    busy_pool = pool if plan.dtype == "fp32" else Pool()
    load_s = _load_s(busy_pool)
    among = rounds.among.table()
    l2_bytes = int(machine.get("l2", DEFAULT_L2_BYTES))
    return Measured(
        machine=machine,
        itemsize=pool.itemsize,
        times=times,
        doubtful=rounds.doubtful,
        residency=rounds.weights.curves(l2_bytes),
        activations=rounds.activations.table(),
        among=among,
        looped=rounds.loops.table(among),
        cold=rounds.cold.table(),
        instruction_s=instruction,
        compiled_s=compiled,
        read_64mb_s=load_s["read_64mb"],
        fresh_page_s_per_byte=fresh_page_seconds(elements=size.fresh_elements),
        new_shape_s=new_shape_costs(pool),
        yardstick_s=yardstick.fast_s,
    )


def _load_s(pool: Pool) -> dict[str, float]:
    """Seconds of the calls that say how loaded the machine is. pool: of fp32."""
    seconds = {}
    for name, call in timing.yardsticks(pool).items():
        seconds[name] = min(timing.sample(call) for _ in range(LOAD_SAMPLES))
    return seconds
