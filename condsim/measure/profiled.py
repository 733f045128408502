"""Seconds of every operator of a call, by PyTorch's profiler, with what the profiler itself costs taken off.

An operator's time is from the end of the one before it to its own end: what Python does in between is part of it, and the times of a call sum up to the
call, but for what Python does after the last one. The profiler writes down the beginning and the end of each operator and of those that it calls inside. What
that costs is measured on micro-benchmarks (`cost`), not on the model that is timed: sequences of small operators run with the profiler and without.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.profiler import profile

from condsim.calibrate.code_locality import calls
from condsim.timing.cases import Pool, typical
from condsim.timing.clock import CPU
from condsim.timing.yardstick import Call, Yardstick

MARKER = "digamma"  # stands around a timed call; a model that uses it cannot be told apart
MADE = ("empty", "to")  # before lift_fresh, in torch.tensor
_ONE = torch.ones(1)


@dataclass(frozen=True)
class Cost:
    """What the profiler costs: operator_s, each operator that Python calls; event_s, each that is written down, this one and those that it calls inside."""

    operator_s: float
    event_s: float

    def of(self, events: np.ndarray) -> np.ndarray:
        """Seconds for operators with so many events each, float [n]."""
        seconds: np.ndarray = self.operator_s + self.event_s * events
        return seconds


@dataclass(frozen=True)
class Profiled:
    """One call: names of the operators that Python called, in order; seconds from the end of the one before, the profiler's own included, and events of
    each, float and int [n]."""

    names: tuple[str, ...]
    seconds: np.ndarray
    events: np.ndarray


def mark() -> float:
    """A clock (of the CPU) that leaves marks: read it before and after what is to be timed, while `profiled` runs."""
    now = CPU()
    torch.digamma(_ONE)
    torch.digamma(_ONE)  # the first one finds its code evicted, and ends late
    return now


def profiled(run: Callable[[], object]) -> list[Profiled]:
    """What ran between the marks of a function, a call a pair of marks. What Python does after the last operator of a call is in no operator's time."""
    with profile(use_kineto=True) as p:
        run()
    assert p.kineto_results is not None
    outer = _outermost(p.kineto_results.events())
    at = [i for i, (name, *_) in enumerate(outer) if name == MARKER]
    assert len(at) % 4 == 0, "marks come in pairs of pairs"
    found = []
    for first, last in zip(at[1::4], at[2::4], strict=True):
        names, ends, events = zip(*outer[first : last + 1], strict=True)
        found.append(Profiled(names[1:-1], np.diff(ends[:-1]) / 1e9, np.array(events[1:-1])))
    return found


def _outermost(events: Sequence[Any]) -> list[tuple[str, int, int]]:
    """(name without its namespace, end in ns, how many are inside, itself included) of operators that no other one calls, in order; of the thread that
    marks."""
    threads = {e.start_thread_id() for e in events if e.name() == f"aten::{MARKER}"}
    timed = sorted(
        (e.start_ns(), -e.end_ns(), e.name()) for e in events if e.start_thread_id() in threads
    )
    found: list[tuple[str, int, int]] = []
    for start, end, name in timed:
        if not found or start >= found[-1][1]:
            found.append((name.rpartition("::")[2], -end, 1))
        else:
            found[-1] = (*found[-1][:2], found[-1][2] + 1)
    return _with_made_tensors(found)


def _with_made_tensors(events: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """What `torch.tensor` runs before its one operator that Python sees is part of that one."""
    found: list[tuple[str, int, int]] = []
    for name, end, inside in events:
        if name == "lift_fresh" and tuple(n for n, *_ in found[-2:]) == MADE:
            inside += sum(n for *_, n in found[-2:])
            del found[-2:]
        found.append((name, end, inside))
    return found


LENGTH, SEQUENCES, VISITS = 80, 12, 6


def cost(pool: Pool, yardstick: Yardstick) -> Cost:
    """Measure it: sequences of small operators drawn at random, of few events and of many, each timed as a whole. Must run under inference mode."""
    every = calls(pool)
    events = {name: int(_profile_once(call).sum()) for name, call in every.items()}
    order = sorted(every, key=lambda n: events[n])
    ops, inside, extra = [], [], []
    for s in range(SEQUENCES):
        rng = random.Random(s)
        middle = len(order) * (s + 0.5) / SEQUENCES
        names = [
            order[min(max(int(rng.gauss(middle, len(order) / 4)), 0), len(order) - 1)]
            for _ in range(LENGTH)
        ]
        sequence = [every[n] for n in names]
        ops.append(len(names))
        inside.append(sum(events[n] for n in names))
        extra.append(_extra(sequence, yardstick))
    (operator_s, event_s), *_ = np.linalg.lstsq(
        np.array([ops, inside], float).T, np.array(extra), rcond=None
    )
    return Cost(float(operator_s), float(event_s))


def _profile_once(call: Call) -> np.ndarray:
    def run() -> None:
        mark()
        call()
        mark()

    call()
    return profiled(run)[0].events


def _extra(sequence: Sequence[Call], yardstick: Yardstick) -> float:
    """Seconds that a sequence takes longer while it is profiled."""

    def visit(reading: float) -> list[tuple[float, float]]:
        found = []
        for _ in range(4):
            start = CPU()
            for call in sequence:
                call()
            found.append((CPU() - start, reading))
        return found[1:]

    plain: list[tuple[float, float]] = []
    under: list[tuple[float, float]] = []
    for _ in range(VISITS):
        plain += visit(yardstick())
        reading = yardstick()  # while it is profiled it would read more
        with profile(use_kineto=True):
            under += visit(reading)
    return typical(under, yardstick) - typical(plain, yardstick)
